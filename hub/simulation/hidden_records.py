"""Makes a sweep exceed the change limit: a system hides most records, as if a permission were lost.

The hub must pause and ask. The person restores the permission and resumes the stream without
accepting anything: nothing may have been deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from hub.model.change_limits import exceeds_limit
from hub.simulation.stage import Stage
from hub.store.links import count_links, links_by_key
from hub.store.streams import StreamState, stream_state
from hub.sync.change_limits import lift
from hub.sync.ingest.sweep import linked_keys

#: Share of its records that a system hides.
_SHARE = 0.6

Sweep = Callable[[str, str], None]


@dataclass(frozen=True)
class Hidden:
    """The records that a stream hides."""

    connection: str
    stream: str
    keys: Sequence[str]

    @property
    def where(self) -> str:
        """The stream, for messages."""
        return f"{self.connection} {self.stream}"


def exceed_change_limit(stage: Stage, pick: int, sweep: Sweep) -> list[str] | None:
    """Exceeds the limit once; returns what the hub did wrong, or None if no stream is large enough.

    `sweep` lets the hub sweep a stream, and returns when the sweep is done or paused.
    """
    hidden = _hide(stage, pick)
    if hidden is None:
        return None
    before = _state(stage, hidden)
    try:
        sweep(hidden.connection, hidden.stream)
        state = _state(stage, hidden)
        if state.paused_at is None and state.swept_at in (None, before.swept_at):
            return None  # another process holds the stream: nothing was swept
        return list(_wrong(stage, hidden, paused=state.paused_at is not None))
    finally:
        stage.company.systems[hidden.connection].fault_state.hide(hidden.stream, 0.0)
        lift(stage.hub, hidden.connection, hidden.stream, accept=False)


def _hide(stage: Stage, pick: int) -> Hidden | None:
    """Hides records of a stream whose loss exceeds the limit; a smaller loss would be applied."""
    found = [
        (name, stream)
        for name, connection in stage.hub.connections.items()
        for stream, channel in connection.channels.items()
        if channel.facts.deletions == "sweep"
    ]
    for turn in range(len(found)):
        name, stream = found[(pick + turn) % len(found)]
        system = stage.company.systems[name]
        with stage.store.read() as tx:
            state = stream_state(tx, name, stream)
            known = count_links(tx, name, stream)
        if state.paused_at is not None or state.accepted or state.read_at is None:
            continue
        if not exceeds_limit(int(known * _SHARE), known, stage.hub.limit):
            continue
        system.fault_state.hide(stream, _SHARE)
        keys = [
            key
            for portion in linked_keys(stage.hub, stage.hub.connection(name).channel(stream))
            for key in portion
            if system.fault_state.hides(stream, key)
            and (row := system.row(stream, key)) is not None
            and row.fate == "live"
        ]
        if exceeds_limit(len(keys), known, stage.hub.limit):
            return Hidden(name, stream, keys)
        system.fault_state.hide(stream, 0.0)
    return None


def _wrong(stage: Stage, hidden: Hidden, *, paused: bool) -> Iterator[str]:
    if not paused:
        yield f"{len(hidden.keys)} records of {hidden.where} were hidden, and the hub did not ask"
    with stage.store.read() as tx:
        links = links_by_key(tx, hidden.connection, hidden.stream, hidden.keys)
    gone = [key for key, link in links.items() if link.gone_at is not None]
    if gone:
        what = f"{len(gone)} records of {hidden.where} were hidden, and were taken for deleted"
        yield f"{what} without approval: {', '.join(gone[:3])} ..."


def _state(stage: Stage, hidden: Hidden) -> StreamState:
    with stage.store.read() as tx:
        return stream_state(tx, hidden.connection, hidden.stream)
