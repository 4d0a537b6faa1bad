"""Answers that say what happened and what to do, as JSON and without secrets."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse


def problem(
    status: int, error: str, todo: str, *, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """Returns an error answer."""
    content = {"error": error, "what to do": todo}
    return JSONResponse(content, status, headers=dict(headers or {}))


def later(error: str) -> JSONResponse:
    """Returns the answer "not now": the sender keeps the delivery and comes again."""
    todo = "send the same delivery again later; nothing of it was stored"
    return problem(503, error, todo, headers={"Retry-After": "5"})


_KNOWN = {
    404: ("there is nothing at this address", "see /openapi.json for what there is"),
    405: ("this address has other methods", "see /openapi.json for what there is"),
}


async def refused(_: Request, error: Exception) -> JSONResponse:
    """Answers what the router refuses."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers = error.headers if isinstance(error, HTTPException) else None
    said = _KNOWN.get(status, ("the request was refused", "see /openapi.json for what there is"))
    return problem(status, *said, headers=headers)


async def broken(_: Request, __: Exception) -> JSONResponse:
    """Answers when we have made a mistake; the log has it, the caller has not."""
    return problem(500, "Tulay made a mistake", "send it again later; the log says more")
