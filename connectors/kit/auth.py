"""How calls prove who makes them: httpx auth flows. They refuse to show a secret in a repr.

OAuth tokens are renewed by their `expires_in`, not by waiting for a 401, under a lock, and handed
to the caller's `TokenStore` at once: a rotated refresh token that is lost locks everyone out.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

import httpx
import orjson

from connectors.kit.errors import ContractError, CredentialsError, UnavailableError

BasicAuth = httpx.BasicAuth

#: Long before any real expiry: a token with this date is renewed before its first use.
EXPIRED = datetime(1970, 1, 1, tzinfo=UTC)
#: Answers of a token endpoint that say "not now" rather than "no".
BUSY = frozenset({408, 425, 429})


class KeyAuth(httpx.Auth):
    """Sends a key in a header.

    Raises: CredentialsError when the key has characters that no header can carry.
    """

    def __init__(self, header: str, key: str) -> None:
        self._header = header
        self._key = key.strip()
        if not (self._key.isascii() and self._key.isprintable()):
            raise CredentialsError(
                f"the credential for {header} has characters that no key has; copy it once more"
            )

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers[self._header] = self._key
        yield request


class BearerAuth(KeyAuth):
    """Sends a token that does not expire."""

    def __init__(self, token: str) -> None:
        super().__init__("Authorization", f"Bearer {token}")


@dataclass(frozen=True, slots=True)
class Token:
    """An OAuth access token, until when it works, and what renews it."""

    access: str = field(repr=False)
    expires_at: datetime
    #: None where the grant needs none (client credentials).
    refresh: str | None = field(default=None, repr=False)


class TokenStore(Protocol):
    """Where tokens live between calls and processes. `save` returns after the token is durable."""

    def load(self) -> Token | None: ...

    def save(self, token: Token) -> None: ...


class MemoryTokens:
    """Keeps the token for as long as the process lives; fine where refresh tokens do not rotate."""

    def __init__(self, token: Token | None = None) -> None:
        self._token = token

    def load(self) -> Token | None:
        return self._token

    def save(self, token: Token) -> None:
        self._token = token


def _now() -> datetime:
    return datetime.now(UTC)


class OAuthAuth(httpx.Auth):
    """Sends an OAuth2 access token and renews it in time.

    With a refresh token, from the argument or the store, by the grant `refresh_token`; without one
    by `client_credentials`. One thread renews, the others wait for it; what another process has
    stored meanwhile is used rather than renewed again.

    Raises: CredentialsError when the grant is refused, UnavailableError when it must wait.
    """

    requires_response_body = True

    def __init__(
        self,
        token_url: str,
        *,
        client_id: str,
        client_secret: str,
        refresh_token: str | None = None,
        store: TokenStore | None = None,
        extra: Mapping[str, str] | None = None,
        margin: timedelta = timedelta(minutes=2),
        renew_on_401: bool = False,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        self._url = token_url
        self._client = {"client_id": client_id, "client_secret": client_secret}
        self._refresh = refresh_token
        self._store: TokenStore = store if store is not None else MemoryTokens()
        #: Form fields that a vendor wants besides, such as `scope` or `audience`.
        self._extra = dict(extra or {})
        self._margin = margin
        self._renew_on_401 = renew_on_401
        self._clock = clock
        self._lock = threading.Lock()
        self._token: Token | None = None

    def sync_auth_flow(
        self, request: httpx.Request
    ) -> Generator[httpx.Request, httpx.Response, None]:
        token = self._token
        if token is None or not self._fresh(token):
            token = yield from self._renewed(token)
        request.headers["Authorization"] = f"Bearer {token.access}"
        response = yield request
        if response.status_code == 401 and self._renew_on_401:
            token = yield from self._renewed(token)
            request.headers["Authorization"] = f"Bearer {token.access}"
            yield request

    def _fresh(self, token: Token) -> bool:
        return token.expires_at - self._margin > self._clock()

    def _renewed(self, stale: Token | None) -> Generator[httpx.Request, httpx.Response, Token]:
        with self._lock:
            token = self._store.load()
            known = stale.access if stale else None
            if token is None or token.access == known or not self._fresh(token):
                token = yield from self._exchange(token.refresh if token else None)
                self._store.save(token)
            self._token = token
            return token

    def _exchange(self, refresh: str | None) -> Generator[httpx.Request, httpx.Response, Token]:
        # A stored refresh token comes first, it may be a rotated one; the setting comes second,
        # a person may have put a new one there because the stored one was revoked.
        known = dict.fromkeys(one for one in (refresh, self._refresh) if one)
        tries: list[str | None] = [*known] or [None]
        for number, one in enumerate(tries, start=1):
            response = yield self._request(one)
            response.read()
            if response.is_success:
                return self._parsed(response, one)
            if number == len(tries) or response.status_code not in (400, 401, 403):
                raise self._refusal(response)
        raise AssertionError("unreachable: tries is never empty")

    def _request(self, refresh: str | None) -> httpx.Request:
        grant = {"grant_type": "client_credentials"}
        if refresh:
            grant = {"grant_type": "refresh_token", "refresh_token": refresh}
        return httpx.Request("POST", self._url, data={**grant, **self._client, **self._extra})

    def _parsed(self, response: httpx.Response, refresh: str | None) -> Token:
        try:
            answer = orjson.loads(response.content)
            return Token(
                access=str(answer["access_token"]),
                expires_at=self._clock() + timedelta(seconds=float(answer.get("expires_in", 3600))),
                refresh=answer.get("refresh_token") or refresh,
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            if isinstance(error, orjson.JSONDecodeError) and response.content.startswith(b"{"):
                place = _place(self._url)
                raise UnavailableError(f"the answer of {place} was cut off; try again") from None
            raise ContractError(
                f"the token endpoint {_place(self._url)} answered without a token"
            ) from error

    def _refusal(self, response: httpx.Response) -> CredentialsError | UnavailableError:
        status, place = response.status_code, _place(self._url)
        if status in BUSY or status >= 500:
            return UnavailableError(f"the token endpoint {place} answered {status}; try again")
        return CredentialsError(
            f"the token endpoint {place} refused the grant with {status}: check client id, client"
            " secret and refresh token, or authorise the app again"
        )


def _place(url: str) -> str:
    """Names an address without its query, which may hold secrets."""
    return str(httpx.URL(url).copy_with(query=None))
