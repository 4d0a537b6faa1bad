"""Conflicts: fields that were changed on two sides, until a person or a rule decides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from hub.store.engine import Row, among
from hub.store.tables import conflicts, links
from mappings.canonical.values import Scalar


def open_paths(tx: Connection, link_ids: Iterable[int]) -> dict[int, frozenset[str]]:
    """Returns link id -> paths with an open conflict."""
    found: dict[int, set[str]] = {}
    for link_id, path in tx.execute(_OPEN_PATHS, {"_ids": link_ids}):
        found.setdefault(link_id, set()).add(path)
    return {link_id: frozenset(paths) for link_id, paths in found.items()}


_OPEN = conflicts.c.closed_at.is_(None)
_OF_LINKS = among(conflicts.c.link_id, "_ids")
_OPEN_PATHS = select(conflicts.c.link_id, conflicts.c.path).where(_OF_LINKS, _OPEN)


def contested(tx: Connection, connection: str, stream: str) -> set[str]:
    """Returns the keys of the records of a stream that have an open conflict."""
    given = {"_connection": connection, "_stream": stream}
    return set(tx.execute(_CONTESTED, given).scalars())


_CONTESTED = (
    select(links.c.key)
    .join(conflicts, conflicts.c.link_id == links.c.id)
    .where(
        conflicts.c.connection == bindparam("_connection"),
        _OPEN,
        links.c.stream == bindparam("_stream"),
    )
)


def open_conflict(tx: Connection, row: dict[str, Any], *, now: datetime) -> Scalar:
    """Opens (or updates) a conflict; returns the value of theirs that it has held until now.

    The row has golden_id, link_id, connection, path, base, ours, theirs, and perhaps a reason.
    """
    values: Row = {name: row[name] for name in ("ours", "theirs", "reason") if name in row}
    about = {"_link": row["link_id"], "_path": row["path"]}
    known = tx.execute(_OPEN_ABOUT, about).first()
    if known is None:
        tx.execute(_INSERT, {**row, "opened_at": now})
        return None
    tx.execute(_CHANGE, {"_id": known.id, **values})
    before: Scalar = known.theirs
    return before


_OPEN_ABOUT = select(conflicts.c.id, conflicts.c.theirs).where(
    conflicts.c.link_id == bindparam("_link"), conflicts.c.path == bindparam("_path"), _OPEN
)
_INSERT = insert(conflicts)
_CHANGE = update(conflicts).where(conflicts.c.id == bindparam("_id"))


def open_conflicts(
    tx: Connection, rows: Sequence[dict[str, Any]], *, now: datetime
) -> dict[tuple[int, str], Scalar]:
    """Opens (or updates) many conflicts, one for each link and path; rows as for `open_conflict`.

    Returns (link id, path) -> the value of theirs that an open conflict has held until now.
    """
    asked = {"_ids": [row["link_id"] for row in rows]}
    held = {(row.link_id, row.path): row for row in tx.execute(_HELD, asked).all()}
    before: dict[tuple[int, str], Scalar] = {}
    new, changed = [], []
    for row in rows:
        about = (row["link_id"], row["path"])
        values: Row = {name: row[name] for name in ("ours", "theirs", "reason") if name in row}
        if about in held:
            before[about] = held[about].theirs
            changed.append({"_id": held[about].id, **values})
        else:
            new.append({"reason": None, **row, "opened_at": now})
    if new:
        tx.execute(_INSERT, new)
    for with_reason in (False, True):
        some = [row for row in changed if ("reason" in row) == with_reason]
        if some:
            tx.execute(_CHANGE, some)
    return before


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


def list_conflicts(tx: Connection, *, all_of_them: bool = False) -> list[dict[str, Any]]:
    """Returns open conflicts (or all), oldest first."""
    query = _LISTING if all_of_them else _LISTING.where(_OPEN)
    return [dict(row._mapping) for row in tx.execute(query)]


_LISTING = select(conflicts).order_by(conflicts.c.id)


def find_conflict(tx: Connection, number: int) -> dict[str, Any] | None:
    """Returns one conflict."""
    row = tx.execute(select(conflicts).where(conflicts.c.id == number)).first()
    return None if row is None else dict(row._mapping)


def conflicts_of(tx: Connection, golden_id: str) -> list[dict[str, Any]]:
    """Returns all conflicts of a golden record."""
    query = select(conflicts).where(conflicts.c.golden_id == golden_id).order_by(conflicts.c.id)
    return [dict(row._mapping) for row in tx.execute(query)]


def move_conflicts(tx: Connection, loser: str, winner: str) -> None:
    """Re-points conflicts of a merged golden record."""
    tx.execute(update(conflicts).where(conflicts.c.golden_id == loser).values(golden_id=winner))


def reassign_conflicts(tx: Connection, link_ids: Iterable[int], golden_id: str) -> None:
    """Gives the conflicts of some links to a golden record."""
    given = {"_ids": link_ids, "golden_id": golden_id}
    tx.execute(update(conflicts).where(_OF_LINKS), given)


def withdraw_conflicts(
    tx: Connection, link_ids: Iterable[int], *, kept: Iterable[int], now: datetime
) -> None:
    """Closes the open conflicts of some links, but not those that are kept."""
    statement = update(conflicts).where(_OF_LINKS, ~among(conflicts.c.id, "_kept"), _OPEN)
    closed = {"closed_at": now, "resolution": "withdrawn"}
    tx.execute(statement, {"_ids": link_ids, "_kept": kept, **closed})
