"""Work that is waiting: inbox (look at this), outbox (this is wanted there), dirty (derive anew).

The database is the truth about work; whoever runs it only brings ids.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import (
    Connection,
    Executable,
    and_,
    bindparam,
    case,
    delete,
    func,
    or_,
    select,
    update,
)

from hub.store.engine import Row, among, inserting, upsert
from hub.store.tables import dirty, inbox, outbox
from mappings.canonical.values import Values

#: How long a worker may keep an outbox entry before another one takes it over.
LEASE = timedelta(minutes=5)

#: The least that a mark of a derivation rises by, in seconds; more than a float's grain today.
_TICK = 0.001


@dataclass(frozen=True, slots=True)
class InboxItem:
    """A key to look at."""

    id: int
    stream: str
    key: str
    merged_into: str | None


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


# --- inbox -------------------------------------------------------------------------------------


def receive(tx: Connection, nudges: Sequence[dict[str, Any]], *, now: datetime) -> None:
    """Stores nudges {connection, stream, key, event_id, merged_into}; a known event is dropped."""
    rows = [{**nudge, "received_at": now, "due_at": now, "attempts": 0} for nudge in nudges]
    # Two receivers may be told of the same events: in one order they wait, they do not deadlock.
    rows.sort(key=lambda row: (row["connection"], row["event_id"]))
    upsert(tx, inbox, rows, key=["connection", "event_id"], update=[])


def inbox_streams(tx: Connection, connection: str, *, now: datetime) -> list[str]:
    """Returns the streams that have nudges due."""
    given = {"_connection": connection, "_now": now}
    return sorted(tx.execute(_NUDGED, given).scalars())


_DUE = inbox.c.due_at <= bindparam("_now")
_NUDGED = (
    select(inbox.c.stream).where(inbox.c.connection == bindparam("_connection"), _DUE).distinct()
)


def inbox_batch(
    tx: Connection, connection: str, stream: str, *, now: datetime, limit: int
) -> list[InboxItem]:
    """Returns the oldest due nudges of a stream."""
    given = {"_connection": connection, "_stream": stream, "_now": now, "_limit": limit}
    return [InboxItem(*row) for row in tx.execute(_NUDGES, given)]


_NUDGES = (
    select(inbox.c.id, inbox.c.stream, inbox.c.key, inbox.c.merged_into)
    .where(
        inbox.c.connection == bindparam("_connection"),
        inbox.c.stream == bindparam("_stream"),
        _DUE,
    )
    .order_by(inbox.c.id)
    .limit(bindparam("_limit"))
)


def inbox_done(tx: Connection, ids: Iterable[int]) -> None:
    """Forgets nudges whose record was looked at."""
    tx.execute(_INBOX_DONE, {"_ids": ids})


_INBOX_DONE = delete(inbox).where(among(inbox.c.id, "_ids"))


def inbox_later(tx: Connection, ids: Iterable[int], *, due_at: datetime) -> None:
    """Puts nudges off."""
    tx.execute(_INBOX_LATER, {"_ids": ids, "due_at": due_at})


_INBOX_LATER = update(inbox).where(among(inbox.c.id, "_ids")).values(attempts=inbox.c.attempts + 1)


# --- outbox ------------------------------------------------------------------------------------


def want(tx: Connection, wishes: Iterable[tuple[str, str, str]], *, now: datetime) -> None:
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
    _fold(tx, _wanting(tx.dialect.name), rows, key=["connection", "golden_id"])


@cache
def _wanting(dialect: str) -> Any:
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


def fulfilled(tx: Connection, wishes: Iterable[Wish]) -> None:
    """Clears wishes, but not those wished for anew in the meantime."""
    rows = [{"_id": wish.id, "_wish": wish.wish} for wish in wishes]
    if rows:
        tx.execute(_FULFIL, rows)
        anew = {**_UNLEASED, "state": "due", "sent": None, "reason": None, "error": None}
        tx.execute(CHANGE_WISHES, {"_ids": [row["_id"] for row in rows], **anew})


_FULFIL = delete(outbox).where(outbox.c.id == bindparam("_id"), outbox.c.wish == bindparam("_wish"))


def postpone(
    tx: Connection,
    wish: Wish,
    *,
    state: str | None,
    due_at: datetime,
    reason: str | None,
    error: str | None = None,
    waits_for: str | None = None,
) -> None:
    """Gives a wish back: due again later, waiting for something, or buried (None: as it was).

    One that was wished for anew meanwhile is not buried.
    """
    why = {"reason": reason, "error": error, "waits_for": waits_for}
    given = {"_id": wish.id, "due_at": due_at, **why, **_UNLEASED}
    if state is None:
        tx.execute(_POSTPONE, given)
    else:
        tx.execute(_POSTPONE_AS, {**given, "_wish": wish.wish, "_state": state})


_POSTPONE = CHANGE_WISH.values(attempts=outbox.c.attempts + 1)
_POSTPONE_AS = _POSTPONE.values(
    state=case((outbox.c.wish > bindparam("_wish"), "due"), else_=bindparam("_state"))
)


def release(tx: Connection, wishes: Sequence[Wish]) -> None:
    """Gives leases back untouched."""
    tx.execute(CHANGE_WISHES, {"_ids": [w.id for w in wishes], **_UNLEASED})


def wake(tx: Connection, golden_ids: Iterable[str], *, now: datetime) -> None:
    """Makes due what has been waiting for these golden records."""
    ids = list(golden_ids)
    if ids:
        tx.execute(_WAKE, {"_ids": ids, "due_at": now})


_WAKE = update(outbox).where(among(outbox.c.waits_for, "_ids"))


def wake_held(tx: Connection, connection: str, *, now: datetime) -> None:
    """Makes due what waits to be written in a connection: a pause is over."""
    tx.execute(
        update(outbox)
        .where(outbox.c.connection == connection, outbox.c.state == "waiting")
        .values(due_at=now)
    )


def wake_all(tx: Connection, *, now: datetime) -> None:
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


def replay(tx: Connection, ids: Sequence[int], *, now: datetime) -> int:
    """Makes wishes due again; returns how many."""
    again = {"state": "due", "due_at": now, "attempts": 0}
    statement = CHANGE_WISHES.values(wish=outbox.c.wish + 1)
    return tx.execute(statement, {"_ids": ids, **again}).rowcount


def drop(tx: Connection, ids: Sequence[int]) -> int:
    """Forgets wishes for good; returns how many."""
    return tx.execute(delete(outbox).where(among(outbox.c.id, "_ids")), {"_ids": ids}).rowcount


def drop_for(tx: Connection, connections: Iterable[str], golden_id: str) -> None:
    """Forgets the wishes for a golden record, but not creates that may have happened."""
    tx.execute(_DROP_FOR, {"_connections": connections, "_id": golden_id})


# By connection, too: only both together have an index.
_DROP_FOR = delete(outbox).where(
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
    select(func.count()).select_from(inbox).where(_DUE).scalar_subquery(),
    select(func.count())
    .select_from(outbox)
    .where(outbox.c.state.in_(("due", "sent", "waiting")), outbox.c.due_at <= bindparam("_now"))
    .scalar_subquery(),
    select(func.count()).select_from(dirty).scalar_subquery(),
)


# --- derivations -------------------------------------------------------------------------------


def soil(tx: Connection, golden_ids: Iterable[str], *, now: datetime, hops: int = 0) -> None:
    """Notes that flows must look at these golden records, after so many flows in a row."""
    mark = now.timestamp()
    rows = [{"golden_id": g, "mark": mark, "hops": hops} for g in dict.fromkeys(golden_ids)]
    _fold(tx, _soiling(tx.dialect.name), rows, key=["golden_id"])


@cache
def _soiling(dialect: str) -> Any:
    statement = inserting(dialect, dirty)
    hops = statement.excluded.hops
    # A mark always rises, also when the clock does not: `clean` must see that there is news.
    again = {
        "mark": dirty.c.mark + _TICK,
        "hops": case((dirty.c.hops > hops, dirty.c.hops), else_=hops),
    }
    return statement.on_conflict_do_update(index_elements=["golden_id"], set_=again)


def _fold(
    tx: Connection, statement: Executable, rows: Sequence[Row], *, key: Sequence[str]
) -> None:
    """Inserts rows, or folds them into those that are there.

    In one statement: between two, somebody may clear away what the first one has found. And in one
    order for everybody, so that two transactions wait and do not deadlock.
    """
    if rows:
        tx.execute(statement, sorted(rows, key=lambda row: [row[name] for name in key]))


def soiled(tx: Connection, *, limit: int) -> tuple[dict[str, float], int]:
    """Returns golden ids whose derivations are due, with a mark for `clean`, and their hops.

    Those with the fewest hops come first and by themselves: a chain without end delays nobody.
    """
    rows = tx.execute(_SOILED, {"_limit": limit}).all()
    return {row.golden_id: row.mark for row in rows}, max((row.hops for row in rows), default=0)


_SOILED = (
    select(dirty)
    .where(dirty.c.hops == select(func.min(dirty.c.hops)).scalar_subquery())
    .order_by(dirty.c.mark)
    .limit(bindparam("_limit"))
)


def clean(tx: Connection, marks: dict[str, float]) -> None:
    """Forgets derivations that were made, but not those that became due again meanwhile."""
    if marks:
        tx.execute(_CLEAN, [{"_id": golden_id, "_mark": mark} for golden_id, mark in marks.items()])


_CLEAN = delete(dirty).where(
    dirty.c.golden_id == bindparam("_id"), dirty.c.mark == bindparam("_mark")
)
