"""Checks of webhook signatures: constant time, and a time stamp that is recent on both sides.

Refuses to say why a signature is wrong.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import datetime, timedelta
from typing import Literal

Encoding = Literal["hex", "base64"]


def sign(
    secret: str, message: bytes, *, encoding: Encoding = "hex", algorithm: str = "sha256"
) -> str:
    """Returns the HMAC of a message.

    >>> sign("key", b"text")
    '6afa9046a9579cad143a384c1b564b9a250d27d6f6a63f9f20bf3a7594c9e2c6'
    """
    digest = hmac.new(secret.encode(), message, getattr(hashlib, algorithm)).digest()
    return digest.hex() if encoding == "hex" else base64.b64encode(digest).decode()


def genuine(
    secret: str,
    message: bytes,
    signature: str,
    *,
    encoding: Encoding = "hex",
    algorithm: str = "sha256",
) -> bool:
    """Checks in constant time that a signature matches the message; False without a secret.

    >>> genuine("", b"text", sign("", b"text"))
    False
    """
    if not secret or not signature:
        return False
    wanted = sign(secret, message, encoding=encoding, algorithm=algorithm)
    given = signature.strip()
    if encoding == "hex":
        given = given.lower()
    return hmac.compare_digest(wanted.encode(), given.encode())


def recent(stamp: datetime, now: datetime, *, tolerance: timedelta) -> bool:
    """Returns True if a time stamp lies within the tolerance, before or after now.

    >>> from datetime import UTC
    >>> noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    >>> recent(noon, noon + timedelta(minutes=6), tolerance=timedelta(minutes=5))
    False
    """
    return abs(now - stamp) <= tolerance
