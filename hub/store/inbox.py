"""The inbox: notifications, each about a key that must be fetched."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, delete, select, update

from hub.store.engine import among, upsert
from hub.store.tables import inbox


@dataclass(frozen=True, slots=True)
class InboxEntry:
    """A notification to be stored: an event of a connection about a key."""

    connection: str
    stream: str
    key: str
    #: An event is stored once, however often it is reported.
    event_id: str
    #: The key that the record was merged into.
    merged_into: str | None = None


@dataclass(frozen=True, slots=True)
class InboxItem:
    """A key to be fetched."""

    id: int
    stream: str
    key: str
    merged_into: str | None


def receive(tx: Connection, notifications: Sequence[InboxEntry], *, now: datetime) -> None:
    """Stores notifications, except those of known events."""
    rows = [
        {
            "connection": one.connection,
            "stream": one.stream,
            "key": one.key,
            "event_id": one.event_id,
            "merged_into": one.merged_into,
            "received_at": now,
            "due_at": now,
            "attempts": 0,
        }
        for one in notifications
    ]
    # In a common order, so that two receivers of the same events wait instead of deadlocking.
    rows.sort(key=lambda row: (row["connection"], row["event_id"]))
    upsert(tx, inbox, rows, key=["connection", "event_id"], update=[])


def streams_due(tx: Connection, connection: str, *, now: datetime) -> list[str]:
    """Returns the streams with due notifications."""
    given = {"_connection": connection, "_now": now}
    return sorted(tx.execute(_NOTIFIED, given).scalars())


_DUE = inbox.c.due_at <= bindparam("_now")
_NOTIFIED = (
    select(inbox.c.stream).where(inbox.c.connection == bindparam("_connection"), _DUE).distinct()
)


def due(
    tx: Connection, connection: str, stream: str, *, now: datetime, limit: int
) -> list[InboxItem]:
    """Returns the oldest due notifications of a stream."""
    given = {"_connection": connection, "_stream": stream, "_now": now, "_limit": limit}
    return [InboxItem(*row) for row in tx.execute(_NOTIFICATIONS, given)]


_NOTIFICATIONS = (
    select(inbox.c.id, inbox.c.stream, inbox.c.key, inbox.c.merged_into)
    .where(
        inbox.c.connection == bindparam("_connection"),
        inbox.c.stream == bindparam("_stream"),
        _DUE,
    )
    .order_by(inbox.c.id)
    .limit(bindparam("_limit"))
)


def done(tx: Connection, ids: Iterable[int]) -> None:
    """Removes processed notifications."""
    tx.execute(_DONE, {"_ids": ids})


_DONE = delete(inbox).where(among(inbox.c.id, "_ids"))


def postpone(tx: Connection, ids: Iterable[int], *, due_at: datetime) -> None:
    """Postpones notifications."""
    tx.execute(_POSTPONE, {"_ids": ids, "due_at": due_at})


_POSTPONE = update(inbox).where(among(inbox.c.id, "_ids")).values(attempts=inbox.c.attempts + 1)
