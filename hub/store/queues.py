"""Work that is waiting: inbox (look at this), outbox (this is wanted there), dirty (derive anew).

The database is the truth about work; whoever runs it only brings ids.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Table, and_, bindparam, case, delete, func, or_, select, update

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
    query = (
        select(inbox.c.stream)
        .where(inbox.c.connection == connection, inbox.c.due_at <= now)
        .distinct()
    )
    return sorted(tx.execute(query).scalars())


def inbox_batch(
    tx: Connection, connection: str, stream: str, *, now: datetime, limit: int
) -> list[InboxItem]:
    """Returns the oldest due nudges of a stream."""
    query = (
        select(inbox.c.id, inbox.c.stream, inbox.c.key, inbox.c.merged_into)
        .where(inbox.c.connection == connection, inbox.c.stream == stream, inbox.c.due_at <= now)
        .order_by(inbox.c.id)
        .limit(limit)
    )
    return [InboxItem(*row) for row in tx.execute(query)]


def inbox_done(tx: Connection, ids: Iterable[int]) -> None:
    """Forgets nudges whose record was looked at."""
    tx.execute(delete(inbox).where(among(tx, inbox.c.id, ids)))


def inbox_later(tx: Connection, ids: Iterable[int], *, due_at: datetime) -> None:
    """Puts nudges off."""
    tx.execute(
        update(inbox)
        .where(among(tx, inbox.c.id, ids))
        .values(due_at=due_at, attempts=inbox.c.attempts + 1)
    )


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
    # One that was there already gets a new wish. A create whose outcome is unknown stays so.
    again = {
        "wish": outbox.c.wish + 1,
        "due_at": now,
        "attempts": 0,
        "state": case((outbox.c.state == "sent", "sent"), else_="due"),
    }
    _fold(tx, outbox, rows, key=["connection", "golden_id"], again=again)


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
    free = or_(outbox.c.leased_until.is_(None), outbox.c.leased_until < now)
    due = and_(
        outbox.c.connection == connection,
        outbox.c.state.in_(("due", "sent", "waiting")),
        outbox.c.due_at <= now,
        free,
    )
    present = set(tx.execute(select(outbox.c.entity).where(due).distinct()).scalars())
    for entity in entities:
        if entity not in present:
            continue
        query = (
            select(outbox)
            .where(due, outbox.c.entity == entity)
            .order_by(outbox.c.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        found = [
            Wish(r.id, r.connection, r.entity, r.golden_id, r.state, r.wish, r.attempts, r.sent)
            for r in tx.execute(query)
        ]
        if found:
            tx.execute(
                update(outbox)
                .where(among(tx, outbox.c.id, [w.id for w in found]))
                .values(leased_by=worker, leased_until=now + LEASE)
            )
            return found
    return []


def mark_sent(
    tx: Connection, *, creates: Mapping[int, Values], updates: Mapping[int, Values]
) -> None:
    """Writes down the intention to write {wish id: values}, before the network is touched.

    A create has the state `sent` until its outcome is known: it must not simply be repeated.
    """
    sending = update(outbox).where(outbox.c.id == bindparam("_id"))
    for values, state in ((creates, {"state": "sent"}), (updates, {})):
        rows = [{"_id": wish, "_sent": sent} for wish, sent in values.items()]
        if rows:
            tx.execute(sending.values(sent=bindparam("_sent"), **state), rows)


def sent_values(
    tx: Connection, connection: str, golden_ids: Iterable[str], *, created: bool
) -> dict[str, Values]:
    """Returns golden id -> values of creates (or updates) sent and not heard of since."""
    query = select(outbox.c.golden_id, outbox.c.sent).where(
        outbox.c.connection == connection,
        among(tx, outbox.c.golden_id, golden_ids),
        (outbox.c.state == "sent") if created else (outbox.c.state != "sent"),
        outbox.c.sent.is_not(None),
    )
    return {golden_id: sent for golden_id, sent in tx.execute(query)}


def heard_of(tx: Connection, connection: str, golden_ids: Iterable[str]) -> None:
    """Forgets updates that were sent: their record was seen since."""
    tx.execute(
        update(outbox)
        .where(
            outbox.c.connection == connection,
            among(tx, outbox.c.golden_id, golden_ids),
            outbox.c.state != "sent",
        )
        .values(sent=None)
    )


def mark_unsent(tx: Connection, ids: Iterable[int]) -> None:
    """Takes the intention back: the system said that nothing has happened."""
    tx.execute(update(outbox).where(among(tx, outbox.c.id, ids)).values(state="due", sent=None))


def fulfilled(tx: Connection, wishes: Iterable[Wish]) -> None:
    """Clears wishes, but not those wished for anew in the meantime."""
    for wish in wishes:
        tx.execute(delete(outbox).where(outbox.c.id == wish.id, outbox.c.wish == wish.wish))
        tx.execute(
            update(outbox)
            .where(outbox.c.id == wish.id)
            .values(
                leased_by=None, leased_until=None, state="due", sent=None, reason=None, error=None
            )
        )


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
    newer = outbox.c.wish > wish.wish
    values = {} if state is None else {"state": case((newer, "due"), else_=state)}
    tx.execute(
        update(outbox)
        .where(outbox.c.id == wish.id)
        .values(
            **values,
            due_at=due_at,
            reason=reason,
            error=error,
            waits_for=waits_for,
            attempts=outbox.c.attempts + 1,
            leased_by=None,
            leased_until=None,
        )
    )


def release(tx: Connection, wishes: Sequence[Wish]) -> None:
    """Gives leases back untouched."""
    tx.execute(
        update(outbox)
        .where(among(tx, outbox.c.id, [w.id for w in wishes]))
        .values(leased_by=None, leased_until=None)
    )


def wake(tx: Connection, golden_ids: Iterable[str], *, now: datetime) -> None:
    """Makes due what has been waiting for these golden records."""
    ids = list(golden_ids)
    if ids:
        tx.execute(update(outbox).where(among(tx, outbox.c.waits_for, ids)).values(due_at=now))


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
    query = select(outbox.c.golden_id, outbox.c.reason).where(
        outbox.c.connection == connection,
        outbox.c.state.in_(("waiting", "buried")),
        outbox.c.reason.is_not(None),
        among(tx, outbox.c.golden_id, golden_ids),
    )
    return {golden_id: reason for golden_id, reason in tx.execute(query)}


def replay(tx: Connection, ids: Sequence[int], *, now: datetime) -> int:
    """Makes wishes due again; returns how many."""
    result = tx.execute(
        update(outbox)
        .where(among(tx, outbox.c.id, ids))
        .values(state="due", due_at=now, attempts=0, wish=outbox.c.wish + 1)
    )
    return result.rowcount


def drop(tx: Connection, ids: Sequence[int]) -> int:
    """Forgets wishes for good; returns how many."""
    return tx.execute(delete(outbox).where(among(tx, outbox.c.id, ids))).rowcount


def drop_for(tx: Connection, golden_id: str) -> None:
    """Forgets all wishes for a golden record."""
    tx.execute(delete(outbox).where(outbox.c.golden_id == golden_id))


def backlog(tx: Connection) -> dict[tuple[str, str], int]:
    """Returns (connection, state) -> number of wishes; nudges have the state `inbox`."""
    query = select(outbox.c.connection, outbox.c.state, func.count()).group_by(
        outbox.c.connection, outbox.c.state
    )
    found = {(connection, state): n for connection, state, n in tx.execute(query)}
    nudges = select(inbox.c.connection, func.count()).group_by(inbox.c.connection)
    return found | {(connection, "inbox"): n for connection, n in tx.execute(nudges)}


def due_counts(tx: Connection, *, now: datetime) -> tuple[int, int, int]:
    """Returns how many nudges, wishes and derivations could be worked on now."""
    counts = (
        select(func.count()).select_from(inbox).where(inbox.c.due_at <= now),
        select(func.count())
        .select_from(outbox)
        .where(outbox.c.state.in_(("due", "sent", "waiting")), outbox.c.due_at <= now),
        select(func.count()).select_from(dirty),
    )
    nudges, wishes, derivations = (int(tx.execute(query).scalar_one()) for query in counts)
    return nudges, wishes, derivations


# --- derivations -------------------------------------------------------------------------------


def soil(tx: Connection, golden_ids: Iterable[str], *, now: datetime, hops: int = 0) -> None:
    """Notes that flows must look at these golden records, after so many flows in a row."""
    mark = now.timestamp()
    rows = [{"golden_id": g, "mark": mark, "hops": hops} for g in dict.fromkeys(golden_ids)]
    # A mark always rises, also when the clock does not: `clean` must see that there is news.
    farther = case((dirty.c.hops > hops, dirty.c.hops), else_=hops)
    again = {"mark": dirty.c.mark + _TICK, "hops": farther}
    _fold(tx, dirty, rows, key=["golden_id"], again=again)


def _fold(
    tx: Connection, table: Table, rows: Sequence[Row], *, key: Sequence[str], again: dict[str, Any]
) -> None:
    """Inserts rows, or does `again` to those that are there.

    In one statement: between two, somebody may clear away what the first one has found. And in one
    order for everybody, so that two transactions wait and do not deadlock.
    """
    if rows:
        statement = inserting(tx, table).on_conflict_do_update(index_elements=list(key), set_=again)
        tx.execute(statement, sorted(rows, key=lambda row: [row[name] for name in key]))


def soiled(tx: Connection, *, limit: int) -> tuple[dict[str, float], int]:
    """Returns golden ids whose derivations are due, with a mark for `clean`, and their hops.

    Those with the fewest hops come first and by themselves: a chain without end delays nobody.
    """
    query = (
        select(dirty)
        .where(dirty.c.hops == select(func.min(dirty.c.hops)).scalar_subquery())
        .order_by(dirty.c.mark)
        .limit(limit)
    )
    rows = tx.execute(query).all()
    return {row.golden_id: row.mark for row in rows}, max((row.hops for row in rows), default=0)


def clean(tx: Connection, marks: dict[str, float]) -> None:
    """Forgets derivations that were made, but not those that became due again meanwhile."""
    for golden_id, mark in marks.items():
        tx.execute(delete(dirty).where(dirty.c.golden_id == golden_id, dirty.c.mark == mark))
