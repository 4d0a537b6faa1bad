"""Pauses a stream or a connection until a person resumes it."""

from __future__ import annotations

from hub.store.connections import save_connection
from hub.store.streams import save_stream
from hub.sync.context import Channel, Hub


def pause_stream(hub: Hub, channel: Channel, reason: str) -> None:
    """Pauses a stream until a person resumes it."""
    with hub.store.begin() as tx:
        save_stream(tx, channel.connection, channel.stream, paused_at=hub.clock(), reason=reason)


def pause_connection(hub: Hub, connection: str, reason: str) -> None:
    """Pauses a connection until a person resumes it."""
    with hub.store.begin() as tx:
        save_connection(tx, connection, paused_at=hub.clock(), reason=reason)
