"""One simulation in one process from beginning to end: initial data, day, settling, check."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from connectors.kit.faults import Chances
from hub.simulation.change_history import History
from hub.simulation.checker import CheckResult, check_history
from hub.simulation.play import Play
from hub.simulation.rest import read_again, rest
from hub.simulation.scenes import Op, Plan, Scene
from hub.simulation.stage import Setup, Stage
from hub.simulation.workload import Workload
from hub.store.engine import Store

#: A working day, in seconds.
DAY = 8 * 3600
#: Number of breaks a day in which the hub must settle, whatever the day's size.
_BREAKS = 5


@dataclass(frozen=True)
class SimulationSpec:
    """What to simulate."""

    setup: Setup
    seed: int
    changes: int
    #: fault -> chance
    faults: Chances
    #: The text of `--faults`.
    asked: str = "all"
    #: The settings are the user's file, not the shipped pair.
    given: bool = False
    #: Options of the command for workers, database and Redis, without passwords.
    options: tuple[str, ...] = ()

    def without(self, faults: Iterable[str]) -> SimulationSpec:
        """Returns the same simulation without some faults."""
        left = {name: chance for name, chance in self.faults.items() if name not in faults}
        return replace(self, faults=left)


@dataclass
class SimulationResult:
    """The outcome of a simulation."""

    play: Play
    check_result: CheckResult
    #: Number of scenes that were played.
    scenes: int
    seconds: float


def day_of(spec: SimulationSpec, stage: Stage) -> Workload:
    """Returns the workload of a simulation."""
    pace = DAY / max(spec.changes, 1)
    return Workload(spec.seed, stage.roles(), spec.changes, pace=min(pace, 3.0))


def page_of(spec: SimulationSpec) -> int:
    """Returns the number of records in a page: even on a small day a read takes several pages."""
    return min(max(_people(spec) // 4, 4), 100)


def _people(spec: SimulationSpec) -> int:
    return max(spec.changes // 25, 12)


def plan_of(spec: SimulationSpec, stage: Stage, day: Workload) -> Plan:
    """Returns the plan of the scenes."""
    streams = {name: tuple(c.channels) for name, c in stage.hub.connections.items()}
    people = _people(spec)
    # Large enough that work comes in batches, small enough that few runs exceed the change limit.
    largest = max(6, min(max(people // 2, 120), spec.changes // 10, 4000))
    rhythm = max(spec.changes * 2 // (largest * _BREAKS), 4)
    return Plan(spec.seed, day, streams, spec.faults, largest, rhythm)


def perform(
    spec: SimulationSpec,
    store: Store,
    folder: Path,
    *,
    history: History,
    chosen: Callable[[Iterable[Scene]], Iterator[Scene]] | None = None,
    tell: Callable[[str], None] | None = None,
    advance: Callable[[int], None] = lambda _count: None,
) -> SimulationResult:
    """Runs a simulation on an empty store and an empty history, which the caller closes.

    `chosen` selects scenes.
    """
    began = time.monotonic()
    stage = Stage(spec.setup, folder, store, spec.seed, spec.faults, page=page_of(spec))
    play = Play(stage, history, tell)
    day = day_of(spec, stage)
    play.populate(day.population())
    rest(play)
    play.day_begins()
    scenes = plan_of(spec, stage, day).scenes()
    number = 0
    for scene in scenes if chosen is None else chosen(scenes):
        number = scene.number
        before = play.changes
        play.scene(scene)
        advance(play.changes - before)
        if scene.settles:
            rest(play)
        if _broken(play) or (chosen is None and play.changes >= spec.changes):
            break
    play.day_ends()
    end(play)
    return SimulationResult(play, check_history(play), number, time.monotonic() - began)


def _broken(play: Play) -> bool:
    """Returns True if there is no point in continuing."""
    return len(play.findings) > 5 or play.endless


def end(play: Play) -> None:
    """Ends the faults and delivers what is delayed; then the hub must settle."""
    play.stage.clear_faults()
    if play.endless:
        return
    while play.late:
        play.perform(Op("arrive"))
    rest(play)
    read_again(play)
