"""The outbox: which golden records are wanted in which connection, and the state of their delivery.

What to write is computed when it is written, so entries for the same record fold into one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import Connection, and_, bindparam, case, delete, func, or_, select, update

from hub.model.causes import Cause
from hub.store import quarantine
from hub.store.engine import among, fold, inserting
from hub.store.tables import dirty, inbox, outbox
from hub.store.tables import quarantine as quarantined
from mappings.canonical.values import Values

#: How long a worker may keep an outbox entry before another one takes it over.
LEASE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """A golden record is wanted in a connection."""

    id: int
    connection: str
    entity: str
    golden_id: str
    state: str
    generation: int
    attempts: int
    #: The values of a write whose outcome is unknown.
    sent: Values | None = field(default=None, repr=False)


def enqueue(tx: Connection, entries: Collection[tuple[str, str, str]], *, now: datetime) -> None:
    """Enqueues (connection, entity, golden id); entries for the same record fold into one."""
    rows = [
        {
            "connection": connection,
            "entity": entity,
            "golden_id": golden_id,
            "state": "due",
            "generation": 1,
            "due_at": now,
            "attempts": 0,
            "first_at": now,
        }
        for connection, entity, golden_id in dict.fromkeys(entries)
    ]
    fold(tx, _enqueueing(tx.dialect.name), rows, key=["connection", "golden_id"])
    if rows:
        quarantine.enqueued_again(tx, list(dict.fromkeys(entries)))


@cache
def _enqueueing(dialect: str) -> Any:
    statement = inserting(dialect, outbox)
    # An existing entry gets a new generation. A create in flight stays in flight.
    again = {
        "generation": outbox.c.generation + 1,
        "due_at": statement.excluded.due_at,
        "attempts": 0,
        "state": case((outbox.c.state == "in_flight", "in_flight"), else_="due"),
    }
    return statement.on_conflict_do_update(index_elements=["connection", "golden_id"], set_=again)


def lease(
    tx: Connection,
    connection: str,
    *,
    entities: Sequence[str],
    worker: str,
    now: datetime,
    limit: int,
) -> list[OutboxEntry]:
    """Leases due entries of the first entity, in the given order, that has any.

    Parents come first because the entities are in that order. Leases of dead processes expire.
    """
    given = {"_connection": connection, "_now": now}
    present = set(tx.execute(_ENTITIES_DUE, given).scalars())
    for entity in entities:
        if entity not in present:
            continue
        rows = tx.execute(_ENTRIES_DUE, {**given, "_entity": entity, "_limit": limit})
        found = [
            OutboxEntry(
                r.id,
                r.connection,
                r.entity,
                r.golden_id,
                r.state,
                r.generation,
                r.attempts,
                r.sent_values,
            )
            for r in rows
        ]
        if found:
            taken = {"leased_by": worker, "leased_until": now + LEASE}
            tx.execute(CHANGE_ENTRIES, {"_ids": [w.id for w in found], **taken})
            return found
    return []


_FREE_AND_DUE = and_(
    outbox.c.connection == bindparam("_connection"),
    outbox.c.state.in_(("due", "in_flight")),
    outbox.c.due_at <= bindparam("_now"),
    or_(outbox.c.leased_until.is_(None), outbox.c.leased_until < bindparam("_now")),
)
_ENTITIES_DUE = select(outbox.c.entity).where(_FREE_AND_DUE).distinct()
_ENTRIES_DUE = (
    select(outbox)
    .where(_FREE_AND_DUE, outbox.c.entity == bindparam("_entity"))
    .order_by(outbox.c.id)
    .limit(bindparam("_limit"))
    .with_for_update(skip_locked=True)
)
#: Changes some entries: the values to set are passed together with `_ids`.
CHANGE_ENTRIES = update(outbox).where(among(outbox.c.id, "_ids"))
#: Changes one entry: the values to set are passed together with `_id`.
CHANGE_ENTRY = update(outbox).where(outbox.c.id == bindparam("_id"))
#: The entries of a connection for some golden records.
ABOUT = (outbox.c.connection == bindparam("_connection"), among(outbox.c.golden_id, "_ids"))
_UNLEASED = {"leased_by": None, "leased_until": None}


def complete(tx: Connection, entries: Iterable[OutboxEntry]) -> None:
    """Deletes entries, except those that were enqueued again in the meantime."""
    rows = [{"_id": entry.id, "_generation": entry.generation} for entry in entries]
    if rows:
        tx.execute(_COMPLETE, rows)
        ids = [row["_id"] for row in rows]
        tx.execute(CHANGE_ENTRIES, {"_ids": ids, **_UNLEASED, "state": "due", "sent_values": None})
        quarantine.resolve_writes(tx, ids)


_COMPLETE = delete(outbox).where(
    outbox.c.id == bindparam("_id"), outbox.c.generation == bindparam("_generation")
)


@dataclass(frozen=True, slots=True)
class Postponed:
    """An entry that could not be written now."""

    entry: OutboxEntry
    #: due (retried later) | waiting or held (in quarantine); None keeps the stored state.
    state: str | None
    due_at: datetime
    reason: str
    cause: Cause = Cause.FAILED
    error: str | None = None
    #: The golden record on whose change it is retried.
    waits_for: str | None = None


def postpone(tx: Connection, postponed: Sequence[Postponed], *, now: datetime) -> None:
    """Releases entries that are retried later or quarantined.

    An entry that was enqueued again in the meantime is due and not quarantined.
    """
    kept = [_released(one) for one in postponed if one.state is None]
    if kept:
        tx.execute(_POSTPONE, kept)
    decided = [one for one in postponed if one.state is not None]
    if not decided:
        return
    states = {"due": "due", "waiting": "due", "held": "held"}
    rows = [
        {**_released(one), "_generation": one.entry.generation, "_state": states[str(one.state)]}
        for one in decided
    ]
    tx.execute(_POSTPONE_AS, rows)
    quarantine.resolve_writes(tx, [one.entry.id for one in decided if one.state == "due"])
    quarantine.put_writes(tx, [_problem(one, now) for one in decided if one.state != "due"])


def _released(one: Postponed) -> dict[str, Any]:
    return {"_id": one.entry.id, "due_at": one.due_at, **_UNLEASED}


def _problem(one: Postponed, now: datetime) -> dict[str, Any]:
    given = {
        "id": one.entry.id,
        "generation": one.entry.generation,
        "state": one.state,
        "cause": one.cause.value,
        "reason": one.reason,
        "error": one.error,
        "waits_for": one.waits_for,
        "now": now,
    }
    return {f"_{name}": value for name, value in given.items()}


_POSTPONE = CHANGE_ENTRY.values(attempts=outbox.c.attempts + 1)
_POSTPONE_AS = _POSTPONE.values(
    state=case((outbox.c.generation > bindparam("_generation"), "due"), else_=bindparam("_state"))
)


def release(tx: Connection, entries: Sequence[OutboxEntry]) -> None:
    """Releases the leases of entries and leaves their states as they are."""
    tx.execute(CHANGE_ENTRIES, {"_ids": [w.id for w in entries], **_UNLEASED})


def resume_held(tx: Connection, connection: str, *, now: datetime) -> None:
    """Makes the waiting entries of a connection due, after a pause."""
    tx.execute(_RESUME_HELD, {"_source": connection, "due_at": now})


_RESUME_HELD = update(outbox).where(
    outbox.c.id.in_(
        select(quarantined.c.outbox_id).where(
            quarantined.c.kind == "push",
            quarantined.c.source == bindparam("_source"),
            quarantined.c.state == "waiting",
        )
    )
)


def resume_all_waiting(tx: Connection, *, now: datetime) -> None:
    """Makes all waiting entries and notifications due, for a full round that a person requested."""
    tx.execute(update(outbox).where(outbox.c.state != "held").values(due_at=now))
    tx.execute(update(inbox).values(due_at=now))


def cancel_for(tx: Connection, connections: Iterable[str], golden_id: str) -> None:
    """Deletes the entries for a golden record, except creates that may have happened."""
    tx.execute(_CANCEL_FOR, {"_connections": connections, "_id": golden_id})


# Filtered by connection, too: only both columns together have an index.
_CANCEL_FOR = delete(outbox).where(
    among(outbox.c.connection, "_connections"),
    outbox.c.golden_id == bindparam("_id"),
    outbox.c.state != "in_flight",
)


def backlog(tx: Connection) -> dict[tuple[str, str], int]:
    """Returns {(connection, due | sent | waiting | held | inbox): number of entries}."""
    counts = {(connection, state): n for connection, state, n in tx.execute(_BACKLOG)}
    notifications = select(inbox.c.connection, func.count()).group_by(inbox.c.connection)
    return counts | {(connection, "inbox"): n for connection, n in tx.execute(notifications)}


_STATE = func.coalesce(quarantined.c.state, outbox.c.state)
_BACKLOG = (
    select(outbox.c.connection, _STATE, func.count())
    .outerjoin_from(outbox, quarantined, quarantined.c.outbox_id == outbox.c.id)
    .group_by(outbox.c.connection, _STATE)
)


def due_in(tx: Connection, connection: str, *, now: datetime) -> int:
    """Returns the number of due entries of a connection."""
    return int(tx.execute(_DUE_IN, {"_connection": connection, "_now": now}).scalar_one())


_DUE_IN = select(func.count()).select_from(outbox).where(_FREE_AND_DUE)


def due_counts(tx: Connection, *, now: datetime) -> tuple[int, int, int]:
    """Returns the numbers of due notifications, outbox entries and derivations."""
    notifications, entries, derivations = map(int, tx.execute(_DUE_COUNTS, {"_now": now}).one())
    return notifications, entries, derivations


_DUE_COUNTS = select(
    select(func.count())
    .select_from(inbox)
    .where(inbox.c.due_at <= bindparam("_now"))
    .scalar_subquery(),
    select(func.count())
    .select_from(outbox)
    .where(outbox.c.state.in_(("due", "in_flight")), outbox.c.due_at <= bindparam("_now"))
    .scalar_subquery(),
    select(func.count()).select_from(dirty).scalar_subquery(),
)
