"""Streams: how far each one was read, whether it is paused, and which process reads it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, bindparam, or_, select, update

from hub.store.engine import upsert
from hub.store.tables import streams

#: How long one worker may read a stream before another one may take it over.
STREAM_LEASE = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class StreamState:
    """The stored state of a stream."""

    cursor: str | None = None
    fingerprint: str | None = None
    read_at: datetime | None = None
    swept_at: datetime | None = None
    paused_at: datetime | None = None
    reason: str | None = None
    accepted: bool = False
    #: End of the current lease; not part of the progress.
    leased_until: datetime | None = field(default=None, compare=False)
    leased_by: str | None = field(default=None, compare=False)


def stream_state(tx: Connection, connection: str, stream: str) -> StreamState:
    """Returns the state of a stream; one that was never read has no cursor."""
    row = tx.execute(_STREAM, {"_connection": connection, "_stream": stream}).first()
    if row is None:
        return StreamState()
    return _state(row)


def _state(row: Row[Any]) -> StreamState:
    return StreamState(
        row.cursor,
        row.fingerprint,
        row.read_at,
        row.swept_at,
        row.paused_at,
        row.reason,
        accepted=bool(row.accepted),
        leased_until=row.leased_until,
        leased_by=row.leased_by,
    )


_HERE = (
    streams.c.connection == bindparam("_connection"),
    streams.c.stream == bindparam("_stream"),
)
_STREAM = select(streams).where(*_HERE)


def accepted_streams(tx: Connection, connection: str) -> list[str]:
    """Returns the streams of a connection whose next large change a person has accepted."""
    query = select(streams.c.stream).where(
        streams.c.connection == connection, streams.c.accepted != 0
    )
    return sorted(tx.execute(query).scalars())


def all_streams(tx: Connection) -> dict[tuple[str, str], StreamState]:
    """Returns {(connection, stream): state} of all streams ever read."""
    query = select(streams).order_by(streams.c.connection, streams.c.stream)
    return {(row.connection, row.stream): _state(row) for row in tx.execute(query)}


def save_stream(tx: Connection, connection: str, stream: str, **values: Any) -> None:
    """Stores some columns of a stream's state."""
    row = {"connection": connection, "stream": stream, "accepted": 0, **values}
    upsert(tx, streams, [row], key=["connection", "stream"], update=list(values))


def lease_stream(
    tx: Connection, connection: str, stream: str, *, worker: str, now: datetime
) -> bool:
    """Leases a stream for this worker; returns False if another one is reading it."""
    upsert(
        tx,
        streams,
        [{"connection": connection, "stream": stream, "accepted": 0}],
        key=["connection", "stream"],
        update=[],
    )
    given = {"_connection": connection, "_stream": stream, "_worker": worker, "_now": now}
    lease = {"leased_by": worker, "leased_until": now + STREAM_LEASE}
    return tx.execute(_LEASE, {**given, **lease}).rowcount == 1


_LEASE = update(streams).where(
    *_HERE,
    or_(
        streams.c.leased_until.is_(None),
        streams.c.leased_until < bindparam("_now"),
        streams.c.leased_by == bindparam("_worker"),
    ),
)


def release_stream(tx: Connection, connection: str, stream: str, *, worker: str) -> None:
    """Releases a stream."""
    mine = {"_connection": connection, "_stream": stream, "_worker": worker}
    tx.execute(_RELEASE, {**mine, "leased_by": None, "leased_until": None})


_RELEASE = update(streams).where(*_HERE, streams.c.leased_by == bindparam("_worker"))
