"""How far we are: cursors, pauses, leases of streams, and the runs with their counts."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, insert, or_, select, update

from hub.model.surprise import Lately
from hub.store.engine import upsert
from hub.store.tables import connections, runs, streams

#: How long one worker may read a stream before another one may take it over.
STREAM_LEASE = timedelta(minutes=10)


#: What a run counts, and takes over from a page that was stored.
_COUNTS = ("seen", "same", "changed", "skipped", "buried", "written", "touched", "gone")


@dataclass(slots=True)
class Tally:
    """What one run saw and did. seen = same + changed + skipped + buried, or the run is red."""

    id: str
    kind: str
    connection: str
    stream: str
    started_at: datetime
    seen: int = 0
    same: int = 0
    changed: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    buried: int = 0
    written: int = 0
    #: Known records whose values changed or which were deleted: what a surprise is measured by.
    touched: int = 0
    #: Of these, those that are gone.
    gone: int = 0
    #: Key -> changed | gone, of those touched since the last copy.
    recent: dict[str, str] = field(default_factory=dict)
    #: What was touched within the limit's time, in all runs.
    lately: Lately = field(default_factory=Lately)

    def touch(self, key: str, what: str = "changed") -> None:
        """Counts a known record that has changed, or is gone."""
        self.touched += 1
        self.gone += what == "gone"
        self.recent[key] = what

    def skip(self, reason: str, count: int = 1) -> None:
        """Counts records that were left alone for a reason."""
        self.skipped[reason] = self.skipped.get(reason, 0) + count

    def copy(self) -> Tally:
        """Returns an independent copy."""
        return replace(self, skipped=dict(self.skipped), recent={})

    def become(self, other: Tally) -> None:
        """Takes over the counts of another one."""
        for name in _COUNTS:
            setattr(self, name, getattr(other, name))

    @property
    def adds_up(self) -> bool:
        """Says whether every record seen is accounted for."""
        return self.seen == self.same + self.changed + sum(self.skipped.values()) + self.buried


@dataclass(frozen=True, slots=True)
class StreamState:
    """Where we are in a stream."""

    cursor: str | None = None
    fingerprint: str | None = None
    read_at: datetime | None = None
    swept_at: datetime | None = None
    paused_at: datetime | None = None
    reason: str | None = None
    accepted: bool = False


def stream_state(tx: Connection, connection: str, stream: str) -> StreamState:
    """Returns where we are in a stream; a stream never read has no cursor."""
    row = tx.execute(_STREAM, {"_connection": connection, "_stream": stream}).first()
    if row is None:
        return StreamState()
    return StreamState(
        row.cursor,
        row.fingerprint,
        row.read_at,
        row.swept_at,
        row.paused_at,
        row.reason,
        bool(row.accepted),
    )


_HERE = (
    streams.c.connection == bindparam("_connection"),
    streams.c.stream == bindparam("_stream"),
)
_STREAM = select(streams).where(*_HERE)


def accepted_streams(tx: Connection, connection: str) -> list[str]:
    """Returns the streams of a connection whose next surprise a person has accepted."""
    query = select(streams.c.stream).where(
        streams.c.connection == connection, streams.c.accepted != 0
    )
    return sorted(tx.execute(query).scalars())


def all_streams(tx: Connection) -> list[dict[str, Any]]:
    """Returns the state of all streams ever read."""
    query = select(streams).order_by(streams.c.connection, streams.c.stream)
    return [dict(row._mapping) for row in tx.execute(query)]


def save_stream(tx: Connection, connection: str, stream: str, **values: Any) -> None:
    """Stores some columns of a stream's state."""
    row = {"connection": connection, "stream": stream, "accepted": 0, **values}
    upsert(tx, streams, [row], key=["connection", "stream"], update=list(values))


def lease_stream(
    tx: Connection, connection: str, stream: str, *, worker: str, now: datetime
) -> bool:
    """Takes a stream for this worker; False when another one is reading it."""
    upsert(
        tx,
        streams,
        [{"connection": connection, "stream": stream, "accepted": 0}],
        key=["connection", "stream"],
        update=[],
    )
    here = {"_connection": connection, "_stream": stream, "_worker": worker, "_now": now}
    lease = {"leased_by": worker, "leased_until": now + STREAM_LEASE}
    return tx.execute(_LEASE, {**here, **lease}).rowcount == 1


_LEASE = update(streams).where(
    *_HERE,
    or_(
        streams.c.leased_until.is_(None),
        streams.c.leased_until < bindparam("_now"),
        streams.c.leased_by == bindparam("_worker"),
    ),
)


def release_stream(tx: Connection, connection: str, stream: str, *, worker: str) -> None:
    """Gives a stream back."""
    mine = {"_connection": connection, "_stream": stream, "_worker": worker}
    tx.execute(_RELEASE, {**mine, "leased_by": None, "leased_until": None})


_RELEASE = update(streams).where(*_HERE, streams.c.leased_by == bindparam("_worker"))


# --- connections -------------------------------------------------------------------------------


def connection_states(tx: Connection) -> dict[str, dict[str, Any]]:
    """Returns what is remembered of each connection."""
    return {row.connection: dict(row._mapping) for row in tx.execute(select(connections))}


def save_connection(tx: Connection, connection: str, **values: Any) -> None:
    """Stores some columns of a connection's state."""
    row = {"connection": connection, **values}
    upsert(tx, connections, [row], key=["connection"], update=list(values))


def paused(tx: Connection, connection: str) -> str | None:
    """Returns why a connection is paused, or None."""
    row = tx.execute(_PAUSED, {"_connection": connection}).first()
    return None if row is None or row.paused_at is None else str(row.reason)


_PAUSED = select(connections.c.reason, connections.c.paused_at).where(
    connections.c.connection == bindparam("_connection")
)


# --- runs --------------------------------------------------------------------------------------


def start_run(tx: Connection, tally: Tally) -> None:
    """Notes that a run has begun."""
    row = {
        "id": tally.id,
        "kind": tally.kind,
        "connection": tally.connection,
        "stream": tally.stream,
        "started_at": tally.started_at,
        "state": "running",
    }
    tx.execute(_START, row)


_START = insert(runs)


def last_pause(tx: Connection, connection: str, stream: str) -> str | None:
    """Returns which kind of run last paused a stream, if any did."""
    query = (
        select(runs.c.kind)
        .where(runs.c.connection == connection, runs.c.stream == stream, runs.c.state == "paused")
        .order_by(runs.c.started_at.desc())
        .limit(1)
    )
    return tx.execute(query).scalar()


def save_run(
    tx: Connection,
    tally: Tally,
    *,
    state: str = "running",
    finished_at: datetime | None = None,
    reason: str | None = None,
) -> None:
    """Stores the counts of a run, and how it ended."""
    counts = {
        "seen": tally.seen,
        "same": tally.same,
        "changed": tally.changed,
        "skipped": tally.skipped or None,
        "buried": tally.buried,
        "written": tally.written,
    }
    end = {"state": state, "finished_at": finished_at, "reason": reason}
    tx.execute(_SAVE, {"_id": tally.id, **counts, **end})


_SAVE = update(runs).where(runs.c.id == bindparam("_id"))


def recent_runs(tx: Connection, *, limit: int = 20) -> list[dict[str, Any]]:
    """Returns the newest runs first."""
    query = select(runs).order_by(runs.c.started_at.desc()).limit(limit)
    return [dict(row._mapping) for row in tx.execute(query)]
