"""Connections: what the hub remembers about each one beyond tulay.yaml."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, select

from hub.store.engine import upsert
from hub.store.tables import connections


@dataclass(frozen=True, slots=True)
class ConnectionState:
    """The stored state of a connection, without its tokens."""

    paused_at: datetime | None = None
    reason: str | None = None
    #: Fingerprint of the fields that `prepare` has created.
    prepared: str | None = None
    #: When it last sent a notification.
    notified_at: datetime | None = None
    #: The process that renews its tokens.
    leased_by: str | None = None


def connection_states(tx: Connection) -> dict[str, ConnectionState]:
    """Returns the stored state of each connection."""
    return {name: ConnectionState(*state) for name, *state in tx.execute(_STATES)}


_STATES = select(
    connections.c.connection,
    connections.c.paused_at,
    connections.c.reason,
    connections.c.prepared,
    connections.c.notified_at,
    connections.c.leased_by,
)


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
