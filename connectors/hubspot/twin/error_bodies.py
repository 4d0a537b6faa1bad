"""How HubSpot says no: error bodies with status, category and details; only the twin says so."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class Issue:
    """One property value that was not accepted."""

    name: str
    code: str
    message: str


class Refusal(Exception):  # noqa: N818 - an answer of the twin, not an error of ours
    """A request is refused with this status and body."""

    def __init__(self, status: int, message: str, category: str, **more: Any) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.category = category
        self.more = more

    def body(self) -> dict[str, Any]:
        """Returns the body of an error response."""
        return {
            "status": "error",
            "message": self.message,
            "correlationId": str(uuid.uuid4()),
            "category": self.category,
            **self.more,
        }

    def row(self, context: dict[str, list[str]]) -> dict[str, Any]:
        """Returns the same refusal as one of the `errors` of a batch answer (StandardError)."""
        return {
            "status": "error",
            "id": str(uuid.uuid4()),
            "category": self.category,
            "message": self.message,
            "errors": self.more.get("errors", []),
            "context": {**self.more.get("context", {}), **context},
            "links": {},
        }


def invalid(message: str, **more: Any) -> Refusal:
    """Refuses a request that is wrong in itself (400)."""
    return Refusal(400, message, "VALIDATION_ERROR", **more)


def lacking(name: str) -> Refusal:
    """Refuses a body without a field it must have."""
    at = "Invalid input JSON on line 1, column 1"
    return invalid(f"{at}: Some required fields were not set: [{name}]")


def invalid_values(issues: Sequence[Issue]) -> Refusal:
    """Refuses property values: a list of them as JSON inside the message, and again as `errors`.

    quirk(hubspot): `Property values were not valid: [{"isValid":false,...}]`, seen in many public
    clients; the `errors` list is the documented form of 2026-03 and later.
    """
    rows = [
        {"isValid": False, "message": i.message, "error": i.code, "name": i.name} for i in issues
    ]
    errors = [
        {"message": i.message, "code": i.code, "context": {"propertyName": [i.name]}}
        for i in issues
    ]
    return invalid(f"Property values were not valid: {orjson.dumps(rows).decode()}", errors=errors)


def required(singular: str, names: Sequence[str]) -> Refusal:
    """Refuses a create that lacks properties."""
    message = f"Error creating {singular.upper()}. Some required properties were not set."
    return invalid(message, errors=[{"message": message, "context": {"properties": [*names]}}])


def missing(message: str = "resource not found", **more: Any) -> Refusal:
    """Refuses because there is no such thing (404)."""
    return Refusal(404, message, "OBJECT_NOT_FOUND", **more)


def missing_rows(singular: str, ids: Sequence[str]) -> dict[str, Any]:
    """Returns the one row that a batch answer has for all ids it did not find."""
    message = (
        f"Could not get some {singular.upper()} objects, they may be deleted or not exist. "
        "Check that ids are valid."
    )
    return missing(message).row({"ids": [*ids]})


def conflict(singular: str, key: int) -> Refusal:
    """Refuses a second record with the same unique value (409)."""
    title = singular.capitalize()
    return Refusal(409, f"{title} already exists. Existing ID: {key}", "CONFLICT")


def unauthorized() -> Refusal:
    """Refuses a request without a valid token (401)."""
    message = (
        "Authentication credentials not found. This API supports OAuth 2.0 authentication and you "
        "can find more details at https://developers.hubspot.com/docs/methods/auth/oauth-overview"
    )
    return Refusal(401, message, "INVALID_AUTHENTICATION")


def expired(at_ms: int, now_ms: int) -> Refusal:
    """Refuses an access token that is too old (401)."""
    message = f"The OAuth token used to make this call expired {(now_ms - at_ms) // 1000}s ago."
    context = {"expireTime": [str(at_ms)]}
    return Refusal(401, message, "EXPIRED_AUTHENTICATION", context=context)


def throttled(policy: str, message: str) -> Refusal:
    """Refuses because a limit is reached (429)."""
    more = {"errorType": "RATE_LIMIT", "policyName": policy}
    return Refusal(429, message, "RATE_LIMITS", **more)
