"""Any interleaving of users, faults and crashes converges: the real hub, simulated systems.

Every schedule is drawn from one number. A failure prints it, with the shortest history that fails
alike. TULAY_LONG=1 runs thousands.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hub.store.engine import open_store
from tests.scenarios.schedule import drawn
from tests.scenarios.verdict import explained, run_schedule

LONG = bool(os.environ.get("TULAY_LONG"))
#: So that several processes can share the work.
PARTS = 8 if LONG else 4
SCHEDULES = 4000 if LONG else 32
#: The quick suite runs the first part, the simulation tier all.
SHARES = [0, *(pytest.param(part, marks=pytest.mark.simulation) for part in range(1, PARTS))]
#: On PostgreSQL, where a transaction costs more.
FEWER = 200 if LONG else 3
STEPS = 50


def converge(url: str, seeds: range) -> None:
    store = open_store(url)
    store.create()
    try:
        for seed in seeds:
            landscape, steps = drawn(seed, STEPS)
            if run_schedule(store, landscape, steps).wrong:
                story = explained(store, landscape, steps)
                pytest.fail(f"seed {seed}:\n{story}", pytrace=False)
    finally:
        store.close()


@pytest.mark.parametrize("part", SHARES)
def test_all_sides_agree_when_people_stop_typing(part: int, tmp_path: Path) -> None:
    converge(f"sqlite:///{tmp_path / 'tulay.db'}", range(part, SCHEDULES, PARTS))


@pytest.mark.simulation
def test_all_sides_agree_on_postgresql(postgresql_url: str) -> None:
    converge(postgresql_url, range(10_000, 10_000 + FEWER))
