"""Figures for people and monitoring: backlog and runs. Counts only, no values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, func, select

from hub.store.outbox import backlog
from hub.store.tables import conflicts, dirty, quarantine, reviews, runs, streams

#: The states of outbox entries, and `inbox` for notifications.
BACKLOG_STATES = ("inbox", "due", "in_flight", "waiting", "held")


@dataclass(frozen=True, slots=True)
class RunFigures:
    """The runs of one stream in one state."""

    kind: str
    connection: str
    stream: str
    state: str
    runs: int
    seen: int
    changed: int
    written: int
    quarantined: int


@dataclass(frozen=True, slots=True)
class Figures:
    """All counts."""

    #: (connection, inbox | due | sent | waiting | held) -> number
    backlog: dict[tuple[str, str], int]
    #: (pull | flow, source, waiting | held) -> number
    quarantine: dict[tuple[str, str, str], int]
    #: connection -> open conflicts, open reviews
    conflicts: dict[str, int]
    reviews: dict[str, int]
    derivations: int
    runs: Sequence[RunFigures]
    #: (connection, stream) -> end of the last complete read
    read_at: dict[tuple[str, str], datetime]


def figures(tx: Connection, *, since: datetime) -> Figures:
    """Counts what waits now, and the runs that started since `since`."""
    labels = (quarantine.c.kind, quarantine.c.source, quarantine.c.state)
    by_kind = (
        select(*labels, func.count())
        .where(quarantine.c.kind.in_(("pull", "flow")))
        .group_by(*labels)
    )
    by_conflict = (
        select(conflicts.c.connection, func.count())
        .where(conflicts.c.closed_at.is_(None))
        .group_by(conflicts.c.connection)
    )
    by_review = (
        select(reviews.c.connection, func.count())
        .where(reviews.c.decision.is_(None))
        .group_by(reviews.c.connection)
    )
    read = select(streams.c.connection, streams.c.stream, streams.c.read_at).where(
        streams.c.read_at.is_not(None)
    )
    return Figures(
        backlog=backlog(tx),
        quarantine={(kind, source, state): n for kind, source, state, n in tx.execute(by_kind)},
        conflicts=_counts(tx, by_conflict),
        reviews=_counts(tx, by_review),
        derivations=int(tx.execute(select(func.count()).select_from(dirty)).scalar_one()),
        runs=_runs(tx, since),
        read_at={(name, stream): at for name, stream, at in tx.execute(read)},
    )


def quarantined_since(tx: Connection, since: datetime) -> dict[tuple[str, str, str], int]:
    """Counts the items in quarantine that have failed since then, each once.

    Returns (pull | push | flow | review, source, stream) -> number.
    """
    what = (quarantine.c.kind, quarantine.c.source, quarantine.c.stream)
    query = select(*what, func.count()).where(quarantine.c.last_at >= since).group_by(*what)
    return {(kind, source, stream): n for kind, source, stream, n in tx.execute(query)}


def any_quarantined_since(tx: Connection, source: str, since: datetime) -> bool:
    """Returns True if any item of a connection or flow was quarantined since then."""
    new = (quarantine.c.source == source, quarantine.c.since >= since)
    return tx.execute(select(quarantine.c.id).where(*new).limit(1)).first() is not None


def _counts(tx: Connection, query: Select[Any]) -> dict[str, int]:
    return {str(name): int(number) for name, number in tx.execute(query)}


def _runs(tx: Connection, since: datetime) -> list[RunFigures]:
    labels = (runs.c.kind, runs.c.connection, runs.c.stream, runs.c.state)
    sums = (func.sum(c) for c in (runs.c.seen, runs.c.changed, runs.c.written, runs.c.quarantined))
    query = select(*labels, func.count(), *sums).where(runs.c.started_at >= since).group_by(*labels)
    return [RunFigures(*row[:5], *map(int, row[5:])) for row in tx.execute(query)]
