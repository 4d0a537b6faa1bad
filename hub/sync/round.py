"""Whole rounds: read all, look at what was asked for, derive, write; until all is quiet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection as Transaction

from connectors.kit.errors import ConnectorError
from hub.store import outbox, quarantine
from hub.store.connections import connection_states
from hub.store.runs import Tally
from hub.store.streams import all_streams, stream_state
from hub.sync.derive import age, derive
from hub.sync.drain import drain
from hub.sync.hub import Channel, Hub
from hub.sync.progress import Progress
from hub.sync.pull import pull, sweep
from hub.sync.push import push

#: A chain deal -> order -> production, invoice -> figures needs four; more means no convergence.
_MOST_ROUNDS = 8


@dataclass
class Report:
    """What happened in all rounds together."""

    rounds: int = 0
    written: int = 0
    changed: int = 0
    tallies: list[Tally] = field(default_factory=list)
    #: Connection -> why it could not be spoken to.
    failed: dict[str, str] = field(default_factory=dict)
    #: Connection or connection.stream -> why it waits for a person.
    paused: dict[str, str] = field(default_factory=dict)
    #: Nothing was left to do at the end.
    quiet: bool = False


def sync(
    hub: Hub, *, entities: Sequence[str] | None = None, progress: Progress | None = None
) -> Report:
    """Brings all sides together: rounds until one has nothing to do.

    A connection that does not answer is left out and reported; the others go on.
    """
    report = Report()
    age(hub)
    with hub.store.begin() as tx:
        outbox.retry_refused(tx, now=hub.clock())
    for number in range(_MOST_ROUNDS):
        report.rounds = number + 1
        with hub.store.begin() as tx:
            outbox.resume_all_waiting(tx, now=hub.clock())
            quarantine.resume_all_waiting(tx, now=hub.clock())
        before = (report.changed, report.written)
        _read(hub, report, entities, swept=number == 0, progress=progress)
        if _all_was_read(hub):
            report.changed += derive(hub)
        _write(hub, report, progress=progress)
        if (report.changed, report.written) == before:
            report.quiet = not report.failed
            break
    with hub.store.read() as tx:
        report.paused = _paused(hub, tx)
    return report


def _all_was_read(hub: Hub) -> bool:
    """Says whether every stream was read at least once: before, what looks missing is unknown."""
    with hub.store.read() as tx:
        read = {(s["connection"], s["stream"]) for s in all_streams(tx) if s["read_at"]}
    return all(
        (connection.name, stream) in read
        for connection in hub.connections.values()
        for stream in connection.channels
    )


def _read(
    hub: Hub,
    report: Report,
    entities: Sequence[str] | None,
    *,
    swept: bool,
    progress: Progress | None,
) -> None:
    for name in hub.entities:
        if entities is not None and name not in entities:
            continue
        for channel in _channels(hub, name):
            if channel.connection in report.failed:
                continue
            try:
                _count(report, pull(hub, channel.connection, channel.stream, progress=progress))
                if swept and _wants_sweep(hub, channel):
                    found = sweep(hub, channel.connection, channel.stream, progress=progress)
                    _count(report, found)
            except ConnectorError as error:
                report.failed[channel.connection] = str(error)
    for connection in hub.connections:
        if connection not in report.failed:
            try:
                _count(report, drain(hub, connection))
            except ConnectorError as error:
                report.failed[connection] = str(error)


def _wants_sweep(hub: Hub, channel: Channel) -> bool:
    """Says whether deletions only show in a sweep: always, or after everything was read anew."""
    with hub.store.read() as tx:
        swept_at = stream_state(tx, channel.connection, channel.stream).swept_at
    return channel.facts.deletions == "sweep" or swept_at is None


def _write(hub: Hub, report: Report, *, progress: Progress | None) -> None:
    for connection in hub.connections:
        if connection in report.failed:
            continue
        try:
            _count(report, push(hub, connection, progress=progress))
        except ConnectorError as error:
            report.failed[connection] = str(error)


def _count(report: Report, tally: Tally) -> None:
    report.tallies.append(tally)
    report.changed += tally.changed
    report.written += tally.written


def _channels(hub: Hub, entity: str) -> list[Channel]:
    return [
        channel
        for connection in hub.connections.values()
        for channel in connection.channels.values()
        if channel.entity.name == entity
    ]


def _paused(hub: Hub, tx: Transaction) -> dict[str, str]:
    found = {
        name: str(state["reason"])
        for name, state in connection_states(tx).items()
        if state["paused_at"] is not None and name in hub.connections
    }
    for row in all_streams(tx):
        if row["paused_at"] is not None:
            found[f"{row['connection']}.{row['stream']}"] = str(row["reason"])
    return found
