"""Dead letters: records and derivations set aside with a reason, until they succeed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, exists, select, update

from hub.store.engine import among, upsert
from hub.store.tables import conflicts, inbox, letters, reviews


@dataclass(frozen=True, slots=True)
class QuarantineEntry:
    """One item set aside: a record (connection, stream, key) or a flow (name, entity, id)."""

    kind: str
    source: str
    stream: str
    key: str
    #: waiting: tried again by itself; buried: after a change over there, or when replayed.
    state: str
    reason: str
    error: str | None = None
    #: The golden record whose change will let it go on.
    waits_for: str | None = None


def put(
    tx: Connection, items: Sequence[QuarantineEntry], *, now: datetime, due_at: datetime
) -> None:
    """Sets items aside; one that was set aside before keeps its first date."""
    rows = [
        {
            "kind": item.kind,
            "source": item.source,
            "stream": item.stream,
            "key": item.key,
            "state": item.state,
            "reason": item.reason,
            "error": item.error,
            "waits_for": item.waits_for,
            "attempts": 0,
            "due_at": due_at,
            "first_at": now,
            "last_at": now,
        }
        for item in items
    ]
    changing = ["state", "reason", "error", "waits_for", "due_at", "last_at"]
    upsert(tx, letters, rows, key=["kind", "source", "stream", "key"], update=changing)


def resolve(tx: Connection, kind: str, source: str, *, stream: str, keys: Iterable[str]) -> None:
    """Forgets letters about items that have succeeded."""
    tx.execute(_RESOLVE, {"_kind": kind, "_source": source, "_stream": stream, "_keys": keys})


_ABOUT = (
    letters.c.kind == bindparam("_kind"),
    letters.c.source == bindparam("_source"),
    letters.c.stream == bindparam("_stream"),
)
_RESOLVE = delete(letters).where(*_ABOUT, among(letters.c.key, "_keys"))


def quarantined_keys(
    tx: Connection, kind: str, source: str, *, stream: str, keys: Iterable[str]
) -> set[str]:
    """Returns which of these items have a letter."""
    given = {"_kind": kind, "_source": source, "_stream": stream, "_keys": keys}
    return set(tx.execute(_QUARANTINED, given).scalars())


_QUARANTINED = select(letters.c.key).where(*_ABOUT, among(letters.c.key, "_keys"))


def any_quarantined(tx: Connection, kind: str, source: str, stream: str) -> bool:
    """Says whether anything of a stream has a letter."""
    given = {"_kind": kind, "_source": source, "_stream": stream}
    return tx.execute(_ANY, given).first() is not None


_ANY = select(letters.c.id).where(*_ABOUT).limit(1)


def due(tx: Connection, kind: str, *, now: datetime, limit: int) -> list[dict[str, Any]]:
    """Returns waiting letters whose time has come."""
    given = {"_kind": kind, "_now": now, "_limit": limit}
    return [dict(row._mapping) for row in tx.execute(_DUE, given)]


def due_in(
    tx: Connection, connection: str, stream: str, *, now: datetime, limit: int
) -> list[dict[str, Any]]:
    """Returns waiting letters of a stream whose time has come: no other stream's hide them."""
    given = {"_kind": "pull", "_source": connection, "_stream": stream, "_now": now}
    return [dict(row._mapping) for row in tx.execute(_DUE_IN, {**given, "_limit": limit})]


_READY = (letters.c.state == "waiting", letters.c.due_at <= bindparam("_now"))
_OLDEST = select(letters).order_by(letters.c.due_at).limit(bindparam("_limit"))
_DUE = _OLDEST.where(letters.c.kind == bindparam("_kind"), *_READY)
_DUE_IN = _OLDEST.where(*_ABOUT, *_READY)
#: Changes some letters: what is to be set is given beside `_ids`.
_LETTERS = update(letters).where(among(letters.c.id, "_ids"))


def postpone(tx: Connection, ids: Iterable[int], *, due_at: datetime) -> None:
    """Puts letters off."""
    statement = _LETTERS.values(attempts=letters.c.attempts + 1)
    tx.execute(statement, {"_ids": ids, "due_at": due_at})


def resume_waiting(tx: Connection, golden_ids: Iterable[str], *, now: datetime) -> None:
    """Makes due what has been waiting for these golden records."""
    ids = list(golden_ids)
    if ids:
        tx.execute(_RESUME_WAITING, {"_ids": ids, "due_at": now})


_RESUME_WAITING = update(letters).where(among(letters.c.waits_for, "_ids"))


def resume_all_waiting(tx: Connection, *, now: datetime) -> None:
    """Makes all waiting letters due."""
    tx.execute(update(letters).where(letters.c.state == "waiting").values(due_at=now))


def listing(tx: Connection) -> list[dict[str, Any]]:
    """Returns all letters, oldest first."""
    return [dict(row._mapping) for row in tx.execute(select(letters).order_by(letters.c.id))]


def retry(tx: Connection, ids: Sequence[int], *, now: datetime) -> int:
    """Makes letters due again; returns how many."""
    return tx.execute(_LETTERS, {"_ids": ids, "state": "waiting", "due_at": now}).rowcount


def drop(tx: Connection, ids: Sequence[int]) -> int:
    """Forgets letters; returns how many."""
    return tx.execute(delete(letters).where(among(letters.c.id, "_ids")), {"_ids": ids}).rowcount


@dataclass(frozen=True, slots=True)
class Pending:
    """Whether anything of a connection waits for somebody: most of the time nothing does."""

    letters: bool
    reviews: bool
    conflicts: bool
    #: Merges that were told and not looked at yet.
    merges: bool


def pending(tx: Connection, connection: str) -> Pending:
    """Says in one cheap question what of a connection is set aside."""
    row = tx.execute(_PENDING, {"connection": connection}).one()
    return Pending(*map(bool, row))


_PENDING = select(
    exists().where(letters.c.kind == "pull", letters.c.source == bindparam("connection")),
    exists().where(reviews.c.connection == bindparam("connection")),
    exists().where(
        conflicts.c.connection == bindparam("connection"), conflicts.c.closed_at.is_(None)
    ),
    exists().where(inbox.c.connection == bindparam("connection"), inbox.c.merged_into.is_not(None)),
)
