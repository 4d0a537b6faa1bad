"""POST /webhooks/{connection}: measured, verified, noted; answered only after the commit."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, get_args

from prometheus_client import Counter
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from connectors.kit import contract
from connectors.kit.contract import Connector
from connectors.kit.errors import ContractError
from hub.store.inbox import InboxEntry
from hub.sync.ingest.webhooks import entry_of
from hub.web.address import called_url
from hub.web.answers import later, problem
from hub.web.inbox import Inbox, NotStoredError

#: Seconds that a sender may take for the whole body.
_PATIENCE = 15.0


#: What becomes of a delivery to a connection whose system sends webhooks.
_Result = Literal[
    "stored",
    "not stored",
    "forged",
    "slow",
    "too large",
    "not JSON",
    "not as promised",
    "disconnected",
]
#: What becomes of others.
_WrongAddress = Literal["unknown", "no webhooks"]


class _RefusedError(Exception):
    """The delivery is answered with this. Never leaves this module."""

    def __init__(self, reason: _Result | _WrongAddress, status: int, error: str, todo: str) -> None:
        super().__init__(reason)
        self.reason: _Result | _WrongAddress = reason
        self.answer = problem(status, error, todo)


@dataclass(frozen=True)
class ReceiverConfig:
    """Who may call us, and how."""

    #: Every connection.
    connectors: Mapping[str, Connector] = field(repr=False)
    #: Those whose system calls us.
    calling: frozenset[str]
    public_url: str | None = None
    #: Addresses of proxies whose X-Forwarded-* headers are believed.
    proxies: frozenset[str] = frozenset()
    #: Bytes of the largest body.
    largest: int = 1_000_000


class Webhooks:
    """Takes deliveries in."""

    def __init__(self, receivers: ReceiverConfig, inbox: Inbox, counter: Counter) -> None:
        self._doors = receivers
        self._inbox = inbox
        self._counter = counter

    async def __call__(self, request: Request) -> Response:
        """Answers 202 when the nudges are stored, and else why not."""
        name = request.path_params["connection"]
        answer: Response
        result: _Result | _WrongAddress
        known = name if name in self._doors.connectors else "unknown"
        try:
            result, answer = "stored", await self._take(request, name)
        except _RefusedError as refusal:
            result, answer = refusal.reason, refusal.answer
        except NotStoredError:
            result, answer = "not stored", later("the database did not store it")
        except ClientDisconnect:
            result, answer = "disconnected", Response(status_code=400)
        self._counter.labels(known, result).inc()
        return answer

    async def _take(self, request: Request, name: str) -> JSONResponse:
        connector = self._connector(name)
        body = await self._body(request)
        if not connector.verify(self._delivery(request, body)):
            raise _RefusedError(
                "forged",
                401,
                "the signature is missing, wrong or too old",
                "check the webhook secret of the connection and the clocks on both sides",
            )
        # Last: whoever cannot sign learns nothing else, and what is too large is told so.
        _check_type(request.headers.get("content-type", ""))
        notifications = _notifications(connector, body)
        rows = [_row(name, notification) for notification in notifications]
        if rows:
            await self._inbox.put(rows)
        return JSONResponse({"accepted": len(rows)}, 202)

    def _connector(self, name: str) -> Connector:
        if name not in self._doors.connectors:
            raise _RefusedError(
                "unknown", 404, "there is no such connection", "check the name in the address"
            )
        if name not in self._doors.calling:
            raise _RefusedError(
                "no webhooks",
                404,
                "this connection's system sends no webhooks",
                "nothing: it is read on schedule",
            )
        return self._doors.connectors[name]

    async def _body(self, request: Request) -> bytes:
        said = request.headers.get("content-length", "")
        if said.isascii() and said.isdigit() and int(said[:20]) > self._doors.largest:
            raise self._too_large()
        body = bytearray()
        try:
            async with asyncio.timeout(_PATIENCE):
                async for part in request.stream():
                    body += part
                    if len(body) > self._doors.largest:
                        raise self._too_large()
        except TimeoutError as error:
            raise _RefusedError(
                "slow", 408, "the body did not arrive in time", "send the same delivery again"
            ) from error
        return bytes(body)

    def _too_large(self) -> _RefusedError:
        most = f"at most {self._doors.largest} bytes"
        return _RefusedError("too large", 413, "the body is too large", f"send {most} at once")

    def _delivery(self, request: Request, body: bytes) -> contract.Request:
        headers = {name.lower(): value for name, value in request.headers.items()}
        path = request.scope.get("raw_path") or request.scope["path"].encode()
        client = request.client.host if request.client else ""
        url = called_url(
            path.decode("latin-1"),
            request.scope["query_string"].decode("latin-1"),
            headers,
            public_url=self._doors.public_url,
            scheme=request.scope["scheme"],
            trusted=client in self._doors.proxies,
        )
        return contract.Request(request.method, url, headers, body, datetime.now(UTC))


def count_from_zero(counter: Counter, receivers: ReceiverConfig) -> None:
    """Makes the series of all deliveries that can come exist."""
    counter.labels("unknown", "unknown")
    for name in receivers.connectors:
        results = get_args(_Result) if name in receivers.calling else ("no webhooks",)
        for result in results:
            counter.labels(name, result)


def _check_type(content_type: str) -> None:
    kind = content_type.partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise _RefusedError(
            "not JSON", 400, "a delivery must be application/json", "set the Content-Type header"
        )


def _notifications(connector: Connector, body: bytes) -> list[contract.Notification]:
    todo = "send what the system's documentation promises"
    try:
        json.loads(body)
    except (ValueError, RecursionError) as error:
        raise _RefusedError("not JSON", 400, "the body is not JSON", todo) from error
    try:
        return list(connector.notifications(body))
    except ContractError as error:
        raise _RefusedError("not as promised", 400, str(error), todo) from error


def _row(name: str, notification: contract.Notification) -> InboxEntry:
    try:
        return entry_of(name, notification)
    except ContractError as error:
        raise _RefusedError(
            "not as promised", 400, str(error), "send what the system's documentation promises"
        ) from error
