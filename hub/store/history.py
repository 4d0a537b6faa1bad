"""History: what a value was before, who changed it, and by which policy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, bindparam, insert, select, update

from hub.model.oscillation import DECIDED, Reversal
from hub.store.engine import among
from hub.store.tables import history
from mappings.canonical.values import Scalar


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One change of a value, or a value that was overruled."""

    golden_id: str
    path: str
    old: Scalar = field(repr=False)
    new: Scalar = field(repr=False)
    #: The connection, flow or person that changed it.
    connection: str
    #: taken | superseded
    decision: str
    why: str
    at: datetime
    run: str


_FIELDS = ("golden_id", "path", "old", "new", "connection", "decision", "why", "at", "run")
_ALL = select(*(history.c[name] for name in _FIELDS)).order_by(history.c.id)


def add(tx: Connection, rows: Sequence[HistoryRow]) -> None:
    """Appends rows of history."""
    if rows:
        tx.execute(_ADD, [{name: getattr(row, name) for name in _FIELDS} for row in rows])


_ADD = insert(history)


def past(tx: Connection, golden_id: str, path: str | None = None) -> list[HistoryRow]:
    """Returns the history of a golden record, or of one path of it, oldest first."""
    query = _ALL.where(history.c.golden_id == golden_id)
    if path is not None:
        query = query.where(history.c.path == path)
    return [HistoryRow(*row) for row in tx.execute(query)]


def reversals(
    tx: Connection, golden_ids: Iterable[str], *, since: datetime
) -> dict[tuple[str, str], list[Reversal]]:
    """Returns {(golden id, path): its changes since then, oldest first}."""
    rows = tx.execute(_SINCE, {"_ids": golden_ids, "_since": since})
    return reversals_of(HistoryRow(*row) for row in rows)


_SINCE = _ALL.where(among(history.c.golden_id, "_ids"), history.c.at >= bindparam("_since"))


def reversals_of(rows: Iterable[HistoryRow]) -> dict[tuple[str, str], list[Reversal]]:
    """Returns {(golden id, path): reversals} in these rows of history."""
    found: dict[tuple[str, str], list[Reversal]] = {}
    taken: dict[tuple[str, str], HistoryRow] = {}
    for row in rows:
        field_id = (row.golden_id, row.path)
        before = taken.get(field_id)
        if row.decision == "taken":
            taken[field_id] = row
        elif before is not None and (row.old, row.new) == (before.old, before.new):
            continue  # the loser of the change that was just counted
        found.setdefault(field_id, []).append(
            Reversal(
                row.connection,
                overruled=row.decision == "superseded",
                decided=row.why.startswith(DECIDED),
            )
        )
    return found


def move(tx: Connection, loser: str, winner: str) -> None:
    """Re-points the history of a merged golden record."""
    tx.execute(update(history).where(history.c.golden_id == loser).values(golden_id=winner))


def ids_of(tx: Connection, golden_id: str) -> list[int]:
    """Returns the numbers of a golden record's rows of history."""
    query = select(history.c.id).where(history.c.golden_id == golden_id).order_by(history.c.id)
    return list(tx.execute(query).scalars())


def reassign(tx: Connection, ids: list[int], golden_id: str) -> None:
    """Moves rows of history to a golden record."""
    statement = update(history).where(among(history.c.id, "_ids"))
    tx.execute(statement, {"_ids": ids, "golden_id": golden_id})
