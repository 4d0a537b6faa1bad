"""POST /webhooks/{connection}: limited, verified, stored; answered only after the commit."""

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
from hub.web.answers import later, problem
from hub.web.called_url import called_url
from hub.web.inbox import Inbox, NotStoredError

#: Seconds that a sender may take for the whole body.
_PATIENCE = 15.0


#: The result of a delivery to a connection whose system sends webhooks.
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
#: The result of other deliveries.
_WrongAddress = Literal["unknown", "no webhooks"]


class _RefusedError(Exception):
    """A refused delivery, with its response. Never leaves this module."""

    def __init__(self, reason: _Result | _WrongAddress, status: int, error: str, todo: str) -> None:
        super().__init__(reason)
        self.reason: _Result | _WrongAddress = reason
        self.answer = problem(status, error, todo)


@dataclass(frozen=True)
class ReceiverConfig:
    """Who may call the receivers, and how."""

    #: All connections.
    connectors: Mapping[str, Connector] = field(repr=False)
    #: The connections whose systems send webhooks.
    calling: frozenset[str]
    public_url: str | None = None
    #: Addresses of proxies whose X-Forwarded-* headers are trusted.
    proxies: frozenset[str] = frozenset()
    #: Maximum size of a body in bytes.
    largest: int = 1_000_000


class Webhooks:
    """Receives deliveries."""

    def __init__(self, receivers: ReceiverConfig, inbox: Inbox, counter: Counter) -> None:
        self._receivers = receivers
        self._inbox = inbox
        self._counter = counter

    async def __call__(self, request: Request) -> Response:
        """Answers 202 once the notifications are stored, and otherwise why they were not."""
        name = request.path_params["connection"]
        answer: Response
        result: _Result | _WrongAddress
        known = name if name in self._receivers.connectors else "unknown"
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
        # Checked last: a caller who cannot sign only learns whether the body is too large.
        _check_type(request.headers.get("content-type", ""))
        notifications = _notifications(connector, body)
        rows = [_row(name, notification) for notification in notifications]
        if rows:
            await self._inbox.put(rows)
        return JSONResponse({"accepted": len(rows)}, 202)

    def _connector(self, name: str) -> Connector:
        if name not in self._receivers.connectors:
            raise _RefusedError(
                "unknown", 404, "there is no such connection", "check the name in the address"
            )
        if name not in self._receivers.calling:
            raise _RefusedError(
                "no webhooks",
                404,
                "this connection's system sends no webhooks",
                "nothing: it is read on schedule",
            )
        return self._receivers.connectors[name]

    async def _body(self, request: Request) -> bytes:
        length = request.headers.get("content-length", "")
        if length.isascii() and length.isdigit() and int(length[:20]) > self._receivers.largest:
            raise self._too_large()
        body = bytearray()
        try:
            async with asyncio.timeout(_PATIENCE):
                async for part in request.stream():
                    body += part
                    if len(body) > self._receivers.largest:
                        raise self._too_large()
        except TimeoutError as error:
            raise _RefusedError(
                "slow", 408, "the body did not arrive in time", "send the same delivery again"
            ) from error
        return bytes(body)

    def _too_large(self) -> _RefusedError:
        most = f"at most {self._receivers.largest} bytes"
        return _RefusedError("too large", 413, "the body is too large", f"send {most} at once")

    def _delivery(self, request: Request, body: bytes) -> contract.Request:
        headers = {name.lower(): value for name, value in request.headers.items()}
        path = request.scope.get("raw_path") or request.scope["path"].encode()
        client = request.client.host if request.client else ""
        url = called_url(
            path.decode("latin-1"),
            request.scope["query_string"].decode("latin-1"),
            headers,
            public_url=self._receivers.public_url,
            scheme=request.scope["scheme"],
            trusted=client in self._receivers.proxies,
        )
        return contract.Request(request.method, url, headers, body, datetime.now(UTC))


def count_from_zero(counter: Counter, receivers: ReceiverConfig) -> None:
    """Creates the series of all possible results of deliveries."""
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
    todo = "send the format of the system's documentation"
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
            "not as promised", 400, str(error), "send the format of the system's documentation"
        ) from error
