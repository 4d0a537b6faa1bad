"""Short simulations of the shipped pair."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import pytest

from hub.simulation.change_history import History
from hub.simulation.faults import chosen
from hub.simulation.perform import SimulationResult, SimulationSpec, perform
from hub.simulation.shipped import settings_for
from hub.simulation.stage import Setup
from hub.store.engine import open_store
from tests.hub.simulation.relay import Relay

Rehearse = Callable[..., SimulationResult]


@pytest.fixture(scope="session")
def setup(tmp_path_factory: pytest.TempPathFactory) -> Setup:
    """The setup of the shipped pair."""
    settings, given = settings_for(None, tmp_path_factory.mktemp("shipped"))
    assert not given
    return Setup.of(settings)


@pytest.fixture
def rehearse(setup: Setup, tmp_path: Path) -> Iterator[Rehearse]:
    """Simulates a short day; each call has its own folder, which is open until the test ends."""
    count = iter(range(1000))

    def play(
        seed: int, changes: int = 150, faults: str = "all", *, records: int | None = None
    ) -> SimulationResult:
        """Simulates a day; `records` may change or disappear before a person is asked."""
        limits = setup.settings.limits
        if records is not None:
            limits = limits.model_copy(update={"records": records})
        strict = replace(setup, settings=replace(setup.settings, limits=limits))
        folder = tmp_path / str(next(count))
        folder.mkdir()
        order = SimulationSpec(strict, seed, changes, chosen(faults), faults)
        store = opened.enter_context(closing(open_store(f"sqlite:///{folder / 'hub.db'}")))
        store.create()
        history = opened.enter_context(History(folder / "history"))
        return perform(order, store, folder, history=history)

    with ExitStack() as opened:
        yield play


@pytest.fixture
def relay(setup: Setup, tmp_path: Path) -> Iterator[Relay]:
    """A company that one fault after the other may strike."""
    with (
        closing(open_store(f"sqlite:///{tmp_path / 'hub.db'}")) as store,
        History(tmp_path / "history") as history,
    ):
        store.create()
        yield Relay(setup, store, tmp_path, history=history, seed=2)
