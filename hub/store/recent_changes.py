"""Known records that were touched lately: each counts once, and only for the time of the limit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from sqlalchemy import Connection, and_, func, select

from hub.model.change_limits import RecentChanges
from hub.store.engine import upsert
from hub.store.tables import golden, links, outbox, touched


def note(
    tx: Connection, connection: str, stream: str, whats: Mapping[str, str], *, now: datetime
) -> None:
    """Notes {key: changed | gone | deleted}; of a record touched before, what is newer holds."""
    rows = [
        {"connection": connection, "stream": stream, "key": key, "what": what, "touched_at": now}
        for key, what in whats.items()
    ]
    upsert(tx, touched, rows, key=["connection", "stream", "key"], update=["what", "touched_at"])


def forget(tx: Connection, connection: str, stream: str, *, whats: Iterable[str]) -> None:
    """Forgets what was touched in a stream: a person has accepted it."""
    tx.execute(
        touched.delete().where(
            touched.c.connection == connection,
            touched.c.stream == stream,
            touched.c.what.in_(list(whats)),
        )
    )


def forget_before(tx: Connection, connection: str, stream: str, *, before: datetime) -> None:
    """Forgets what was touched in a stream so long ago that it counts no more."""
    tx.execute(
        touched.delete().where(
            touched.c.connection == connection,
            touched.c.stream == stream,
            touched.c.touched_at < before,
        )
    )


def lately(tx: Connection, connection: str, stream: str) -> tuple[RecentChanges, int]:
    """Counts what was noted of a stream: seen over there, and deleted by the hub."""
    query = (
        select(touched.c.what, func.count())
        .where(touched.c.connection == connection, touched.c.stream == stream)
        .group_by(touched.c.what)
    )
    counts = {what: int(number) for what, number in tx.execute(query)}
    seen = RecentChanges(counts.get("changed", 0), counts.get("gone", 0))
    return seen, counts.get("deleted", 0)


def deletes_waiting(tx: Connection, connection: str, stream: str) -> int:
    """Counts the wishes that would delete a record of a stream."""
    link_of_wish = and_(
        links.c.golden_id == outbox.c.golden_id,
        links.c.connection == connection,
        links.c.stream == stream,
        links.c.is_primary,
        links.c.gone_at.is_(None),
    )
    query = (
        select(func.count())
        .select_from(outbox)
        .join(golden, and_(golden.c.id == outbox.c.golden_id, golden.c.deleted_at.is_not(None)))
        .join(links, link_of_wish)
        .where(outbox.c.connection == connection, outbox.c.state != "held")
    )
    return int(tx.execute(query).scalar_one())
