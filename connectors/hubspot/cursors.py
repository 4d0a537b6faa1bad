"""Cursors: positions in a stream as short JSON texts. Opaque to the hub.

A cursor is one of two: in the middle of a full read (`started`, `after`), or at a moment up to
which everything was read (`until`), with the last read of deletions (`deleted`) and the last read
of all records (`looked`) and their number of `pages`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from connectors.kit.errors import CursorExpiredError


@dataclass(frozen=True, slots=True)
class FullCursor:
    """In the middle of a full read."""

    #: The server's time before its first page.
    started: datetime
    after: str
    #: Pages read before.
    pages: int = 0


@dataclass(frozen=True, slots=True)
class ChangesCursor:
    """Everything modified before `until` was read."""

    until: datetime
    #: Everything deleted before this moment was read.
    deleted: datetime
    #: All records were read last; None: never, as far as known.
    looked: datetime | None = None
    pages: int = 0


def write_cursor(cursor: FullCursor | ChangesCursor) -> str:
    """Returns the text of a cursor.

    >>> write_cursor(FullCursor(datetime(2026, 1, 1, tzinfo=UTC), "17"))
    '{"started":"2026-01-01T00:00:00Z","after":"17"}'
    """
    option = orjson.OPT_UTC_Z
    facts: dict[str, Any]
    if isinstance(cursor, FullCursor):
        facts = {"started": cursor.started, "after": cursor.after}
    else:
        facts = {"until": cursor.until, "deleted": cursor.deleted}
        facts |= {"looked": cursor.looked} if cursor.looked else {}
    facts |= {"pages": cursor.pages} if cursor.pages else {}
    return orjson.dumps(facts, option=option).decode()


def read_cursor(text: str) -> FullCursor | ChangesCursor:
    """Reads a cursor. Raises: CursorExpiredError when it is not one of ours.

    >>> read_cursor(write_cursor(FullCursor(datetime(2026, 1, 1, tzinfo=UTC), "17"))).after
    '17'
    """
    try:
        facts = orjson.loads(text)
        if "after" in facts:
            after, pages = str(facts["after"]), int(facts.get("pages", 0))
            return FullCursor(_moment(facts["started"]), after, pages)
        return ChangesCursor(
            _moment(facts["until"]),
            _moment(facts["deleted"]),
            _moment(facts["looked"]) if "looked" in facts else None,
            int(facts.get("pages", 0)),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise CursorExpiredError(
            "this cursor is not one of HubSpot's; read the stream again"
        ) from error


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
