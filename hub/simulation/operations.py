"""The jobs of the hub in a simulation: each calls a use case, and its counts must add up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from hub.simulation import hidden_records
from hub.simulation.findings import Finding
from hub.simulation.scenes import Op
from hub.store.runs import Tally
from hub.sync.flows import derive
from hub.sync.ingest.inbox import process_inbox
from hub.sync.ingest.pull import pull
from hub.sync.ingest.sweep import sweep
from hub.sync.push.push import push

if TYPE_CHECKING:
    from hub.simulation.play import Play

#: Seconds after which a failed write is repeated.
_PAUSE = 60.0


def count(play: Play, tally: Tally) -> None:
    """Adds a finding if the counts of a run do not add up."""
    if not tally.adds_up:
        what = f"the counts of a {tally.kind} of {tally.connection} {tally.stream} do not add up"
        play.findings.append(Finding("P10", what))


def _pull(play: Play, op: Op) -> None:
    count(play, pull(play.stage.hub, op.connection, op.stream))


def _sweep(play: Play, op: Op) -> None:
    count(play, sweep(play.stage.hub, op.connection, op.stream))


def _inbox(play: Play, op: Op) -> None:
    count(play, process_inbox(play.stage.hub, op.connection))


def _push(play: Play, op: Op) -> None:
    push(play.stage.hub, op.connection)


def _again(play: Play, op: Op) -> None:
    """Pushes again when all pauses after errors are over, before anything is read."""
    play.stage.clock.pass_by(_PAUSE)
    push(play.stage.hub, op.connection)


def _derive(play: Play, _: Op) -> None:
    derive(play.stage.hub)


def _surprise(play: Play, op: Op) -> None:
    """Hides records from one sweep, as if a permission were lost."""

    def look(name: str, stream: str) -> None:
        count(play, sweep(play.stage.hub, name, stream))

    exceed_change_limit(play, op.after, look)


def exceed_change_limit(play: Play, pick: int, sweep: hidden_records.Sweep) -> None:
    """Exceeds the change limit if a stream is large enough."""
    found = hidden_records.exceed_change_limit(play.stage, pick, sweep)
    if found is not None:
        play.struck["surprise"] += 1
        play.findings += [Finding("P9", what) for what in found]


def _delay(play: Play, op: Op) -> None:
    """Reads a page and keeps it back."""
    play.late.keep_back(op.connection, op.stream)


def _arrive(play: Play, _: Op) -> None:
    """Ingests a page that was read some time ago."""
    if not play.late:
        return
    play.struck["stale"] += 1
    name, stream = play.late.next_stream
    play.say(f"  an old page of {name} {stream} is ingested")
    count(play, play.late.ingest_next(play.stage.hub))


#: Kind of job -> how it is done.
JOBS: Mapping[str, Callable[[Play, Op], None]] = {
    "pull": _pull,
    "sweep": _sweep,
    "inbox": _inbox,
    "push": _push,
    "again": _again,
    "derive": _derive,
    "surprise": _surprise,
    "delay": _delay,
    "arrive": _arrive,
}
