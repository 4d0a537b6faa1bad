"""The OpenAPI document, written by hand: all addresses and all responses."""

from __future__ import annotations

from typing import Any

_PROBLEM = {
    "type": "object",
    "required": ["error", "what to do"],
    "properties": {"error": {"type": "string"}, "what to do": {"type": "string"}},
    "additionalProperties": False,
}


def _json(schema: dict[str, Any], text: str) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def _refusals(**texts: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {code.removeprefix("s"): _json(schema, text) for code, text in texts.items()}


def _flag(name: str) -> dict[str, Any]:
    return {"type": "object", "required": [name], "properties": {name: {"type": "boolean"}}}


_ACCEPTED = {
    "type": "object",
    "required": ["accepted"],
    "properties": {"accepted": {"type": "integer", "minimum": 0}},
}

DOCUMENT: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "Tulay receivers", "version": "1"},
    "components": {"schemas": {"Problem": _PROBLEM}},
    "paths": {
        "/webhooks/{connection}": {
            "post": {
                "summary": "Receive a delivery of a connected system",
                "parameters": [
                    {
                        "name": "connection",
                        "in": "path",
                        "required": True,
                        "schema": {"type": "string", "minLength": 1},
                    }
                ],
                "requestBody": {"required": True, "content": {"application/json": {"schema": {}}}},
                "responses": {
                    "202": _json(_ACCEPTED, "Stored durably"),
                    **_refusals(
                        s400="Not JSON, or not in the system's documented format",
                        s401="Signature missing, wrong or old",
                        s404="No such connection, or its system sends no webhooks",
                        s408="The body came too slowly",
                        s413="The body is too large",
                        s503="Not stored: retry",
                    ),
                },
            }
        },
        "/healthz": {
            "get": {
                "summary": "The process runs",
                "responses": {"200": _json(_flag("alive"), "It runs")},
            }
        },
        "/readyz": {
            "get": {
                "summary": "Deliveries can be stored",
                "responses": {
                    "200": _json(_flag("ready"), "They can"),
                    **_refusals(s503="Database unavailable, or tables of another version"),
                },
            }
        },
        "/metrics": {
            "get": {
                "summary": "Figures for Prometheus",
                "responses": {
                    "200": {
                        "description": "All figures",
                        "content": {"text/plain": {"schema": {"type": "string"}}},
                    },
                    **_refusals(s503="Database unavailable"),
                },
            }
        },
        "/openapi.json": {
            "get": {
                "summary": "This document",
                "responses": {"200": _json({"type": "object"}, "The OpenAPI document")},
            }
        },
    },
}
