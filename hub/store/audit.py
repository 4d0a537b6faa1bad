"""Queries of an auditor, in portions: what happened to values, and which records are linked.

Reads only; a million records need no more memory than a thousand.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, func, select

from hub.store.engine import among
from hub.store.links import Link, links_by_key, living_keys
from hub.store.tables import conflicts, history, links, runs
from mappings.canonical.values import Scalar

#: (path, value)
Said = tuple[str, Scalar]


def remembered(tx: Connection, golden_ids: Iterable[str]) -> dict[str, set[Said]]:
    """Returns every value in the history of these golden records, by golden id."""
    found: dict[str, set[Said]] = {}
    for golden_id, path, old, new in tx.execute(_REMEMBERED, {"_ids": golden_ids}):
        found.setdefault(golden_id, set()).update(((path, old), (path, new)))
    return found


_REMEMBERED = select(history.c.golden_id, history.c.path, history.c.old, history.c.new).where(
    among(history.c.golden_id, "_ids")
)


def disputed(
    tx: Connection, golden_ids: Iterable[str]
) -> tuple[dict[str, set[Said]], dict[str, set[Said]]]:
    """Returns the values in open conflicts, and in closed ones, by golden id."""
    in_open: dict[str, set[Said]] = {}
    in_closed: dict[str, set[Said]] = {}
    for row in tx.execute(_DISPUTED, {"_ids": golden_ids}):
        found = in_open if row.closed_at is None else in_closed
        found.setdefault(row.golden_id, set()).update(
            ((row.path, row.ours), (row.path, row.theirs))
        )
    return in_open, in_closed


_DISPUTED = select(conflicts).where(among(conflicts.c.golden_id, "_ids"))


def living_links(
    tx: Connection, connection: str, stream: str, *, after: str, limit: int
) -> dict[str, Link]:
    """Returns the next living links of a stream by key, in the order of keys."""
    keys = living_keys(tx, connection, stream, after=after, limit=limit)
    return links_by_key(tx, connection, stream, keys)


def unwritten(tx: Connection) -> list[tuple[str, str, str]]:
    """Returns connection, stream and key of living secondary records without a living primary.

    Each is a bug: one of the living records in a stream must be primary.
    """
    return [(connection, stream, key) for connection, stream, key in tx.execute(_UNWRITTEN)]


_written = links.alias("written")
_UNWRITTEN = select(links.c.connection, links.c.stream, links.c.key).where(
    links.c.is_primary.is_(False),
    links.c.gone_at.is_(None),
    links.c.golden_id.is_not(None),
    ~select(_written.c.id)
    .where(
        _written.c.golden_id == links.c.golden_id,
        _written.c.connection == links.c.connection,
        _written.c.stream == links.c.stream,
        _written.c.is_primary,
        _written.c.gone_at.is_(None),
    )
    .exists(),
)


def presumed_deleted(tx: Connection) -> list[tuple[str, str, str]]:
    """Returns golden id, connection and key of every deletion in the history."""
    query = select(history.c.golden_id, history.c.connection, history.c.old).where(
        history.c.path == "(record)", history.c.new.is_(None)
    )
    return [(golden_id, connection, str(key)) for golden_id, connection, key in tx.execute(query)]


def runs_by_state(tx: Connection) -> dict[str, int]:
    """Returns {state: number of runs}."""
    query = select(runs.c.state, func.count()).group_by(runs.c.state)
    return {str(state): int(number) for state, number in tx.execute(query)}
