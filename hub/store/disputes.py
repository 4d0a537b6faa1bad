"""What people must decide: conflicts about values, reviews about identity; and the history."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, exists, insert, select, update

from hub.model.fights import DECIDED, Flip
from hub.store.engine import Row, among, upsert
from hub.store.tables import conflicts, history, inbox, letters, links, reviews
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


def close(
    tx: Connection, link_id: int, paths: Iterable[str], *, resolution: str, now: datetime
) -> int:
    """Closes open conflicts of a link; returns how many."""
    closed = {"closed_at": now, "resolution": resolution}
    return tx.execute(_CLOSE, {"_link": link_id, "_paths": paths, **closed}).rowcount


_CLOSE = update(conflicts).where(
    conflicts.c.link_id == bindparam("_link"), among(conflicts.c.path, "_paths"), _OPEN
)


def listing(tx: Connection, *, all_of_them: bool = False) -> list[dict[str, Any]]:
    """Returns open conflicts (or all), oldest first."""
    query = _LISTING if all_of_them else _LISTING.where(_OPEN)
    return [dict(row._mapping) for row in tx.execute(query)]


_LISTING = select(conflicts).order_by(conflicts.c.id)


def conflict(tx: Connection, number: int) -> dict[str, Any] | None:
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


def give_conflicts(tx: Connection, link_ids: Iterable[int], golden_id: str) -> None:
    """Gives the conflicts of some links to a golden record."""
    given = {"_ids": link_ids, "golden_id": golden_id}
    tx.execute(update(conflicts).where(_OF_LINKS), given)


def withdraw(
    tx: Connection, link_ids: Iterable[int], *, kept: Iterable[int], now: datetime
) -> None:
    """Closes the open conflicts of some links, but not those that are kept."""
    statement = update(conflicts).where(_OF_LINKS, ~among(conflicts.c.id, "_kept"), _OPEN)
    closed = {"closed_at": now, "resolution": "withdrawn"}
    tx.execute(statement, {"_ids": link_ids, "_kept": kept, **closed})


# --- reviews -----------------------------------------------------------------------------------


def ask_review(tx: Connection, rows: Sequence[dict[str, Any]], *, now: datetime) -> None:
    """Asks people which golden record these records are; keeps a decision already made."""
    full = [{**row, "opened_at": now} for row in rows]
    changing = ["title", "candidates", "reason"]
    upsert(tx, reviews, full, key=["connection", "stream", "key"], update=changing)


def decisions(
    tx: Connection, connection: str, stream: str, keys: Iterable[str]
) -> dict[str, str | None]:
    """Returns key -> decision (None: still open) of records under review."""
    given = {"_connection": connection, "_stream": stream, "_keys": keys}
    return {key: decision for key, decision in tx.execute(_DECISIONS, given)}


_ASKED = (
    reviews.c.connection == bindparam("_connection"),
    reviews.c.stream == bindparam("_stream"),
    among(reviews.c.key, "_keys"),
)
_DECISIONS = select(reviews.c.key, reviews.c.decision).where(*_ASKED)


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


def open_reviews(tx: Connection) -> list[dict[str, Any]]:
    """Returns the reviews nobody has decided."""
    query = select(reviews).where(reviews.c.decision.is_(None)).order_by(reviews.c.id)
    return [dict(row._mapping) for row in tx.execute(query)]


def decide_review(tx: Connection, number: int, decision: str) -> dict[str, Any] | None:
    """Notes the decision (a golden id, or "new"); returns the review."""
    tx.execute(update(reviews).where(reviews.c.id == number).values(decision=decision))
    row = tx.execute(select(reviews).where(reviews.c.id == number)).first()
    return None if row is None else dict(row._mapping)


def drop_reviews(tx: Connection, connection: str, stream: str, keys: Iterable[str]) -> None:
    """Forgets reviews of records that are linked now."""
    given = {"_connection": connection, "_stream": stream, "_keys": keys}
    tx.execute(_DROP_REVIEWS, given)


_DROP_REVIEWS = reviews.delete().where(*_ASKED)


# --- history -----------------------------------------------------------------------------------


def remember(tx: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Appends rows of history."""
    if rows:
        tx.execute(_REMEMBER, list(rows))


_REMEMBER = insert(history)


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


def move_history(tx: Connection, loser: str, winner: str) -> None:
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
    """Returns a row for `remember`; rest: connection, decision, why, at, run."""
    return {"golden_id": golden_id, "path": path, "old": old, "new": new, **rest}
