"""Which addresses may be called, and keys as parts of them."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import quote

import httpx

from connectors.kit.errors import CredentialsError, RecordMissingError

#: Segments that servers and clients remove from a path together with the previous one.
_CLIMBS = re.compile(r"/(?:\.|%2e){1,2}(?=[/?#]|$)", re.IGNORECASE)


def climbs(address: str) -> bool:
    """Returns True if a path would leave the place it appears to lead to.

    >>> climbs("https://host/companies/.."), climbs("https://host/a/%2E%2e/b"), climbs("/v1.0/a..b")
    (True, True, False)
    """
    return _CLIMBS.search(address.partition("?")[0]) is not None


def segment(key: str, *, stream: str = "") -> str:
    """Returns a key as one segment of a path, with any characters escaped.

    Raises: RecordMissingError for what no path can name: `.`, `..` and the empty key.

    >>> segment("a/b?c#d"), segment("50%"), segment("ü")
    ('a%2Fb%3Fc%23d', '50%25', '%C3%BC')
    """
    if key in ("", ".", "..") or "\0" in key:
        raise RecordMissingError("no record can have such a key", stream=stream)
    return quote(key, safe="", errors="replace")


def checked_base_url(base_url: str, *, name: str = "base_url") -> httpx.URL:
    """Returns the address when it is safe to send credentials to.

    Raises: CredentialsError unless it is https, or http on loopback.
    """
    try:
        url = httpx.URL(base_url.rstrip("/") + "/")
    except httpx.InvalidURL:
        # from None: an address may have a password in it.
        raise CredentialsError(f"{name} is not an address; write https://host") from None
    if (url.scheme == "https" and url.host) or (url.scheme == "http" and _loopback(url.host)):
        return url
    raise CredentialsError(
        f"{name} must start with https:// (host {url.host!r}): credentials are not sent"
        " unencrypted, except to this very machine"
    )


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
