"""Reviews: records that may be the same as something known; a person decides."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from hub.store.engine import among, upsert
from hub.store.tables import reviews


def ask_review(tx: Connection, rows: Sequence[dict[str, Any]], *, now: datetime) -> None:
    """Asks people which golden record these records are; keeps a decision already made."""
    full = [{**row, "opened_at": now} for row in rows]
    changing = ["title", "candidates", "reason"]
    upsert(tx, reviews, full, key=["connection", "stream", "key"], update=changing)


def review_decisions(
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


def open_reviews(tx: Connection) -> list[dict[str, Any]]:
    """Returns the reviews nobody has decided."""
    query = select(reviews).where(reviews.c.decision.is_(None)).order_by(reviews.c.id)
    return [dict(row._mapping) for row in tx.execute(query)]


def save_decision(tx: Connection, number: int, decision: str) -> dict[str, Any] | None:
    """Notes the decision (a golden id, or "new"); returns the review."""
    tx.execute(update(reviews).where(reviews.c.id == number).values(decision=decision))
    row = tx.execute(select(reviews).where(reviews.c.id == number)).first()
    return None if row is None else dict(row._mapping)


def drop_reviews(tx: Connection, connection: str, stream: str, keys: Iterable[str]) -> None:
    """Forgets reviews of records that are linked now."""
    given = {"_connection": connection, "_stream": stream, "_keys": keys}
    tx.execute(_DROP_REVIEWS, given)


_DROP_REVIEWS = reviews.delete().where(*_ASKED)
