"""The address as the sender called it, which many signatures cover. Pure."""

from __future__ import annotations

from collections.abc import Mapping


def called_url(
    path: str,
    query: str,
    headers: Mapping[str, str],
    *,
    public_url: str | None,
    scheme: str = "http",
    trusted: bool = False,
) -> str:
    """Returns the full address that the sender called, as far as it is known.

    `public_url` wins; then a trusted proxy's X-Forwarded-* headers; then the request itself.
    >>> called_url("/webhooks/crm", "", {"host": "h"}, public_url="https://tulay.example/")
    'https://tulay.example/webhooks/crm'
    >>> forwarded = {"host": "h", "x-forwarded-proto": "https", "x-forwarded-host": "a.example"}
    >>> called_url("/w", "a=1", forwarded, public_url=None, trusted=True)
    'https://a.example/w?a=1'
    >>> called_url("/w", "", forwarded, public_url=None)
    'http://h/w'
    """
    tail = f"{path}?{query}" if query else path
    if public_url:
        return public_url.rstrip("/") + tail
    host = headers.get("host", "")
    if trusted:
        # A chain of proxies writes a list; its first item is what the sender called.
        scheme = headers.get("x-forwarded-proto", scheme).split(",")[0].strip()
        host = headers.get("x-forwarded-host", host).split(",")[0].strip()
    return f"{scheme}://{host}{tail}"
