"""Dirty golden records: those whose derivations must be repeated."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, bindparam, case, delete, func, select

from hub.store.engine import fold, inserting
from hub.store.tables import dirty

#: The least that a mark rises by, in seconds; more than a float's grain today.
_TICK = 0.001


def mark(tx: Connection, golden_ids: Iterable[str], *, now: datetime, hops: int = 0) -> None:
    """Notes that flows must look at these golden records, after so many flows in a row."""
    mark = now.timestamp()
    rows = [{"golden_id": g, "mark": mark, "hops": hops} for g in dict.fromkeys(golden_ids)]
    fold(tx, _marking(tx.dialect.name), rows, key=["golden_id"])


@cache
def _marking(dialect: str) -> Any:
    statement = inserting(dialect, dirty)
    hops = statement.excluded.hops
    # A mark always rises, also when the clock does not: `clear` must see that there is news.
    again = {
        "mark": dirty.c.mark + _TICK,
        "hops": case((dirty.c.hops > hops, dirty.c.hops), else_=hops),
    }
    return statement.on_conflict_do_update(index_elements=["golden_id"], set_=again)


def due(tx: Connection, *, limit: int) -> tuple[dict[str, float], int]:
    """Returns golden ids whose derivations are due, with a mark for `clear`, and their hops.

    Those with the fewest hops come first and by themselves: a chain without end delays nobody.
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
    """Forgets derivations that were made, but not those that became due again meanwhile."""
    if marks:
        tx.execute(_CLEAR, [{"_id": golden_id, "_mark": mark} for golden_id, mark in marks.items()])


_CLEAR = delete(dirty).where(
    dirty.c.golden_id == bindparam("_id"), dirty.c.mark == bindparam("_mark")
)
