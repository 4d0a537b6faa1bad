"""History: what a value was before, who changed it, and by which policy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from hub.model.fights import DECIDED, Flip
from hub.store.engine import among
from hub.store.tables import history
from mappings.canonical.values import Scalar


def add(tx: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Appends rows of history."""
    if rows:
        tx.execute(_ADD, list(rows))


_ADD = insert(history)


def past(tx: Connection, golden_id: str, path: str | None = None) -> list[dict[str, Any]]:
    """Returns the history of a golden record (of one path), oldest first."""
    query = select(history).where(history.c.golden_id == golden_id).order_by(history.c.id)
    if path is not None:
        query = query.where(history.c.path == path)
    return [dict(row._mapping) for row in tx.execute(query)]


def flips(
    tx: Connection, golden_ids: Iterable[str], *, since: datetime
) -> dict[tuple[str, str], list[Flip]]:
    """Returns (golden id, path) -> how it changed since then, oldest first."""
    rows = tx.execute(_SINCE, {"_ids": golden_ids, "_since": since})
    return flips_of(dict(row._mapping) for row in rows)


_SINCE = (
    select(history)
    .where(among(history.c.golden_id, "_ids"), history.c.at >= bindparam("_since"))
    .order_by(history.c.id)
)


def flips_of(rows: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], list[Flip]]:
    """Returns (golden id, path) -> the flips in these rows of history."""
    found: dict[tuple[str, str], list[Flip]] = {}
    taken: dict[tuple[str, str], Mapping[str, Any]] = {}
    for row in rows:
        place = (row["golden_id"], row["path"])
        before = taken.get(place)
        if row["decision"] == "taken":
            taken[place] = row
        elif before is not None and (row["old"], row["new"]) == (before["old"], before["new"]):
            continue  # the loser of the change that was just counted
        found.setdefault(place, []).append(
            Flip(
                row["connection"],
                overruled=row["decision"] == "superseded",
                decided=row["why"].startswith(DECIDED),
            )
        )
    return found


def move(tx: Connection, loser: str, winner: str) -> None:
    """Re-points the history of a merged golden record."""
    tx.execute(update(history).where(history.c.golden_id == loser).values(golden_id=winner))


def history_row(
    golden_id: str,
    path: str,
    *,
    old: Scalar,
    new: Scalar,
    **rest: Any,
) -> dict[str, Any]:
    """Returns a row for `add`; rest: connection, decision, why, at, run."""
    return {"golden_id": golden_id, "path": path, "old": old, "new": new, **rest}


def ids_of(tx: Connection, golden_id: str) -> list[int]:
    """Returns the rows of history of a golden record."""
    query = select(history.c.id).where(history.c.golden_id == golden_id).order_by(history.c.id)
    return list(tx.execute(query).scalars())


def reassign(tx: Connection, ids: list[int], golden_id: str) -> None:
    """Gives rows of history to a golden record."""
    statement = update(history).where(among(history.c.id, "_ids"))
    tx.execute(statement, {"_ids": ids, "golden_id": golden_id})
