"""Who may call: one static token, and OAuth access tokens that expire and are renewed."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from connectors.hubspot.twin.calls import Call, Reply
from connectors.hubspot.twin.error_bodies import Refusal, expired, unauthorized
from connectors.kit.twin import Clock

SCOPES = [
    f"crm.objects.{name}.{way}"
    for name in ("contacts", "companies", "deals", "products", "line_items", "orders", "invoices")
    for way in ("read", "write")
] + ["oauth", "e-commerce"]


@dataclass(slots=True)
class Tokens:
    """The credentials that the twin accepts."""

    clock: Clock
    #: Never expires, like a service key.
    static: str = field(repr=False)
    client_id: str = "twin-client"
    client_secret: str = field(default="twin-client-secret", repr=False)
    refresh: str = field(default="twin-refresh", repr=False)
    code: str = field(default="twin-code", repr=False)
    #: Seconds that an access token lives.
    lifetime: int = 1800
    #: Give out a new refresh token each time and forget the old one.
    rotate: bool = False
    #: The one before stays good until the new one is used: its answer may have been lost.
    grace: bool = False
    revoked: bool = False
    #: Whether a valid token expires now, ahead of time.
    fickle: Callable[[], bool] = field(default=lambda: False, repr=False)
    _former: str = field(default="", repr=False)
    _used: set[str] = field(default_factory=set, repr=False)
    _access: dict[str, int] = field(default_factory=dict, repr=False)

    def admit(self, header: str | None) -> None:
        """Lets a request pass. Raises: Refusal (401)."""
        scheme, _, token = (header or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise unauthorized()
        if hmac.compare_digest(token.encode(), self.static.encode()):
            return
        until = self._access.get(token)
        if until is None:
            raise unauthorized()
        # A token is good for one call at least: the next one may find it ended before its time.
        if until > self.clock.ms() and token in self._used and self.fickle():
            until = self._access[token] = self.clock.ms()
        self._used.add(token)
        if until <= self.clock.ms():
            raise expired(until, self.clock.ms())

    def _issue(self) -> dict[str, Any]:
        token = f"twin-{secrets.token_hex(16)}"
        self._access[token] = self.clock.ms() + self.lifetime * 1000
        if self.rotate:
            self.refresh = f"twin-refresh-{secrets.token_hex(8)}"
        return {
            "token_type": "bearer",
            "access_token": token,
            "refresh_token": self.refresh,
            "expires_in": self.lifetime,
        }

    def grant(self, call: Call) -> Reply:
        """Gives an access token for a code or a refresh token, as a form."""
        form = _form(call)
        if form.get("client_id") != self.client_id or not hmac.compare_digest(
            form.get("client_secret", "").encode(), self.client_secret.encode()
        ):
            raise _bad("BAD_CLIENT_ID", "invalid_client", "missing or unknown client")
        wanted = {
            "refresh_token": ("refresh_token", [self.refresh, self._former]),
            "authorization_code": ("code", [self.code]),
        }.get(form.get("grant_type", ""))
        if wanted is None:
            raise _bad("BAD_GRANT_TYPE", "unsupported_grant_type", "grant_type is not supported")
        name, secrets_known = wanted
        given = form.get(name, "").encode()
        if self.revoked or not any(
            known and hmac.compare_digest(given, known.encode()) for known in secrets_known
        ):
            state = "BAD_REFRESH_TOKEN" if name == "refresh_token" else "BAD_AUTH_CODE"
            raise _bad(state, "invalid_grant", "missing or unknown refresh token or code")
        if name == "refresh_token" and self.grace and given == self.refresh.encode():
            self._former = self.refresh
        return Reply(200, self._issue())

    def introspect(self, call: Call) -> Reply:
        """Describes a token: whether it is valid, and whose it is."""
        token = _form(call).get("token", "")
        return Reply(200, {"active": self._alive(token), **self._about(call)})

    def revoke(self, call: Call) -> Reply:
        """Ends a token."""
        token = _form(call).get("token", "")
        self._access.pop(token, None)
        self.revoked = self.revoked or token == self.refresh
        return Reply(200, {})

    def access_info(self, call: Call) -> Reply:
        """Answers what the old token endpoint knows about an access token."""
        token = call.params["token"]
        if not self._alive(token):
            raise Refusal(404, "token not found", "OBJECT_NOT_FOUND")
        left = max(0, self._access.get(token, 0) - self.clock.ms()) // 1000
        about = self._about(call)
        return Reply(200, {**about, "token": token, "expires_in": left, "token_type": "access"})

    def refresh_info(self, call: Call) -> Reply:
        """Answers what the old token endpoint knows about a refresh token."""
        if self.revoked or call.params["token"] != self.refresh:
            raise Refusal(404, "token not found", "OBJECT_NOT_FOUND")
        about = {**self._about(call), "client_id": self.client_id}
        return Reply(200, {**about, "token": self.refresh, "token_type": "refresh"})

    def _alive(self, token: str) -> bool:
        return token == self.static or self._access.get(token, 0) > self.clock.ms()

    def _about(self, call: Call) -> dict[str, Any]:
        return {
            "hub_id": call.account.settings.portal_id,
            "user_id": 5001,
            "app_id": 880_011,
            "user": "anna@twin.example",
            "hub_domain": "twin.example",
            "scopes": SCOPES,
        }


def _form(call: Call) -> dict[str, str]:
    pairs = parse_qs(call.body.decode("utf-8", "replace"))
    return {name: values[-1] for name, values in pairs.items()}


def _bad(status: str, error: str, message: str) -> Refusal:
    """Refuses a grant; the status word is the old body's, `error` the new one's."""
    refusal = Refusal(400, message, "VALIDATION_ERROR", error=error, error_description=message)
    refusal.more["status"] = status
    return refusal
