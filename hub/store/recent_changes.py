"""Recently changed known records: each counts once, within the window of the change limit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from sqlalchemy import Connection, and_, func, select

from hub.model.change_limits import RecentChanges
from hub.store.engine import upsert
from hub.store.tables import golden, links, outbox, recent_changes


def note(
    tx: Connection, connection: str, stream: str, kinds: Mapping[str, str], *, now: datetime
) -> None:
    """Stores {key: changed | gone | deleted}; the newer kind of a record replaces the older."""
    rows = [
        {"connection": connection, "stream": stream, "key": key, "kind": kind, "changed_at": now}
        for key, kind in kinds.items()
    ]
    upsert(
        tx, recent_changes, rows, key=["connection", "stream", "key"], update=["kind", "changed_at"]
    )


def forget(tx: Connection, connection: str, stream: str, *, kinds: Iterable[str]) -> None:
    """Removes the recent changes of a stream, because a person accepted them."""
    tx.execute(
        recent_changes.delete().where(
            recent_changes.c.connection == connection,
            recent_changes.c.stream == stream,
            recent_changes.c.kind.in_(list(kinds)),
        )
    )


def forget_before(tx: Connection, connection: str, stream: str, *, before: datetime) -> None:
    """Removes the recent changes of a stream that are older than the window."""
    tx.execute(
        recent_changes.delete().where(
            recent_changes.c.connection == connection,
            recent_changes.c.stream == stream,
            recent_changes.c.changed_at < before,
        )
    )


def lately(tx: Connection, connection: str, stream: str) -> tuple[RecentChanges, int]:
    """Counts the recent changes of a stream: made in the remote system, and deleted by the hub."""
    query = (
        select(recent_changes.c.kind, func.count())
        .where(recent_changes.c.connection == connection, recent_changes.c.stream == stream)
        .group_by(recent_changes.c.kind)
    )
    counts = {kind: int(number) for kind, number in tx.execute(query)}
    seen = RecentChanges(counts.get("changed", 0), counts.get("gone", 0))
    return seen, counts.get("deleted", 0)


def deletes_waiting(tx: Connection, connection: str, stream: str) -> int:
    """Counts the outbox entries that would delete a record of a stream."""
    link_of_entry = and_(
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
        .join(links, link_of_entry)
        .where(outbox.c.connection == connection, outbox.c.state != "held")
    )
    return int(tx.execute(query).scalar_one())
