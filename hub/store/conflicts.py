"""Conflicts: fields that were changed on two sides, until a person or a rule decides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update
from sqlalchemy import Row as StoredRow

from hub.store.engine import Row, among
from hub.store.tables import conflicts, links
from mappings.canonical.values import Scalar


@dataclass(frozen=True, slots=True)
class NewConflict:
    """A field of a record that was changed on two sides."""

    golden_id: str
    link_id: int
    connection: str
    path: str
    base: Scalar = field(repr=False)
    ours: Scalar = field(repr=False)
    theirs: Scalar = field(repr=False)
    #: Why it was opened, unless it is that both sides changed the field.
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Conflict:
    """A conflict as it is stored."""

    id: int
    golden_id: str
    link_id: int
    connection: str
    path: str
    base: Scalar = field(repr=False)
    ours: Scalar = field(repr=False)
    theirs: Scalar = field(repr=False)
    opened_at: datetime
    closed_at: datetime | None
    #: ours | theirs | value | agreed | withdrawn; None while open.
    resolution: str | None
    reason: str | None


def open_paths(tx: Connection, link_ids: Iterable[int]) -> dict[int, frozenset[str]]:
    """Returns {link id: paths with an open conflict}."""
    found: dict[int, set[str]] = {}
    for link_id, path in tx.execute(_OPEN_PATHS, {"_ids": link_ids}):
        found.setdefault(link_id, set()).add(path)
    return {link_id: frozenset(paths) for link_id, paths in found.items()}


_OPEN = conflicts.c.closed_at.is_(None)
_OF_LINKS = among(conflicts.c.link_id, "_ids")
_OPEN_PATHS = select(conflicts.c.link_id, conflicts.c.path).where(_OF_LINKS, _OPEN)


def links_in_conflict(tx: Connection, connection: str, stream: str) -> set[str]:
    """Returns the keys of the records of a stream that have an open conflict."""
    given = {"_connection": connection, "_stream": stream}
    return set(tx.execute(_LINKS_IN_CONFLICT, given).scalars())


_LINKS_IN_CONFLICT = (
    select(links.c.key)
    .join(conflicts, conflicts.c.link_id == links.c.id)
    .where(
        conflicts.c.connection == bindparam("_connection"),
        _OPEN,
        links.c.stream == bindparam("_stream"),
    )
)


def open_conflict(tx: Connection, new: NewConflict, *, now: datetime) -> Scalar:
    """Opens or updates a conflict; returns the previous value of theirs, if it was open."""
    return open_conflicts(tx, [new], now=now).get((new.link_id, new.path))


def open_conflicts(
    tx: Connection, found: Sequence[NewConflict], *, now: datetime
) -> dict[tuple[int, str], Scalar]:
    """Opens or updates conflicts, one for each link and path.

    Returns {(link id, path): the previous value of theirs} of those that were open.
    """
    asked = {"_ids": [one.link_id for one in found]}
    held = {(row.link_id, row.path): row for row in tx.execute(_HELD, asked).all()}
    about = [(one, held.get((one.link_id, one.path))) for one in found]
    new = [_row(one, now) for one, known in about if known is None]
    if new:
        tx.execute(_INSERT, new)
    changed = [(one, known.id) for one, known in about if known is not None]
    for with_reason in (False, True):
        # The reason for opening it stays unless there is a new one.
        rows = [_change(one, n) for one, n in changed if (one.reason is not None) == with_reason]
        if rows:
            tx.execute(_CHANGE, rows)
    return {(one.link_id, one.path): known.theirs for one, known in about if known is not None}


def _row(new: NewConflict, now: datetime) -> Row:
    return {
        "golden_id": new.golden_id,
        "link_id": new.link_id,
        "connection": new.connection,
        "path": new.path,
        "base": new.base,
        "ours": new.ours,
        "theirs": new.theirs,
        "reason": new.reason,
        "opened_at": now,
    }


def _change(new: NewConflict, number: int) -> Row:
    values: Row = {"_id": number, "ours": new.ours, "theirs": new.theirs}
    return values if new.reason is None else {**values, "reason": new.reason}


_INSERT = insert(conflicts)
_CHANGE = update(conflicts).where(conflicts.c.id == bindparam("_id"))
_HELD = select(conflicts.c.link_id, conflicts.c.path, conflicts.c.id, conflicts.c.theirs).where(
    _OF_LINKS, _OPEN
)


def close_all(
    tx: Connection, paths: Mapping[int, Iterable[str]], *, resolution: str, now: datetime
) -> None:
    """Closes the open conflicts of many links: {link id: paths}."""
    closed = {"closed_at": now, "resolution": resolution}
    rows = [{"_link": link_id, "_paths": about, **closed} for link_id, about in paths.items()]
    if rows:
        tx.execute(_CLOSE, rows)


def close_conflicts(
    tx: Connection, link_id: int, paths: Iterable[str], *, resolution: str, now: datetime
) -> int:
    """Closes open conflicts of a link; returns how many."""
    closed = {"closed_at": now, "resolution": resolution}
    return tx.execute(_CLOSE, {"_link": link_id, "_paths": paths, **closed}).rowcount


_CLOSE = update(conflicts).where(
    conflicts.c.link_id == bindparam("_link"), among(conflicts.c.path, "_paths"), _OPEN
)


def list_conflicts(tx: Connection, *, all_of_them: bool = False) -> list[Conflict]:
    """Returns open conflicts (or all), oldest first."""
    query = _LISTING if all_of_them else _LISTING.where(_OPEN)
    return [_conflict(row) for row in tx.execute(query)]


_LISTING = select(conflicts).order_by(conflicts.c.id)


def _conflict(row: StoredRow[Any]) -> Conflict:
    return Conflict(**row._mapping)


def find_conflict(tx: Connection, number: int) -> Conflict | None:
    """Returns one conflict."""
    row = tx.execute(select(conflicts).where(conflicts.c.id == number)).first()
    return None if row is None else _conflict(row)


def conflicts_of(tx: Connection, golden_id: str) -> list[Conflict]:
    """Returns all conflicts of a golden record."""
    query = select(conflicts).where(conflicts.c.golden_id == golden_id).order_by(conflicts.c.id)
    return [_conflict(row) for row in tx.execute(query)]


def move_conflicts(tx: Connection, loser: str, winner: str) -> None:
    """Re-points conflicts of a merged golden record."""
    tx.execute(update(conflicts).where(conflicts.c.golden_id == loser).values(golden_id=winner))


def reassign_conflicts(tx: Connection, link_ids: Iterable[int], golden_id: str) -> None:
    """Moves the conflicts of some links to a golden record."""
    given = {"_ids": link_ids, "golden_id": golden_id}
    tx.execute(update(conflicts).where(_OF_LINKS), given)


def withdraw_conflicts(
    tx: Connection, link_ids: Iterable[int], *, kept: Iterable[int], now: datetime
) -> None:
    """Closes the open conflicts of some links, except those in `kept`."""
    statement = update(conflicts).where(_OF_LINKS, ~among(conflicts.c.id, "_kept"), _OPEN)
    closed = {"closed_at": now, "resolution": "withdrawn"}
    tx.execute(statement, {"_ids": link_ids, "_kept": kept, **closed})
