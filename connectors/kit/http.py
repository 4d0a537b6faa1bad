"""The one way out: every call of a connector goes through `Http`.

Keeps the budget, retries for a few seconds, and turns statuses and network failures into the error
tree by one table. Refuses unencrypted addresses except loopback, redirects to other hosts, paths
with `..`, and endless bodies. Messages name method and path, never the query, a body or a
secret.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Container, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any, TypeVar

import httpx
import orjson
from tenacity import RetryCallState, Retrying, retry_if_exception_type
from tenacity.wait import wait_random_exponential

from connectors.kit.address import checked_base_url, climbs, segment
from connectors.kit.body import ENCODINGS, MOST_BYTES, read_body
from connectors.kit.budget import DEFAULT, Budget
from connectors.kit.errors import (
    ConnectorError,
    ContractError,
    RateLimitedError,
    RecordMissingError,
    UnavailableError,
)
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

T = TypeVar("T")

TIMEOUT = httpx.Timeout(30.0, connect=5.0)
#: Seconds after which a call is given up; the outbox retries over minutes.
PERSISTENCE = 10.0
MOST_REDIRECTS = 3
MOST_ATTEMPTS = 6


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
        self._base = checked_base_url(base_url)
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
        self._most_bytes = most_bytes
        self._persistence = persistence

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
        request = self._built(
            method, path, json=json, content=content, params=params, more=headers, stream=stream
        )

        def call() -> httpx.Response:
            response = self._send(request, lane)
            if response.is_success or response.status_code in accept:
                return response
            raise self._error(Reply(method, path, stream, key, response))

        return self._patiently(call, repeatable=repeatable)

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
        request = self._built(method, path, json=json, params=params, stream=stream)

        def call() -> Any:
            response = self._send(request, lane)
            if not response.is_success:
                raise self._error(Reply(method, path, stream, key, response))
            return self._decoded(response, repeatable=repeatable)

        return self._patiently(call, repeatable=repeatable)

    def _decoded(self, response: httpx.Response, *, repeatable: bool) -> Any:
        try:
            return read_json(response)
        except ContractError as error:
            if repeatable:
                raise
            raise UnavailableError(f"{error}; whether the call happened is unknown") from error

    def _built(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        content: bytes | None = None,
        params: Mapping[str, Any] | None = None,
        more: Mapping[str, str] | None = None,
        stream: str,
    ) -> httpx.Request:
        headers = dict(more or {})
        if json is not None:
            content = orjson.dumps(json)
            headers["Content-Type"] = "application/json"
        # One text, because httpx parses address, path and query each time it joins them.
        address = f"{self._base}{path.lstrip('/')}"
        if climbs(address):
            raise self._unfit(method, stream)
        if params:
            address += f"?{httpx.QueryParams(params)}"
        try:
            for value in headers.values():
                if not (value.isascii() and value.isprintable()):
                    raise ContractError(f"{method}: a header has characters that none can have")
            return self._client.build_request(method, address, content=content, headers=headers)
        except (httpx.InvalidURL, ValueError):
            # from None: they quote what they could not take.
            raise self._unfit(method, stream) from None

    def _unfit(self, method: str, stream: str) -> ConnectorError:
        if stream:
            return RecordMissingError(f"{method}: no record can have such a key", stream=stream)
        return ContractError(f"{method}: a path has parts that none can have, such as `..`")

    def close(self) -> None:
        """Closes the connections. Idempotent."""
        self._client.close()

    def _patiently(self, call: Callable[[], T], *, repeatable: bool) -> T:
        retrying = Retrying(
            retry=retry_if_exception_type(UnavailableError if repeatable else RateLimitedError),
            stop=self._enough,
            wait=self._wait,
            sleep=self.budget.sleep,
            reraise=True,
        )
        return retrying(call)

    def _enough(self, state: RetryCallState) -> bool:
        if state.attempt_number >= MOST_ATTEMPTS:
            return True
        if (state.seconds_since_start or 0.0) >= self._persistence:
            return True
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after if isinstance(error, RateLimitedError) else None
        return asked is not None and asked.total_seconds() > self._persistence

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, RateLimitedError) and error.retry_after is not None:
            return 0.0  # the budget makes every call wait, this one included
        return wait_random_exponential(multiplier=0.5, max=3.0)(state)

    def _send(self, request: httpx.Request, lane: str) -> httpx.Response:
        response = self._sent(request, lane)
        for _ in range(MOST_REDIRECTS):
            if not response.has_redirect_location:
                return response
            response = self._sent(self._followed(request, response), lane)
        raise ContractError(f"{request.method} {request.url.path} is redirected in circles")

    def _sent(self, request: httpx.Request, lane: str) -> httpx.Response:
        with self.budget.call(lane):
            try:
                response = self._client.send(request, stream=True)
            except (httpx.TransportError, httpx.DecodingError) as error:
                raise self._silence(request, error) from _harmless(error)
            read_body(response, most_bytes=self._most_bytes)
        self.budget.feed(response.headers)
        self._note_date(response)
        return response

    def _silence(self, request: httpx.Request, error: Exception) -> UnavailableError:
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

    def _followed(self, request: httpx.Request, response: httpx.Response) -> httpx.Request:
        try:
            target = request.url.join(response.headers["location"])
        except httpx.InvalidURL as error:
            raise ContractError(
                f"{request.method} {request.url.path} is redirected to what is no address"
            ) from error
        here = (self._base.scheme, self._base.host, self._base.port)
        if (
            request.method not in ("GET", "HEAD")
            or (target.scheme, target.host, target.port) != here
        ):
            raise ContractError(
                f"{request.method} {request.url.path} is redirected to {target.host!r};"
                " not followed: correct base_url"
            )
        return self._client.build_request(request.method, target, headers=request.headers)

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
