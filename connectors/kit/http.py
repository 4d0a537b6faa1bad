"""The one way out: every call of a connector goes through `Http`.

Keeps the budget, retries for a few seconds, and turns statuses and network failures into the error
tree by one table. Refuses unencrypted addresses except loopback, redirects to other hosts, paths
with `..`, and endless bodies. Messages name method and path, never the query, a body or a
secret.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Container, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any

import httpx
import orjson

from connectors.kit.address import checked_base_url, segment
from connectors.kit.body import ENCODINGS, MOST_BYTES, read_body
from connectors.kit.budget import DEFAULT, Budget
from connectors.kit.errors import (
    ConnectorError,
    ContractError,
    RateLimitedError,
    UnavailableError,
)
from connectors.kit.request_builder import RequestBuilder
from connectors.kit.retries import PERSISTENCE, Retries
from connectors.kit.statuses import (
    STATUSES,
    Reply,
    Translate,
    contract,
    retry_after,
    unavailable,
)

__all__ = [
    "STATUSES",
    "TIMEOUT",
    "Http",
    "Reply",
    "Translate",
    "checked_base_url",
    "read_json",
    "retry_after",
    "segment",
]

# httpx logs whole addresses, whose queries may hold customer data.
logging.getLogger("httpx").setLevel(logging.WARNING)

TIMEOUT = httpx.Timeout(30.0, connect=5.0)
MOST_REDIRECTS = 3


def read_json(response: httpx.Response) -> Any:
    """Returns the decoded body.

    Raises: UnavailableError when it is truncated JSON, ContractError when it is not JSON.
    """
    content = response.content
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as error:
        call = f"{response.request.method} {response.request.url.path}"
        text = f"{call} answered {response.status_code} without valid JSON"
        if content.lstrip()[:1] in (b"{", b"["):
            raise UnavailableError(f"{text}: it was cut off; make the same call again") from error
        raise ContractError(text) from error


def _decoded(response: httpx.Response, *, repeatable: bool) -> Any:
    try:
        return read_json(response)
    except ContractError as error:
        if repeatable:
            raise
        raise UnavailableError(f"{error}; whether the call happened is unknown") from error


@cache
def _tls() -> ssl.SSLContext:
    """Returns the shared TLS context: loading all certificates takes longer than a call."""
    return httpx.create_ssl_context()


def _harmless(error: Exception) -> Exception | None:
    """Leaves out errors that quote headers, which may be ours and secret."""
    return None if isinstance(error, httpx.ProtocolError) else error


def _untrusted(error: BaseException | None) -> bool:
    known: set[int] = set()  # causes may be circular
    while error is not None and id(error) not in known:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        known.add(id(error))
        error = error.__cause__ or error.__context__
    return False


def _no_answer(request: httpx.Request, error: Exception) -> UnavailableError:
    host = request.url.host
    if _untrusted(error):
        return UnavailableError(
            f"the certificate of {host} is not trusted, so nothing was sent: correct base_url,"
            " or add the certificate to those that this machine trusts (SSL_CERT_FILE)"
        )
    return UnavailableError(
        f"{request.method} {request.url.path}: no answer from {host}"
        f" ({type(error).__name__}); wait, then make the same call again"
    )


class Http:
    """Makes calls to one system; thread-safe."""

    def __init__(
        self,
        base_url: str,
        *,
        auth: httpx.Auth | None,
        budget: Budget,
        statuses: Mapping[int, Translate] | None = None,
        timeout: httpx.Timeout | float = TIMEOUT,
        transport: httpx.BaseTransport | None = None,
        headers: Mapping[str, str] | None = None,
        persistence: float = PERSISTENCE,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        base = checked_base_url(base_url)
        self.budget = budget
        self._statuses = {**STATUSES, **(statuses or {})}
        #: The server's own clock, from the newest answer; None before the first one.
        self.server_date: datetime | None = None
        self._client = httpx.Client(
            auth=auth,
            timeout=timeout,
            transport=transport,
            verify=_tls(),
            headers={
                "Accept": "application/json",
                "Accept-Encoding": ENCODINGS,
                **(headers or {}),
            },
            follow_redirects=False,
        )
        self._requests = RequestBuilder(base, self._client)
        self._retries = Retries(persistence, sleep=budget.sleep)
        self._most_bytes = most_bytes

    def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        content: bytes | None = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        lane: str = DEFAULT,
        repeatable: bool,
        stream: str = "",
        key: str | None = None,
        accept: Container[int] = (),
    ) -> httpx.Response:
        """Returns a successful response, or one whose status is in `accept`.

        `repeatable` means that the call is idempotent. `stream` and `key` name the
        record concerned, so that a refusal becomes a RecordError.

        Raises: UnavailableError (outcome unknown), RateLimitedError (not executed),
        CredentialsError, ContractError, RecordError.
        """
        request = self._requests.build(
            method, path, json=json, content=content, params=params, more=headers, stream=stream
        )

        def call() -> httpx.Response:
            response = self._send(request, lane)
            if response.is_success or response.status_code in accept:
                return response
            raise self._error(Reply(method, path, stream, key, response))

        return self._retries.call(call, repeatable=repeatable)

    def json(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        params: Mapping[str, Any] | None = None,
        lane: str = DEFAULT,
        repeatable: bool,
        stream: str = "",
        key: str | None = None,
    ) -> Any:
        """Returns the decoded body of a successful response of `request`.

        A truncated body is requested again; for a call that is not repeatable it means that
        the outcome is unknown, as does a body that is not JSON at all.
        """
        request = self._requests.build(method, path, json=json, params=params, stream=stream)

        def call() -> Any:
            response = self._send(request, lane)
            if not response.is_success:
                raise self._error(Reply(method, path, stream, key, response))
            return _decoded(response, repeatable=repeatable)

        return self._retries.call(call, repeatable=repeatable)

    def close(self) -> None:
        """Closes the connections. Idempotent."""
        self._client.close()

    def _send(self, request: httpx.Request, lane: str) -> httpx.Response:
        response = self._sent(request, lane)
        for _ in range(MOST_REDIRECTS):
            if not response.has_redirect_location:
                return response
            response = self._sent(self._requests.redirected(request, response), lane)
        raise ContractError(f"{request.method} {request.url.path} is redirected in circles")

    def _sent(self, request: httpx.Request, lane: str) -> httpx.Response:
        with self.budget.call(lane):
            try:
                response = self._client.send(request, stream=True)
            except (httpx.TransportError, httpx.DecodingError) as error:
                raise _no_answer(request, error) from _harmless(error)
            read_body(response, most_bytes=self._most_bytes)
        self.budget.feed(response.headers)
        self._note_date(response)
        return response

    def _note_date(self, response: httpx.Response) -> None:
        date = response.headers.get("date")
        if date is None:
            return
        try:
            moment = parsedate_to_datetime(date)
        except ValueError:
            return
        self.server_date = moment if moment.tzinfo else moment.replace(tzinfo=UTC)

    def _error(self, reply: Reply) -> ConnectorError:
        status = reply.response.status_code
        default = unavailable if status >= 500 else contract
        error = self._statuses.get(status, default)(reply)
        if isinstance(error, RateLimitedError) and error.retry_after is not None:
            self.budget.pause(error.retry_after.total_seconds())
        return error
