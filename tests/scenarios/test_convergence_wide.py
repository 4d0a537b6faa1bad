"""The wide world converges, too: seeded schedules, and a Hypothesis state machine that shrinks.

The state machine draws the landscape and every step, with one rule for each kind of event, and ends
each example by letting the world settle and checking it. By default it draws the same examples
every time; TULAY_LONG=1 draws new ones, more and longer.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

from hub.store.engine import Store, open_store
from tests.scenarios.schedule import FAULTS, HUB_VERBS, Step
from tests.scenarios.verdict import checked, emptied, explained, kept, run_schedule
from tests.scenarios.wide_landscape import draw_wide
from tests.scenarios.wide_world import WIDE_VERBS, WideWorld, drawn_wide

LONG = bool(os.environ.get("TULAY_LONG"))
PARTS = 8 if LONG else 4
#: The quick suite runs the first part, the simulation tier all.
SHARES = [0, *(pytest.param(part, marks=pytest.mark.simulation) for part in range(1, PARTS))]
#: Number of schedules, the first of them, and their length; the environment may override them.
SCHEDULES = int(os.environ.get("TULAY_SCHEDULES") or (4000 if LONG else 12))
FIRST = int(os.environ.get("TULAY_SEED") or 0)
STEPS = 80 if LONG else 50
#: On PostgreSQL, where a transaction costs more.
FEWER = 100 if LONG else 1
EXAMPLES = 1000 if LONG else 12


def converge(url: str, seeds: range) -> None:
    store = open_store(url)
    store.create()
    try:
        for seed in seeds:
            landscape, steps = drawn_wide(seed, STEPS)
            if run_schedule(store, landscape, steps, kind=WideWorld).wrong:
                story = explained(store, landscape, steps, kind=WideWorld)
                pytest.fail(f"seed {seed}:\n{story}", pytrace=False)
    finally:
        store.close()


@pytest.mark.parametrize("part", SHARES)
def test_a_wide_world_agrees_when_people_stop(part: int, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'tulay.db'}"
    converge(url, range(FIRST + part, FIRST + SCHEDULES, PARTS))


@pytest.mark.simulation
def test_a_wide_world_agrees_on_postgresql(postgresql_url: str) -> None:
    converge(postgresql_url, range(FIRST + 10_000, FIRST + 10_000 + FEWER))


NUMBERS = st.integers(0, 999)
PAUSES = st.sampled_from((0, 1, 2, 8, 30))
_STEP = {"system": st.integers(0, 3), "pick": NUMBERS, "what": NUMBERS, "pause": PAUSES}
#: What users, operators and systems do; the hub's own verbs can be interrupted.
_OTHERS = sorted(set(WIDE_VERBS) - set(HUB_VERBS))
ASIDE = st.builds(Step, st.sampled_from(sorted(WIDE_VERBS)), **_STEP)
TROUBLE = {
    "fault": st.none() | st.sampled_from(FAULTS),
    "dies": st.none() | st.integers(0, 16),
    "meanwhile": st.none() | st.tuples(st.integers(0, 11), ASIDE),
}
PEOPLE = st.builds(Step, st.sampled_from(_OTHERS), **_STEP)
HUB = st.builds(Step, st.sampled_from(HUB_VERBS), **_STEP, **TROUBLE)


class WideMachine(RuleBasedStateMachine):
    """Users, operators and systems act, the hub works, calls fail and processes die."""

    store: Store

    def __init__(self) -> None:
        super().__init__()
        self.world: WideWorld | None = None

    @initialize(seed=st.integers(0, 2**16))
    def settle_somewhere(self, seed: int) -> None:
        """Draws the systems, their faults and clocks, the policies and the mappings."""
        emptied(self.store)
        landscape = draw_wide(random.Random(seed))
        event(f"{len(landscape.specs)} systems")
        self.world = WideWorld(landscape, self.store.engine, kept=kept)

    @rule(step=PEOPLE)
    def somebody_acts(self, step: Step) -> None:
        """Types, undoes, deletes, merges, decides, pauses, changes a mapping, sends a webhook."""
        assert self.world is not None
        self.world.play(step)

    @rule(step=HUB)
    def the_hub_works(self, step: Step) -> None:
        """Pulls, sweeps, processes the inbox, pushes or syncs, whatever goes wrong meanwhile."""
        assert self.world is not None
        self.world.play(step)

    def teardown(self) -> None:
        """Everything stops; two rounds later every promise must hold."""
        if self.world is not None:
            wrong = checked(self.world)
            assert not wrong, "\n".join([*self.world.story, "", "WRONG:", *wrong])


@pytest.mark.simulation
def test_any_interleaving_ends_well() -> None:
    folder = Path(tempfile.mkdtemp(prefix="tulay-machine-"))
    store = open_store(f"sqlite:///{folder / 'tulay.db'}")
    store.create()
    WideMachine.store = store
    try:
        run_state_machine_as_test(
            WideMachine,
            settings=settings(
                max_examples=EXAMPLES,
                stateful_step_count=STEPS,
                deadline=None,
                derandomize=not LONG,
                database=None,
                phases=[Phase.generate, Phase.shrink],
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        store.close()
        shutil.rmtree(folder)
