"""Reviews: records that may be the same as a known one; a person decides.

While a review is open its record is in quarantine, which keeps its fingerprints.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select, update

from hub.model.causes import Cause
from hub.store import quarantine
from hub.store.engine import among, upsert
from hub.store.quarantine import Problem
from hub.store.tables import reviews


@dataclass(frozen=True, slots=True)
class Question:
    """A record that may belong to one of some golden records."""

    connection: str
    stream: str
    key: str
    entity: str
    title: str = field(repr=False)
    #: Ids of golden records.
    candidates: Sequence[str]
    reason: str
    #: Strong fingerprints of the record.
    prints: Sequence[int] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Review:
    """A question about the identity of a record."""

    id: int
    connection: str
    stream: str
    key: str
    entity: str
    title: str = field(repr=False)
    #: Ids of golden records.
    candidates: list[str]
    reason: str
    opened_at: datetime
    #: None while open; a golden id, or "new".
    decision: str | None


def ask_review(tx: Connection, questions: Sequence[Question], *, now: datetime) -> None:
    """Opens or updates reviews of these records; keeps decisions already made."""
    rows = [
        {
            "connection": question.connection,
            "stream": question.stream,
            "key": question.key,
            "entity": question.entity,
            "title": question.title,
            "candidates": list(question.candidates),
            "reason": question.reason,
            "opened_at": now,
        }
        for question in questions
    ]
    changing = ["title", "candidates", "reason"]
    upsert(tx, reviews, rows, key=["connection", "stream", "key"], update=changing)
    answered = tx.execute(_DECIDED, {"_keys": [row["key"] for row in rows]})
    decided = {tuple(row) for row in answered}
    open_ones = [q for q in questions if (q.connection, q.stream, q.key) not in decided]
    quarantine.put(tx, [_problem(question) for question in open_ones], now=now)


_DECIDED = select(reviews.c.connection, reviews.c.stream, reviews.c.key).where(
    among(reviews.c.key, "_keys"), reviews.c.decision.is_not(None)
)


def _problem(question: Question) -> Problem:
    return Problem(
        "review",
        question.connection,
        question.stream,
        question.key,
        "held",
        Cause.UNDER_REVIEW,
        question.reason,
        prints=question.prints,
    )


def review_decisions(
    tx: Connection, connection: str, stream: str, keys: Iterable[str]
) -> dict[str, str | None]:
    """Returns {key: decision} of records under review; None while a review is open."""
    given = {"_connection": connection, "_stream": stream, "_keys": keys}
    return {key: decision for key, decision in tx.execute(_DECISIONS, given)}


_ASKED = (
    reviews.c.connection == bindparam("_connection"),
    reviews.c.stream == bindparam("_stream"),
    among(reviews.c.key, "_keys"),
)
_DECISIONS = select(reviews.c.key, reviews.c.decision).where(*_ASKED)


def open_reviews(tx: Connection) -> list[Review]:
    """Returns the open reviews."""
    return [_review(row) for row in tx.execute(_OPEN)]


_OPEN = select(reviews).where(reviews.c.decision.is_(None)).order_by(reviews.c.id)


def _review(row: Row[Any]) -> Review:
    return Review(**row._mapping)


def save_decision(tx: Connection, number: int, decision: str) -> Review | None:
    """Stores a decision (a golden id, or "new"); returns the review."""
    tx.execute(update(reviews).where(reviews.c.id == number).values(decision=decision))
    row = tx.execute(select(reviews).where(reviews.c.id == number)).first()
    if row is None:
        return None
    review = _review(row)
    quarantine.resolve(tx, "review", review.connection, stream=review.stream, keys=[review.key])
    return review


def drop_reviews(tx: Connection, connection: str, stream: str, keys: Iterable[str]) -> None:
    """Deletes the reviews of records that are linked now."""
    asked = list(keys)
    given = {"_connection": connection, "_stream": stream, "_keys": asked}
    tx.execute(_DROP_REVIEWS, given)
    quarantine.resolve(tx, "review", connection, stream=stream, keys=asked)


_DROP_REVIEWS = reviews.delete().where(*_ASKED)
