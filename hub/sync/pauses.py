"""Pauses a stream or a connection until a person resumes it, and lists what is paused."""

from __future__ import annotations

from sqlalchemy import Connection as Transaction

from hub.store.connections import save_connection
from hub.store.paused import paused
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


def waiting_for_people(hub: Hub, tx: Transaction) -> dict[str, str]:
    """Returns {connection or connection.stream: reason} of all configured ones that are paused."""
    places = [(name, "") for name in hub.connections]
    places += [(name, one) for name, where in hub.connections.items() for one in where.channels]
    reasons = paused(tx)
    return {".".join(filter(None, place)): reasons[place] for place in places if place in reasons}
