"""Connections: what the hub remembers of each one that is not in tulay.yaml."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, bindparam, select

from hub.store.engine import upsert
from hub.store.tables import connections


def connection_states(tx: Connection) -> dict[str, dict[str, Any]]:
    """Returns what is remembered of each connection."""
    return {row.connection: dict(row._mapping) for row in tx.execute(select(connections))}


def save_connection(tx: Connection, connection: str, **values: Any) -> None:
    """Stores some columns of a connection's state."""
    row = {"connection": connection, **values}
    upsert(tx, connections, [row], key=["connection"], update=list(values))


def pause_reason(tx: Connection, connection: str) -> str | None:
    """Returns why a connection is paused, or None."""
    row = tx.execute(_PAUSED, {"_connection": connection}).first()
    return None if row is None or row.paused_at is None else str(row.reason)


_PAUSED = select(connections.c.reason, connections.c.paused_at).where(
    connections.c.connection == bindparam("_connection")
)
