"""What is paused until a person resumes it: whole connections, and single streams."""

from __future__ import annotations

from sqlalchemy import Connection, literal, select, union_all

from hub.store.tables import connections, streams


def paused(tx: Connection) -> dict[tuple[str, str], str]:
    """Returns {(connection, stream): reason}; the stream is "" for a whole connection."""
    return {(name, stream): str(reason) for name, stream, reason in tx.execute(_PAUSED)}


_PAUSED = union_all(
    select(connections.c.connection, literal("").label("stream"), connections.c.reason).where(
        connections.c.paused_at.is_not(None)
    ),
    select(streams.c.connection, streams.c.stream, streams.c.reason).where(
        streams.c.paused_at.is_not(None)
    ),
)
