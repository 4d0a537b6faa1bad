"""Deliveries of the memory system: signed like those of real systems, and checked like them.

Header `x-memory-timestamp` has the seconds since 1970, `x-memory-signature` the hex HMAC-SHA256 of
`TIMESTAMP.BODY`. The body is `{"events": [{"id", "stream", "key", "into"?}]}`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from connectors.kit.contract import Notification, Request
from connectors.kit.errors import ContractError
from connectors.kit.signatures import genuine as signed
from connectors.kit.signatures import recent, sign

_TOLERANCE = timedelta(minutes=5)


def genuine(request: Request, secret: str) -> bool:
    """Returns True if a delivery was signed with the secret less than five minutes ago."""
    stamp = request.headers.get("x-memory-timestamp", "")
    given = request.headers.get("x-memory-signature", "")
    if not secret or not (stamp.isascii() and stamp.isdigit()) or len(stamp) > 11:
        return False
    sent_at = datetime.fromtimestamp(int(stamp), UTC)
    ours = signed(secret, _message(stamp, request.body), given)
    return ours and recent(sent_at, request.received_at, tolerance=_TOLERANCE)


def events(body: bytes) -> list[Notification]:
    """Reads a delivery. Raises: ContractError."""
    try:
        return [
            Notification(
                stream=str(event["stream"]),
                key=str(event["key"]),
                event_id=str(event["id"]),
                into=event.get("into"),
            )
            for event in json.loads(body)["events"]
        ]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ContractError("a memory delivery is not as documented: see webhooks.py") from error


def delivery(
    changes: Sequence[tuple[str, str]], *, secret: str, at: datetime, url: str = "memory://hook"
) -> Request:
    """Makes a signed delivery about some (stream, key), as the system would send it."""
    stamp = str(int(at.timestamp()))
    told = [
        Event(f"{stamp}-{index}-{stream}-{key}", stream, key)
        for index, (stream, key) in enumerate(changes)
    ]
    return posted(told, secret=secret, at=at, url=url)


@dataclass(frozen=True, slots=True)
class Event:
    """Something happened to a record."""

    #: The same when it is told again.
    id: str | int
    stream: str
    key: str
    #: What it was merged into.
    into: str | None = None


def posted(events: Sequence[Event], *, secret: str, at: datetime, url: str) -> Request:
    """Makes a signed delivery of some events."""
    stamp = str(int(at.timestamp()))
    told = [{name: value for name, value in asdict(e).items() if value is not None} for e in events]
    body = json.dumps({"events": told}).encode()
    headers = {
        "x-memory-timestamp": stamp,
        "x-memory-signature": sign(secret, _message(stamp, body)),
    }
    return Request(method="POST", url=url, headers=headers, body=body, received_at=at)


def _message(stamp: str, body: bytes) -> bytes:
    return stamp.encode() + b"." + body
