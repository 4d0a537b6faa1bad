"""Pieces of work by name: who holds them, when they last succeeded, how often they failed in a row.

The database is the truth about work; queues elsewhere only carry these names.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, or_, select, update

from hub.store.engine import upsert
from hub.store.leases import WORK_LEASE
from hub.store.tables import dirty, inbox, outbox, quarantine, work


@dataclass(frozen=True, slots=True)
class WorkState:
    """The stored state of a piece of work."""

    #: When it last succeeded; None: never.
    done_at: datetime | None = None
    #: The earliest time of the next attempt after a failure; None: any time.
    due_at: datetime | None = None
    failures: int = 0
    leased_until: datetime | None = None

    def free(self, now: datetime) -> bool:
        """Returns True if a process may take it now."""
        leased = self.leased_until is not None and self.leased_until >= now
        return not leased and (self.due_at is None or self.due_at <= now)


@dataclass(frozen=True, slots=True)
class Waiting:
    """What is due now in the queues."""

    #: (connection, stream) of due notifications.
    notified: frozenset[tuple[str, str]]
    #: (connection, stream) of quarantined records to be fetched again.
    fetch: frozenset[tuple[str, str]]
    #: Connections with due outbox entries.
    push: frozenset[str]
    #: True if flows are due.
    derive: bool


def states(tx: Connection) -> dict[str, WorkState]:
    """Returns the state of all work by name."""
    query = select(work.c.name, work.c.done_at, work.c.due_at, work.c.failures, work.c.leased_until)
    return {name: WorkState(*rest) for name, *rest in tx.execute(query)}


def take(tx: Connection, name: str, *, worker: str, now: datetime) -> bool:
    """Leases work; returns False if a process has it or it must wait after a failure."""
    upsert(tx, work, [{"name": name, "failures": 0}], key=["name"], update=[])
    free = or_(work.c.leased_until.is_(None), work.c.leased_until < now)
    due = or_(work.c.due_at.is_(None), work.c.due_at <= now)
    taken = tx.execute(
        update(work)
        .where(work.c.name == name, free, due)
        .values(leased_by=worker, leased_until=now + WORK_LEASE)
    )
    return taken.rowcount == 1


def done(tx: Connection, name: str, *, worker: str, now: datetime) -> None:
    """Releases work that has succeeded."""
    _give(tx, name, worker, done_at=now, due_at=None, failures=0)


def failed(tx: Connection, name: str, *, worker: str, failures: int, due_at: datetime) -> None:
    """Releases work that has failed `failures` times in a row, until `due_at`."""
    _give(tx, name, worker, due_at=due_at, failures=failures)


def unfinished(tx: Connection, name: str, *, worker: str) -> None:
    """Releases work that was interrupted; the next process may continue it."""
    _give(tx, name, worker)


def _give(tx: Connection, name: str, worker: str, **values: datetime | int | None) -> None:
    tx.execute(
        update(work)
        .where(work.c.name == name, work.c.leased_by == worker)
        .values(leased_by=None, leased_until=None, **values)
    )


def waiting(tx: Connection, *, now: datetime) -> Waiting:
    """Returns what is due now."""
    notified = select(inbox.c.connection, inbox.c.stream).where(inbox.c.due_at <= now).distinct()
    fetch = (
        select(quarantine.c.source, quarantine.c.stream)
        .where(
            quarantine.c.kind == "pull",
            quarantine.c.state == "waiting",
            quarantine.c.next_attempt_at <= now,
        )
        .distinct()
    )
    due_writes = select(outbox.c.connection).where(
        outbox.c.state.in_(("due", "in_flight")),
        outbox.c.due_at <= now,
        or_(outbox.c.leased_until.is_(None), outbox.c.leased_until < now),
    )
    flows = select(quarantine.c.id).where(
        quarantine.c.kind == "flow",
        quarantine.c.state == "waiting",
        quarantine.c.next_attempt_at <= now,
    )
    dirty_marks = tx.execute(select(dirty.c.golden_id).limit(1)).first() is not None
    return Waiting(
        notified=frozenset((connection, stream) for connection, stream in tx.execute(notified)),
        fetch=frozenset((connection, stream) for connection, stream in tx.execute(fetch)),
        push=frozenset(tx.execute(due_writes.distinct()).scalars()),
        derive=dirty_marks or tx.execute(flows.limit(1)).first() is not None,
    )
