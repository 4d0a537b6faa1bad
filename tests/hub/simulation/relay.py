"""One simulation with many faults in turn: each gets its own shift, with a check at its end.

A whole day per fault would spend most of its time on creating and reading the initial data.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from hub.simulation.change_history import History
from hub.simulation.checker import CheckResult, check_history
from hub.simulation.in_process import struck
from hub.simulation.perform import SimulationSpec, day_of, end, page_of, plan_of
from hub.simulation.play import Play
from hub.simulation.rest import rest
from hub.simulation.stage import Setup, Stage
from hub.store.engine import Store

#: Changes per shift, and scenes after which a fault that has not struck is given up.
_CHANGES, _SCENES = 24, 60


@dataclass
class Shift:
    """The outcome of one shift."""

    check_result: CheckResult
    #: Which faults have struck, and how often.
    struck: dict[str, int]


class Relay:
    """A company whose hub knows everything, before anything goes wrong."""

    def __init__(
        self, setup: Setup, store: Store, folder: Path, *, history: History, seed: int
    ) -> None:
        self._order = SimulationSpec(setup, seed, _CHANGES, {}, "none")
        self.stage = Stage(setup, folder, store, seed, {}, page=page_of(self._order))
        self.play = Play(self.stage, history)
        self._day = day_of(self._order, self.stage)
        self.play.populate(self._day.population())
        rest(self.play)
        self.play.day_begins()

    def shift(self, fault: str, chance: float) -> Shift:
        """Lets users and hub work with one fault until it has struck; then the hub must settle."""
        play, stage = self.play, self.stage
        play.struck.clear()
        for system in stage.company.systems.values():
            system.fault_state.forget_happened()
        stage.faults = {fault: chance}
        stage.inject_faults()
        self._day.seed += 1
        plan = plan_of(replace(self._order, faults=stage.faults), stage, self._day)
        done = 0
        for scene in plan.scenes():
            before = play.changes
            play.scene(scene)
            done += play.changes - before
            if play.endless or scene.number >= _SCENES:
                break
            if done >= _CHANGES and fault in struck(play):
                break
        play.day_ends()
        end(play)
        return Shift(check_history(play), struck(play))
