"""Dirty golden records: those whose derivations must be repeated."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, bindparam, case, delete, func, select

from hub.store.engine import fold, inserting
from hub.store.tables import dirty

#: The least increase of a mark, in seconds; larger than the resolution of a float today.
_TICK = 0.001


def mark(tx: Connection, golden_ids: Iterable[str], *, now: datetime, hops: int = 0) -> None:
    """Marks golden records whose flows must run again, after `hops` derivations in a row."""
    mark = now.timestamp()
    rows = [{"golden_id": g, "mark": mark, "hops": hops} for g in dict.fromkeys(golden_ids)]
    fold(tx, _marking(tx.dialect.name), rows, key=["golden_id"])


@cache
def _marking(dialect: str) -> Any:
    statement = inserting(dialect, dirty)
    hops = statement.excluded.hops
    # A mark always rises, even if the clock does not, so that `clear` notices the change.
    again = {
        "mark": dirty.c.mark + _TICK,
        "hops": case((dirty.c.hops > hops, dirty.c.hops), else_=hops),
    }
    return statement.on_conflict_do_update(index_elements=["golden_id"], set_=again)


def due(tx: Connection, *, limit: int) -> tuple[dict[str, float], int]:
    """Returns golden ids whose derivations are due, with a mark for `clear`, and their hops.

    The fewest hops come first, on their own, so that an endless chain delays no other record.
    """
    rows = tx.execute(_DIRTY, {"_limit": limit}).all()
    return {row.golden_id: row.mark for row in rows}, max((row.hops for row in rows), default=0)


_DIRTY = (
    select(dirty)
    .where(dirty.c.hops == select(func.min(dirty.c.hops)).scalar_subquery())
    .order_by(dirty.c.mark)
    .limit(bindparam("_limit"))
)


def clear(tx: Connection, marks: dict[str, float]) -> None:
    """Removes the marks of derivations that were made, except those marked again since."""
    if marks:
        tx.execute(_CLEAR, [{"_id": golden_id, "_mark": mark} for golden_id, mark in marks.items()])


_CLEAR = delete(dirty).where(
    dirty.c.golden_id == bindparam("_id"), dirty.c.mark == bindparam("_mark")
)
