"""The people who are asked in a simulation: they decide conflicts and accept unusual changes."""

from __future__ import annotations

from hub.errors import DecisionError
from hub.store.conflicts import list_conflicts
from hub.store.connections import connection_states, save_connection
from hub.store.streams import all_streams, save_stream
from hub.sync.context import Hub
from hub.sync.operate.resolve import resolve_conflict


def decide_conflicts(hub: Hub, *, most: float) -> int:
    """Decides up to this share of the open conflicts; returns the number of decisions."""
    decisions = 0
    with hub.store.read() as tx:
        waiting = list_conflicts(tx)
    for number, row in enumerate(waiting):
        if number >= len(waiting) * most:
            break
        try:
            resolve_conflict(hub, row.id, "ours" if row.id % 2 else "theirs")
            decisions += 1
        except DecisionError:
            continue  # decided along with another one, or its record is gone
    return decisions


def accept_changes(hub: Hub) -> int:
    """Resumes every paused stream and connection; returns how many there were."""
    free = {"paused_at": None, "reason": None}
    with hub.store.begin() as tx:
        paused = [name for name, state in all_streams(tx).items() if state.paused_at is not None]
        for connection, stream in paused:
            save_stream(tx, connection, stream, **free, accepted=1)
        for name, known in connection_states(tx).items():
            if known.paused_at is not None:
                save_connection(tx, name, **free)
    return len(paused)
