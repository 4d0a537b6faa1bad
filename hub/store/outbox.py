"""The outbox: that a golden record is wanted in a connection, and how far its delivery is.

What to write is computed when it is written, so entries for the same record fold together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import Connection, and_, bindparam, case, delete, func, or_, select, update

from hub.store.engine import among, fold, inserting
from hub.store.tables import dirty, inbox, outbox
from mappings.canonical.values import Values

#: How long a worker may keep an outbox entry before another one takes it over.
LEASE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Wish:
    """That a golden record is wanted in a connection."""

    id: int
    connection: str
    entity: str
    golden_id: str
    state: str
    wish: int
    attempts: int
    #: The values of a write whose outcome is unknown.
    sent: Values | None = field(default=None, repr=False)


def enqueue(tx: Connection, wishes: Iterable[tuple[str, str, str]], *, now: datetime) -> None:
    """Notes (connection, entity, golden id) as wanted; entries for the same one fold together."""
    rows = [
        {
            "connection": connection,
            "entity": entity,
            "golden_id": golden_id,
            "state": "due",
            "wish": 1,
            "due_at": now,
            "attempts": 0,
            "first_at": now,
        }
        for connection, entity, golden_id in dict.fromkeys(wishes)
    ]
    fold(tx, _enqueueing(tx.dialect.name), rows, key=["connection", "golden_id"])


@cache
def _enqueueing(dialect: str) -> Any:
    statement = inserting(dialect, outbox)
    # One that was there already gets a new wish. A create whose outcome is unknown stays so.
    again = {
        "wish": outbox.c.wish + 1,
        "due_at": statement.excluded.due_at,
        "attempts": 0,
        "state": case((outbox.c.state == "sent", "sent"), else_="due"),
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
) -> list[Wish]:
    """Takes due wishes of the first entity (in the given order) that has some, for this worker.

    Parents come first because entities are given parents first. Leases of the dead run out.
    """
    given = {"_connection": connection, "_now": now}
    present = set(tx.execute(_ENTITIES_DUE, given).scalars())
    for entity in entities:
        if entity not in present:
            continue
        rows = tx.execute(_WISHES_DUE, {**given, "_entity": entity, "_limit": limit})
        found = [
            Wish(r.id, r.connection, r.entity, r.golden_id, r.state, r.wish, r.attempts, r.sent)
            for r in rows
        ]
        if found:
            taken = {"leased_by": worker, "leased_until": now + LEASE}
            tx.execute(CHANGE_WISHES, {"_ids": [w.id for w in found], **taken})
            return found
    return []


_FREE_AND_DUE = and_(
    outbox.c.connection == bindparam("_connection"),
    outbox.c.state.in_(("due", "sent", "waiting")),
    outbox.c.due_at <= bindparam("_now"),
    or_(outbox.c.leased_until.is_(None), outbox.c.leased_until < bindparam("_now")),
)
_ENTITIES_DUE = select(outbox.c.entity).where(_FREE_AND_DUE).distinct()
_WISHES_DUE = (
    select(outbox)
    .where(_FREE_AND_DUE, outbox.c.entity == bindparam("_entity"))
    .order_by(outbox.c.id)
    .limit(bindparam("_limit"))
    .with_for_update(skip_locked=True)
)
#: Changes some wishes: what is to be set is given beside `_ids`.
CHANGE_WISHES = update(outbox).where(among(outbox.c.id, "_ids"))
#: Changes one wish: what is to be set is given beside `_id`.
CHANGE_WISH = update(outbox).where(outbox.c.id == bindparam("_id"))
#: The wishes of a connection for some golden records.
ABOUT = (outbox.c.connection == bindparam("_connection"), among(outbox.c.golden_id, "_ids"))
_UNLEASED = {"leased_by": None, "leased_until": None}


def complete(tx: Connection, wishes: Iterable[Wish]) -> None:
    """Clears wishes, but not those wished for anew in the meantime."""
    rows = [{"_id": wish.id, "_wish": wish.wish} for wish in wishes]
    if rows:
        tx.execute(_COMPLETE, rows)
        anew = {**_UNLEASED, "state": "due", "sent": None, "reason": None, "error": None}
        tx.execute(CHANGE_WISHES, {"_ids": [row["_id"] for row in rows], **anew})


_COMPLETE = delete(outbox).where(
    outbox.c.id == bindparam("_id"), outbox.c.wish == bindparam("_wish")
)


@dataclass(frozen=True, slots=True)
class Postponed:
    """A wish that is given back: due again later, waiting for something, or buried."""

    wish: Wish
    #: None: as it is stored. One that was wished for anew meanwhile is due, not buried.
    state: str | None
    due_at: datetime
    reason: str | None
    error: str | None = None
    waits_for: str | None = None


def postpone_all(tx: Connection, items: Iterable[Postponed]) -> None:
    """Gives wishes back, two statements however many they are."""
    as_stored: list[dict[str, Any]] = []
    in_state: list[dict[str, Any]] = []
    for item in items:
        why = {"reason": item.reason, "error": item.error, "waits_for": item.waits_for}
        row = {"_id": item.wish.id, "due_at": item.due_at, **why, **_UNLEASED}
        if item.state is None:
            as_stored.append(row)
        else:
            in_state.append({**row, "_wish": item.wish.wish, "_state": item.state})
    if as_stored:
        tx.execute(_POSTPONE, as_stored)
    if in_state:
        tx.execute(_POSTPONE_AS, in_state)


def postpone(tx: Connection, wish: Wish, **how: Any) -> None:
    """Gives one wish back; see `Postponed`."""
    postpone_all(tx, [Postponed(wish, **how)])


_POSTPONE = CHANGE_WISH.values(attempts=outbox.c.attempts + 1)
_POSTPONE_AS = _POSTPONE.values(
    state=case((outbox.c.wish > bindparam("_wish"), "due"), else_=bindparam("_state"))
)


def release(tx: Connection, wishes: Sequence[Wish]) -> None:
    """Gives leases back untouched."""
    tx.execute(CHANGE_WISHES, {"_ids": [w.id for w in wishes], **_UNLEASED})


def resume_waiting(tx: Connection, golden_ids: Iterable[str], *, now: datetime) -> None:
    """Makes due what has been waiting for these golden records."""
    ids = list(golden_ids)
    if ids:
        tx.execute(_RESUME_WAITING, {"_ids": ids, "due_at": now})


_RESUME_WAITING = update(outbox).where(among(outbox.c.waits_for, "_ids"))


def resume_held(tx: Connection, connection: str, *, now: datetime) -> None:
    """Makes due what waits to be written in a connection: a pause is over."""
    tx.execute(
        update(outbox)
        .where(outbox.c.connection == connection, outbox.c.state == "waiting")
        .values(due_at=now)
    )


def resume_all_waiting(tx: Connection, *, now: datetime) -> None:
    """Makes everything due that waits: a person has asked for a full round."""
    tx.execute(update(outbox).where(outbox.c.state != "buried").values(due_at=now))
    tx.execute(update(inbox).values(due_at=now))


def retry_refused(tx: Connection, *, now: datetime) -> None:
    """Makes due what a system refused: what it lacked may have been added over there.

    What was buried for another reason waits for a person.
    """
    refused = (outbox.c.state == "buried") & (outbox.c.error == "RecordRejectedError")
    tx.execute(update(outbox).where(refused).values(state="due", due_at=now))


def set_aside(tx: Connection, connection: str | None = None) -> list[dict[str, Any]]:
    """Returns the waiting and buried wishes, for people."""
    query = select(outbox).where(outbox.c.state.in_(("waiting", "buried"))).order_by(outbox.c.id)
    if connection is not None:
        query = query.where(outbox.c.connection == connection)
    return [dict(row._mapping) for row in tx.execute(query)]


def reasons(tx: Connection, connection: str, golden_ids: Iterable[str]) -> dict[str, str]:
    """Returns golden id -> why it waits or is buried, of those that do in a connection."""
    given = {"_connection": connection, "_ids": golden_ids}
    return {golden_id: reason for golden_id, reason in tx.execute(_REASONS, given)}


_REASONS = select(outbox.c.golden_id, outbox.c.reason).where(
    *ABOUT, outbox.c.state.in_(("waiting", "buried")), outbox.c.reason.is_not(None)
)


def retry(tx: Connection, ids: Sequence[int], *, now: datetime) -> int:
    """Makes wishes due again; returns how many."""
    again = {"state": "due", "due_at": now, "attempts": 0}
    statement = CHANGE_WISHES.values(wish=outbox.c.wish + 1)
    return tx.execute(statement, {"_ids": ids, **again}).rowcount


def drop(tx: Connection, ids: Sequence[int]) -> int:
    """Forgets wishes for good; returns how many."""
    return tx.execute(delete(outbox).where(among(outbox.c.id, "_ids")), {"_ids": ids}).rowcount


def cancel_for(tx: Connection, connections: Iterable[str], golden_id: str) -> None:
    """Forgets the wishes for a golden record, but not creates that may have happened."""
    tx.execute(_CANCEL_FOR, {"_connections": connections, "_id": golden_id})


# By connection, too: only both together have an index.
_CANCEL_FOR = delete(outbox).where(
    among(outbox.c.connection, "_connections"),
    outbox.c.golden_id == bindparam("_id"),
    outbox.c.state != "sent",
)


def backlog(tx: Connection) -> dict[tuple[str, str], int]:
    """Returns (connection, state) -> number of wishes; nudges have the state `inbox`."""
    query = select(outbox.c.connection, outbox.c.state, func.count()).group_by(
        outbox.c.connection, outbox.c.state
    )
    found = {(connection, state): n for connection, state, n in tx.execute(query)}
    nudges = select(inbox.c.connection, func.count()).group_by(inbox.c.connection)
    return found | {(connection, "inbox"): n for connection, n in tx.execute(nudges)}


def due_in(tx: Connection, connection: str, *, now: datetime) -> int:
    """Returns how many wishes of a connection are due."""
    return int(tx.execute(_DUE_IN, {"_connection": connection, "_now": now}).scalar_one())


_DUE_IN = select(func.count()).select_from(outbox).where(_FREE_AND_DUE)


def due_counts(tx: Connection, *, now: datetime) -> tuple[int, int, int]:
    """Returns how many nudges, wishes and derivations could be worked on now."""
    nudges, wishes, derivations = map(int, tx.execute(_DUE_COUNTS, {"_now": now}).one())
    return nudges, wishes, derivations


_DUE_COUNTS = select(
    select(func.count())
    .select_from(inbox)
    .where(inbox.c.due_at <= bindparam("_now"))
    .scalar_subquery(),
    select(func.count())
    .select_from(outbox)
    .where(outbox.c.state.in_(("due", "sent", "waiting")), outbox.c.due_at <= bindparam("_now"))
    .scalar_subquery(),
    select(func.count()).select_from(dirty).scalar_subquery(),
)
