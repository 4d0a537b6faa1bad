"""Authentication of calls: httpx auth flows. A secret never appears in a repr.

OAuth tokens are renewed by their `expires_in`, not by waiting for a 401, by one process at a time,
and saved in the caller's `TokenStore` immediately: losing a rotated refresh token locks everyone
out.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

import httpx
import orjson

from connectors.kit.address import checked_base_url
from connectors.kit.body import read_body
from connectors.kit.errors import (
    ConnectorError,
    ContractError,
    CredentialsError,
    UnavailableError,
)

log = logging.getLogger("tulay.auth")

BasicAuth = httpx.BasicAuth

#: Long before any real expiry: a token with this date is renewed before its first use.
EXPIRED = datetime(1970, 1, 1, tzinfo=UTC)
#: Maximum size of a token endpoint's response.
_MOST_BYTES = 1 << 20
#: Number of checks whether another process has renewed, and the seconds between them.
_TURNS, _TURN = 400, 0.25
#: Responses of a token endpoint that mean "not now" rather than "no".
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
    """An OAuth access token, its expiry, and the refresh token that renews it."""

    access: str = field(repr=False)
    expires_at: datetime
    #: None where the grant needs none (client credentials).
    refresh: str | None = field(default=None, repr=False)
    #: Its lifetime when it was issued; None: unknown.
    lifetime: timedelta | None = None
    #: Fingerprint of the app and refresh token in the settings that it descends from.
    root: str = ""


class TokenStore(Protocol):
    """Storage of tokens, shared by calls and processes. `save` returns after the token is durable.

    All methods raise UnavailableError when the store does not answer.
    """

    def ready(self) -> None:
        """Returns if tokens can be stored. Raises: an error that says what is missing."""
        ...

    def load(self) -> Token | None:
        """Returns the newest token of all processes."""
        ...

    def save(self, token: Token) -> None:
        """Keeps a token for all processes."""
        ...

    def claim(self) -> bool:
        """Takes the lease to renew; False while another process holds it. A lease expires."""
        ...

    def release(self) -> None:
        """Releases the lease."""
        ...


class MemoryTokens:
    """Keeps the token in memory only; sufficient where refresh tokens do not rotate."""

    def __init__(self, token: Token | None = None) -> None:
        self._token = token

    def ready(self) -> None:
        """Always returns."""

    def load(self) -> Token | None:
        return self._token

    def save(self, token: Token) -> None:
        self._token = token

    def claim(self) -> bool:
        """Returns True: this is the only process, and its threads are serialised anyway."""
        return True

    def release(self) -> None:
        """Does nothing."""


def _now() -> datetime:
    return datetime.now(UTC)


class OAuthAuth(httpx.Auth):
    """Sends an OAuth2 access token and renews it before it expires.

    With a refresh token, from the argument or the store, by the grant `refresh_token`; without one
    by `client_credentials`. One thread of one process renews, the others wait for it and use what
    it has stored. A stored token that descends from other settings than these is not used.

    Raises: CredentialsError when the grant is refused, UnavailableError when it must wait.
    """

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
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._url = str(checked_base_url(token_url, name="the token endpoint")).rstrip("/")
        self._client = {"client_id": client_id, "client_secret": client_secret}
        self._refresh = refresh_token
        origin = orjson.dumps([self._url, client_id, refresh_token or ""])
        self._root = hashlib.sha256(origin).hexdigest()[:32]
        self._store: TokenStore = store if store is not None else MemoryTokens()
        self._store.ready()
        #: Additional form fields that a vendor requires, such as `scope` or `audience`.
        self._extra = dict(extra or {})
        self._margin = margin
        self._renew_on_401 = renew_on_401
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._token: Token | None = None
        #: The token is newer than what the store has: it could not be saved yet.
        self._unsaved = False
        #: A renewal was sent whose response never arrived.
        self._lost = False

    def sync_auth_flow(
        self, request: httpx.Request
    ) -> Generator[httpx.Request, httpx.Response, None]:
        token = self._token
        if self._unsaved:
            self._save_late()
        if token is None or not self._fresh(token):
            token = yield from self._renewed(token)
        request.headers["Authorization"] = f"Bearer {token.access}"
        response = yield request
        if response.status_code == 401 and self._renew_on_401:
            token = yield from self._renewed(token)
            request.headers["Authorization"] = f"Bearer {token.access}"
            yield request

    def _fresh(self, token: Token) -> bool:
        margin = self._margin
        if token.lifetime is not None:
            margin = min(margin, token.lifetime / 4)  # or a short one would never be fresh
        return token.expires_at - margin > self._clock()

    def _renewed(self, stale: Token | None) -> Generator[httpx.Request, httpx.Response, Token]:
        known = stale.access if stale else None
        with self._lock:
            for _ in range(_TURNS):
                token = self._stored()
                if token is not None and token.access != known and self._fresh(token):
                    self._token = token
                    return token
                if self._store.claim():
                    break
                self._sleep(_TURN)
            else:
                raise UnavailableError(
                    f"another process renews the token of {_place(self._url)} and does not finish;"
                    " try again"
                )
            try:
                # The previous holder of the lease may have renewed it in the meantime.
                token = self._stored()
                if token is None or token.access == known or not self._fresh(token):
                    token = yield from self._exchange(token.refresh if token else None)
                    self._keep(token)
                self._token = token
                return token
            finally:
                self._store.release()

    def _stored(self) -> Token | None:
        """Returns the newest token that belongs to these settings."""
        if self._unsaved:
            return self._token
        token = self._store.load()
        return token if token is None or token.root in ("", self._root) else None

    def _keep(self, token: Token) -> None:
        self._token, self._unsaved = token, True
        try:
            self._store.save(token)
            self._unsaved = False
        except UnavailableError as error:
            # It works; what must not happen is that it is forgotten.
            log.warning(
                "could not store a renewed token yet: %s",
                error,
                extra={"error_kind": type(error).__name__},
            )

    def _save_late(self) -> None:
        with self._lock:
            if self._unsaved and self._token is not None:
                self._keep(self._token)

    def _exchange(self, refresh: str | None) -> Generator[httpx.Request, httpx.Response, Token]:
        # A stored refresh token comes first, it may be a rotated one; the setting comes second,
        # a person may have put a new one there because the stored one was revoked.
        known = dict.fromkeys(one for one in (refresh, self._refresh) if one)
        tries: list[str | None] = [*known] or [None]
        for number, one in enumerate(tries, start=1):
            lost, self._lost = self._lost, True
            response = yield self._request(one)
            content = read_body(response, most_bytes=_MOST_BYTES)
            self._lost = False
            if response.is_success:
                return self._parsed(content, one)
            if number == len(tries) or response.status_code not in (400, 401, 403):
                raise self._refusal(response, lost=lost)
            self._lost = lost
        raise AssertionError("unreachable: tries is never empty")

    def _request(self, refresh: str | None) -> httpx.Request:
        grant = {"grant_type": "client_credentials"}
        if refresh:
            grant = {"grant_type": "refresh_token", "refresh_token": refresh}
        return httpx.Request("POST", self._url, data={**grant, **self._client, **self._extra})

    def _parsed(self, content: bytes, refresh: str | None) -> Token:
        try:
            answer = orjson.loads(content)
            lifetime = timedelta(seconds=float(answer.get("expires_in", 3600)))
            renews = answer.get("refresh_token") or refresh
            return Token(
                access=_header_value(answer["access_token"]),
                expires_at=self._clock() + lifetime,
                refresh=None if renews is None else str(renews),
                lifetime=lifetime,
                root=self._root,
            )
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            # from None: such errors quote what they could not read, here a token.
            if isinstance(error, orjson.JSONDecodeError) and content.startswith(b"{"):
                place = _place(self._url)
                raise UnavailableError(f"the answer of {place} was cut off; try again") from None
            raise ContractError(
                f"the token endpoint {_place(self._url)} answered without a token"
            ) from None

    def _refusal(self, response: httpx.Response, *, lost: bool) -> ConnectorError:
        status, place = response.status_code, _place(self._url)
        if status in BUSY or status >= 500:
            return UnavailableError(f"the token endpoint {place} answered {status}; try again")
        if response.has_redirect_location:
            return ContractError(
                f"the token endpoint {place} is redirected; not followed, it would get the secrets"
            )
        why = (
            " (the answer to the renewal before was lost: the system may have replaced the refresh"
            " token then)"
        )
        return CredentialsError(
            f"the token endpoint {place} refused the grant with {status}{why if lost else ''}:"
            " check client id, client secret and refresh token, or authorise the app again"
        )


def _header_value(token: object) -> str:
    text = str(token)
    if not (isinstance(token, str) and text and text.isascii() and text.isprintable()):
        raise ValueError("no token")
    return text


def _place(url: str) -> str:
    """Returns an address without its query, which may hold secrets."""
    return str(httpx.URL(url).copy_with(query=None))
