"""Error responses that say what happened and what to do, as JSON and without secrets."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse


def problem(
    status: int, error: str, todo: str, *, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """Returns an error response."""
    content = {"error": error, "what to do": todo}
    return JSONResponse(content, status, headers=dict(headers or {}))


def later(error: str) -> JSONResponse:
    """Returns a 503 response: the sender keeps the delivery and retries."""
    todo = "send the same delivery again later; nothing of it was stored"
    return problem(503, error, todo, headers={"Retry-After": "5"})


_KNOWN = {
    404: ("there is nothing at this address", "see /openapi.json for all addresses"),
    405: ("this method is not allowed here", "see /openapi.json for all methods"),
}


async def refused(_: Request, error: Exception) -> JSONResponse:
    """Returns the response to a request that the router refuses."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers = error.headers if isinstance(error, HTTPException) else None
    texts = _KNOWN.get(status, ("the request was refused", "see /openapi.json for all addresses"))
    return problem(status, *texts, headers=headers)


async def broken(_: Request, __: Exception) -> JSONResponse:
    """Returns the response after a bug; details are logged, but not sent."""
    return problem(500, "internal error", "retry later; the log has details")
