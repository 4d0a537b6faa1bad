"""Leases of all kinds: renewed while a process works, released when it has ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, and_, exists, func, literal, select, update

from hub.store.outbox import LEASE
from hub.store.streams import STREAM_LEASE
from hub.store.tables import connections, outbox, runs, streams, work

#: How long a piece of work stays with a worker that has stopped renewing.
WORK_LEASE = timedelta(minutes=2)

_TERMS = ((outbox, LEASE), (streams, STREAM_LEASE), (work, WORK_LEASE))
#: Connections: the lease on renewing tokens is short and never renewed, so that it expires.
_ALL = (outbox, streams, work, connections)


@dataclass(frozen=True, slots=True)
class Held:
    """A lease of another process: a stream that it reads, or records that it writes."""

    connection: str
    #: Empty for records that are being written.
    stream: str
    worker: str
    #: Number of streams or records.
    count: int
    until: datetime


def held_by_others(tx: Connection, worker: str, *, now: datetime) -> tuple[Held, ...]:
    """Returns the leases of all processes but this worker."""

    def of_others(table: Any) -> tuple[Any, ...]:
        return (
            table.c.leased_by.is_not(None),
            table.c.leased_by != worker,
            table.c.leased_until >= now,
        )

    read = select(
        streams.c.connection,
        streams.c.stream,
        streams.c.leased_by,
        literal(1),
        streams.c.leased_until,
    ).where(*of_others(streams))
    written = (
        select(
            outbox.c.connection,
            literal(""),
            outbox.c.leased_by,
            func.count(),
            func.max(outbox.c.leased_until),
        )
        .where(*of_others(outbox))
        .group_by(outbox.c.connection, outbox.c.leased_by)
    )
    return tuple(Held(*row) for query in (read, written) for row in tx.execute(query))


def holders(tx: Connection) -> set[str]:
    """Returns the names of all processes that hold a lease."""
    found: set[str] = set()
    for table in _ALL:
        query = select(table.c.leased_by).where(table.c.leased_by.is_not(None)).distinct()
        found.update(tx.execute(query).scalars())
    return found


def renew(tx: Connection, worker: str, *, now: datetime) -> None:
    """Renews all leases of a living worker."""
    for table, term in _TERMS:
        tx.execute(update(table).where(table.c.leased_by == worker).values(leased_until=now + term))


def release(tx: Connection, worker: str, *, now: datetime, reason: str) -> None:
    """Releases all leases of a worker that has ended, and ends the runs it left behind."""
    left = exists().where(
        streams.c.leased_by == worker,
        streams.c.connection == runs.c.connection,
        streams.c.stream == runs.c.stream,
    )
    tx.execute(
        update(runs)
        .where(and_(runs.c.state == "running", left))
        .values(state="stopped", finished_at=now, reason=reason)
    )
    for table in _ALL:
        tx.execute(
            update(table)
            .where(table.c.leased_by == worker)
            .values(leased_by=None, leased_until=None)
        )


def let_go(tx: Connection, worker: str, connection: str, stream: str) -> None:
    """Releases the leases of one piece of work: a stream, or otherwise outbox entries."""
    table = streams if stream else outbox
    mine = [table.c.leased_by == worker, table.c.connection == connection]
    if stream:
        mine.append(streams.c.stream == stream)
    tx.execute(update(table).where(*mine).values(leased_by=None, leased_until=None))


def end_runs(tx: Connection, connection: str, stream: str, *, now: datetime, reason: str) -> None:
    """Ends the runs of a stream that were interrupted."""
    tx.execute(
        update(runs)
        .where(runs.c.connection == connection, runs.c.stream == stream, runs.c.state == "running")
        .values(state="stopped", finished_at=now, reason=reason)
    )
