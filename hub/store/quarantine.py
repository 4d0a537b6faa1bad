"""Quarantine: what cannot be read, written or derived now, with its cause, until it succeeds.

An entry about a write refers to its outbox entry, which holds the time of the next attempt, and is
deleted with it. Records keep fingerprints, so that none is created a second time while quarantined.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Connection,
    Row,
    Select,
    bindparam,
    delete,
    exists,
    func,
    insert,
    select,
    update,
)

from hub.model.causes import Cause, next_action
from hub.store.engine import among, inserting, upsert
from hub.store.tables import conflicts, inbox, links, outbox, quarantine, quarantine_prints, reviews

__all__ = [
    "Cause",
    "Pending",
    "Problem",
    "QuarantineEntry",
]

#: The kinds that `listing` returns by default; reviews have their own list.
LISTED = ("pull", "push", "flow")


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a record (connection, stream, key) or a derivation (flow, entity, id) cannot proceed."""

    kind: str
    source: str
    stream: str
    key: str
    #: waiting: retried automatically; held: until a change in the remote system, or a person.
    state: str
    cause: Cause
    reason: str
    error: str | None = None
    #: The golden record on whose change it is retried.
    waits_for: str | None = None
    #: Fingerprints of a record, replacing earlier ones; None keeps them.
    prints: Sequence[int] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class QuarantineEntry:
    """One item in quarantine."""

    id: int
    kind: str
    source: str
    stream: str
    key: str
    state: str
    cause: Cause
    reason: str
    error: str | None
    waits_for: str | None
    attempts: int
    #: None: there is no automatic retry.
    next_attempt_at: datetime | None
    since: datetime
    #: Time of the last failure.
    last_at: datetime

    @property
    def name(self) -> str:
        """The name for people, such as push-3, pull-4, flow-5."""
        return f"{self.kind}-{self.id}"

    @property
    def next_action(self) -> str:
        """What a person can do about it."""
        return next_action(self.cause)


# --- records and derivations -------------------------------------------------------------------


def put(
    tx: Connection, problems: Sequence[Problem], *, now: datetime, due_at: datetime | None = None
) -> None:
    """Quarantines records and derivations; an existing entry keeps its first date.

    Waiting entries are retried at `due_at`.
    """
    rows = [
        {
            **_about(problem),
            "state": problem.state,
            "cause": problem.cause.value,
            "reason": problem.reason,
            "error": problem.error,
            "waits_for": problem.waits_for,
            "attempts": 0,
            "next_attempt_at": due_at if problem.state == "waiting" else None,
            "since": now,
            "last_at": now,
        }
        for problem in problems
    ]
    upsert(tx, quarantine, rows, key=_KEY, update=_CHANGING)
    recognisable = [problem for problem in problems if problem.prints is not None]
    if recognisable:
        tx.execute(_DROP_PRINTS, [_given(problem) for problem in recognisable])
    prints = [
        {**_given(problem), "_value": value}
        for problem in recognisable
        for value in dict.fromkeys(problem.prints or ())
    ]
    if prints:
        tx.execute(_ADD_PRINT, prints)


_KEY = ("kind", "source", "stream", "key")
_CHANGING = ("state", "cause", "reason", "error", "waits_for", "next_attempt_at", "last_at")


def _about(problem: Problem) -> dict[str, str]:
    return {name: getattr(problem, name) for name in _KEY}


def _given(problem: Problem) -> dict[str, str]:
    return {f"_{name}": value for name, value in _about(problem).items()}


_OF_STREAM = (
    quarantine.c.kind == bindparam("_kind"),
    quarantine.c.source == bindparam("_source"),
    quarantine.c.stream == bindparam("_stream"),
)
_THIS = (*_OF_STREAM, quarantine.c.key == bindparam("_key"))
_AMONG_KEYS = among(quarantine.c.key, "_keys")
_DROP_PRINTS = delete(quarantine_prints).where(
    quarantine_prints.c.entry_id == select(quarantine.c.id).where(*_THIS).scalar_subquery()
)
#: A linked record cannot be created a second time.
_LINKED = exists().where(
    links.c.connection == quarantine.c.source,
    links.c.stream == quarantine.c.stream,
    links.c.key == quarantine.c.key,
    links.c.golden_id.is_not(None),
)
_ADD_PRINT = insert(quarantine_prints).from_select(
    ["entry_id", "value"],
    select(quarantine.c.id, bindparam("_value", type_=quarantine_prints.c.value.type)).where(
        *_THIS, ~_LINKED
    ),
)


def resolve(tx: Connection, kind: str, source: str, *, stream: str, keys: Iterable[str]) -> None:
    """Ends the quarantine of items that have succeeded or no longer exist."""
    tx.execute(_RESOLVE, {"_kind": kind, "_source": source, "_stream": stream, "_keys": keys})


_RESOLVE = delete(quarantine).where(*_OF_STREAM, _AMONG_KEYS)


def quarantined_keys(
    tx: Connection, kind: str, source: str, *, stream: str, keys: Iterable[str]
) -> set[str]:
    """Returns the keys that are in quarantine."""
    given = {"_kind": kind, "_source": source, "_stream": stream, "_keys": keys}
    return set(tx.execute(_QUARANTINED, given).scalars())


_QUARANTINED = select(quarantine.c.key).where(*_OF_STREAM, _AMONG_KEYS)


def any_quarantined(tx: Connection, kind: str, source: str, stream: str) -> bool:
    """Returns True if anything of a stream is in quarantine."""
    given = {"_kind": kind, "_source": source, "_stream": stream}
    return tx.execute(_ANY, given).first() is not None


_ANY = select(quarantine.c.id).where(*_OF_STREAM).limit(1)


def matching(tx: Connection, connection: str, stream: str, values: Iterable[int]) -> dict[int, str]:
    """Returns {fingerprint: key} of unlinked records in quarantine with these fingerprints."""
    given = {"_connection": connection, "_stream": stream, "_values": list(values)}
    if not given["_values"]:
        return {}
    return {value: key for value, key in tx.execute(_MATCHING, given)}


def drop_prints(tx: Connection, connection: str, stream: str, keys: Iterable[str]) -> None:
    """Removes the fingerprints of linked records, which may stay in quarantine."""
    given = {"_connection": connection, "_stream": stream, "_keys": keys}
    tx.execute(_DROP_PRINTS_OF, given)


_DROP_PRINTS_OF = delete(quarantine_prints).where(
    quarantine_prints.c.entry_id.in_(
        select(quarantine.c.id).where(
            quarantine.c.kind.in_(("pull", "review")),
            quarantine.c.source == bindparam("_connection"),
            quarantine.c.stream == bindparam("_stream"),
            _AMONG_KEYS,
        )
    )
)
_MATCHING = (
    select(quarantine_prints.c.value, quarantine.c.key)
    .join(quarantine, quarantine.c.id == quarantine_prints.c.entry_id)
    .where(
        among(quarantine_prints.c.value, "_values"),
        quarantine.c.source == bindparam("_connection"),
        quarantine.c.stream == bindparam("_stream"),
    )
    .order_by(quarantine.c.key)
)


def due(tx: Connection, kind: str, *, now: datetime, limit: int) -> list[QuarantineEntry]:
    """Returns the waiting entries that are due, oldest first."""
    given = {"_kind": kind, "_now": now, "_limit": limit}
    return [_entry(row) for row in tx.execute(_DUE, given)]


def due_in(
    tx: Connection, connection: str, stream: str, *, now: datetime, limit: int
) -> list[QuarantineEntry]:
    """Returns the waiting records of one stream that are due, oldest first."""
    given = {"_kind": "pull", "_source": connection, "_stream": stream, "_now": now}
    return [_entry(row) for row in tx.execute(_DUE_IN, {**given, "_limit": limit})]


def postpone(tx: Connection, ids: Iterable[int], *, due_at: datetime) -> None:
    """Postpones records or derivations."""
    tx.execute(_POSTPONE, {"_ids": ids, "next_attempt_at": due_at})


_ENTRIES = update(quarantine).where(among(quarantine.c.id, "_ids"))
_POSTPONE = _ENTRIES.values(attempts=quarantine.c.attempts + 1)


# --- writes ------------------------------------------------------------------------------------


def put_writes(tx: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Quarantines writes: {_id, _wish, _state, _cause, _reason, _error, _waits_for, _now} each.

    An outbox entry that was enqueued again since `_wish` is skipped.
    """
    if rows:
        tx.execute(_put_writes(tx.dialect.name), rows)


def _put_writes(dialect: str) -> Any:
    given = {
        name: bindparam(f"_{name}", type_=quarantine.c[name].type)
        for name in ("state", "cause", "reason", "error", "waits_for")
    }
    now = bindparam("_now", type_=quarantine.c.since.type)
    wanted: Select[Any] = select(
        bindparam("_kind", "push", type_=quarantine.c.kind.type),
        *(outbox.c.connection, outbox.c.entity, outbox.c.golden_id),
        *given.values(),
        outbox.c.attempts,
        now,
        now,
        outbox.c.id,
    ).where(outbox.c.id == bindparam("_id"), outbox.c.generation == bindparam("_generation"))
    names = [*_KEY, *given, "attempts", "since", "last_at", "outbox_id"]
    statement = inserting(dialect, quarantine).from_select(names, wanted)
    changing = {name: statement.excluded[name] for name in (*given, "last_at", "outbox_id")}
    return statement.on_conflict_do_update(index_elements=list(_KEY), set_=changing)


def resolve_writes(tx: Connection, outbox_ids: Iterable[int]) -> None:
    """Ends the quarantine of writes whose outbox entries stay."""
    tx.execute(_RESOLVE_WRITES, {"_ids": outbox_ids})


_RESOLVE_WRITES = delete(quarantine).where(among(quarantine.c.outbox_id, "_ids"))


def enqueued_again(tx: Connection, wanted: Sequence[tuple[str, str, str]]) -> None:
    """Ends the quarantine of enqueued writes, given as (connection, entity, golden id)."""
    if tx.execute(_ANY_WRITE).first() is not None:
        rows = [
            {"_kind": "push", "_source": connection, "_stream": entity, "_key": golden_id}
            for connection, entity, golden_id in wanted
        ]
        tx.execute(_RESOLVE_ONE, rows)


_ANY_WRITE = select(quarantine.c.id).where(quarantine.c.kind == "push").limit(1)
_RESOLVE_ONE = delete(quarantine).where(*_THIS)


def write_reasons(tx: Connection, connection: str, golden_ids: Iterable[str]) -> dict[str, str]:
    """Returns {golden id: why it cannot be written} of those in quarantine in a connection."""
    given = {"_kind": "push", "_source": connection, "_keys": golden_ids}
    return {golden_id: reason for golden_id, reason in tx.execute(_REASONS, given)}


_REASONS = select(quarantine.c.key, quarantine.c.reason).where(*_OF_STREAM[:2], _AMONG_KEYS)


# --- all kinds ---------------------------------------------------------------------------------


def resume_waiting(tx: Connection, golden_ids: Iterable[str], *, now: datetime) -> None:
    """Makes entries due that wait for these golden records."""
    ids = list(golden_ids)
    if ids:
        tx.execute(_RESUME, {"_ids": ids, "next_attempt_at": now})
        tx.execute(_RESUME_WRITES, {"_ids": ids, "due_at": now})


_WAITING_FOR = among(quarantine.c.waits_for, "_ids")
_RESUME = update(quarantine).where(_WAITING_FOR, quarantine.c.outbox_id.is_(None))
_RESUME_WRITES = update(outbox).where(
    outbox.c.id.in_(select(quarantine.c.outbox_id).where(_WAITING_FOR))
)


def resume_all_waiting(tx: Connection, *, now: datetime) -> None:
    """Makes all waiting entries due, for a full round that a person requested."""
    tx.execute(
        update(quarantine)
        .where(quarantine.c.state == "waiting", quarantine.c.outbox_id.is_(None))
        .values(next_attempt_at=now)
    )


def listing(
    tx: Connection, *, kinds: Collection[str] = LISTED, source: str | None = None
) -> list[QuarantineEntry]:
    """Returns the entries in quarantine, oldest first."""
    query = _WITH_TIMES.where(quarantine.c.kind.in_(kinds)).order_by(quarantine.c.id)
    if source is not None:
        query = query.where(quarantine.c.source == source)
    return [_entry(row) for row in tx.execute(query)]


#: The attempts and the next time of a write are in its outbox entry.
_WITH_TIMES: Select[Any] = select(
    *(quarantine.c[name] for name in ("id", *_KEY, *_CHANGING[:5])),
    func.coalesce(outbox.c.attempts, quarantine.c.attempts).label("attempts"),
    func.coalesce(outbox.c.due_at, quarantine.c.next_attempt_at).label("next_attempt_at"),
    *(quarantine.c.since, quarantine.c.last_at),
).outerjoin_from(quarantine, outbox, outbox.c.id == quarantine.c.outbox_id)
_READY = (
    quarantine.c.kind == bindparam("_kind"),
    quarantine.c.state == "waiting",
    quarantine.c.next_attempt_at <= bindparam("_now"),
)
_OLDEST = _WITH_TIMES.order_by(quarantine.c.next_attempt_at).limit(bindparam("_limit"))
_DUE, _DUE_IN = _OLDEST.where(*_READY), _OLDEST.where(*_OF_STREAM, *_READY[1:])


def _entry(row: Row[Any]) -> QuarantineEntry:
    return QuarantineEntry(
        id=row.id,
        kind=row.kind,
        source=row.source,
        stream=row.stream,
        key=row.key,
        state=row.state,
        cause=Cause(row.cause),
        reason=row.reason,
        error=row.error,
        waits_for=row.waits_for,
        attempts=row.attempts,
        next_attempt_at=row.next_attempt_at if row.state == "waiting" else None,
        since=row.since,
        last_at=row.last_at,
    )


def retry(tx: Connection, ids: Sequence[int], *, now: datetime) -> int:
    """Makes entries due, writes immediately; returns their number."""
    again = {"_ids": ids, "state": "waiting", "next_attempt_at": now}
    tried = tx.execute(_RETRY, again).rowcount
    tx.execute(_RETRY_WRITES, {"_ids": ids, "state": "due", "due_at": now, "attempts": 0})
    return tried + tx.execute(_DROP_WRITES, {"_ids": ids}).rowcount


_OF_WRITES = select(quarantine.c.outbox_id).where(
    among(quarantine.c.id, "_ids"), quarantine.c.outbox_id.is_not(None)
)
_RETRY = _ENTRIES.where(quarantine.c.outbox_id.is_(None))
_RETRY_WRITES = (
    update(outbox).where(outbox.c.id.in_(_OF_WRITES)).values(generation=outbox.c.generation + 1)
)
_DROP_WRITES = delete(quarantine).where(
    among(quarantine.c.id, "_ids"), quarantine.c.outbox_id.is_not(None)
)


def retry_refused(tx: Connection, *, now: datetime) -> None:
    """Retries writes that a system refused, because what they lack may have been added there.

    Writes held for another reason wait for a person.
    """
    refused = select(quarantine.c.id).where(
        quarantine.c.kind == "push",
        quarantine.c.state == "held",
        quarantine.c.cause == Cause.REFUSED.value,
    )
    ids = list(tx.execute(refused).scalars())
    if ids:
        statement = update(outbox).where(outbox.c.id.in_(_OF_WRITES))
        tx.execute(statement, {"_ids": ids, "state": "due", "due_at": now})
        tx.execute(_DROP_WRITES, {"_ids": ids})


def drop(tx: Connection, ids: Sequence[int]) -> int:
    """Deletes entries, writes together with their outbox entries; returns their number."""
    writes = tx.execute(_FORGET_WRITES, {"_ids": ids}).rowcount
    return writes + tx.execute(_FORGET, {"_ids": ids}).rowcount


_FORGET_WRITES = delete(outbox).where(outbox.c.id.in_(_OF_WRITES))
_FORGET = delete(quarantine).where(among(quarantine.c.id, "_ids"))


@dataclass(frozen=True, slots=True)
class Pending:
    """Whether a connection has anything in quarantine, review, conflict or merge; usually not."""

    quarantine: bool
    reviews: bool
    conflicts: bool
    #: Merges that were reported and not processed yet.
    merges: bool


def pending(tx: Connection, connection: str) -> Pending:
    """Returns what is pending in a connection, with one cheap query."""
    row = tx.execute(_PENDING, {"connection": connection}).one()
    return Pending(*map(bool, row))


_PENDING = select(
    exists().where(quarantine.c.kind == "pull", quarantine.c.source == bindparam("connection")),
    exists().where(reviews.c.connection == bindparam("connection")),
    exists().where(
        conflicts.c.connection == bindparam("connection"), conflicts.c.closed_at.is_(None)
    ),
    exists().where(inbox.c.connection == bindparam("connection"), inbox.c.merged_into.is_not(None)),
)
