"""Merges: reported ones that wait in the inbox, and those of golden records, to be undone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from hub.store.engine import among
from hub.store.tables import golden, inbox, merges


@dataclass(frozen=True, slots=True)
class Merged:
    """A merge of two golden records."""

    id: int
    entity: str
    loser: str
    winner: str
    why: str
    #: What is needed to undo it: see hub.sync.merge.undo.
    before: dict[str, Any] = field(repr=False)
    merged_at: datetime
    undone_at: datetime | None


def reported(
    tx: Connection, connection: str, stream: str, into: Iterable[str]
) -> list[tuple[str, str]]:
    """Returns (key, into) of merges into these records that wait in the inbox."""
    given = {"_connection": connection, "_stream": stream, "_keys": into}
    return [(key, survivor) for key, survivor in tx.execute(_TOLD, given)]


_TOLD = (
    select(inbox.c.key, inbox.c.merged_into)
    .where(
        inbox.c.connection == bindparam("_connection"),
        inbox.c.stream == bindparam("_stream"),
        among(inbox.c.merged_into, "_keys"),
    )
    .order_by(inbox.c.id)
)


def remember_merge(
    tx: Connection,
    *,
    entity: str,
    loser: str,
    winner: str,
    why: str,
    before: dict[str, Any],
    now: datetime,
) -> None:
    """Stores a merge; `before` is what is needed to undo it."""
    tx.execute(
        insert(merges).values(
            entity=entity, loser=loser, winner=winner, why=why, before=before, merged_at=now
        )
    )


def merge(tx: Connection, number: int) -> Merged | None:
    """Returns one merge."""
    row = tx.execute(select(merges).where(merges.c.id == number)).first()
    return None if row is None else Merged(*row)


def listing(tx: Connection, *, all_of_them: bool = False) -> list[Merged]:
    """Returns the merges that can be undone, or all, oldest first."""
    query = select(merges).order_by(merges.c.id)
    if not all_of_them:
        query = query.where(merges.c.undone_at.is_(None))
    return [Merged(*row) for row in tx.execute(query)]


def survivors(tx: Connection, golden_ids: Iterable[str]) -> dict[str, str]:
    """Returns {golden id: the one it was merged into}; itself if it was never merged."""
    found = {golden_id: golden_id for golden_id in golden_ids}
    while True:
        rows = tx.execute(_MERGED, {"_ids": set(found.values())})
        merged = {golden_id: into for golden_id, into in rows}
        if not merged:
            return found
        found = {golden_id: merged.get(into, into) for golden_id, into in found.items()}


_MERGED = select(golden.c.id, golden.c.merged_into).where(
    among(golden.c.id, "_ids"), golden.c.merged_into.is_not(None)
)


def losers(tx: Connection, golden_ids: Iterable[str]) -> dict[str, list[str]]:
    """Returns {golden id: all golden records that were merged into it, oldest merge first}.

    The number of statements depends only on the depth of merges of merged records.
    """
    found: dict[str, dict[str, None]] = {golden_id: {} for golden_id in golden_ids}
    asked = {golden_id: {golden_id} for golden_id in found}
    while winners := set().union(*asked.values()):
        rows = [(winner, loser) for winner, loser in tx.execute(_LOSERS, {"_ids": winners})]
        for golden_id, among_these in asked.items():
            known = found[golden_id]
            new = [loser for winner, loser in rows if winner in among_these and loser not in known]
            known |= dict.fromkeys(new)
            asked[golden_id] = set(new)
    return {golden_id: list(lost) for golden_id, lost in found.items()}


_LOSERS = (
    select(merges.c.winner, merges.c.loser)
    .where(among(merges.c.winner, "_ids"), merges.c.undone_at.is_(None))
    .order_by(merges.c.id)
)


def later_merge(tx: Connection, golden_id: str) -> int | None:
    """Returns the number of the merge by which a golden record was merged into another one."""
    query = select(merges.c.id).where(merges.c.loser == golden_id, merges.c.undone_at.is_(None))
    return tx.execute(query).scalar()


def undone(tx: Connection, number: int, *, now: datetime) -> None:
    """Marks a merge as undone."""
    tx.execute(update(merges).where(merges.c.id == number).values(undone_at=now))
