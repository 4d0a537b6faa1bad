"""A long history is shrunk to a short one that fails alike."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest

from hub.simulation.faults import chosen
from hub.simulation.in_process import rehearse
from hub.simulation.perform import SimulationSpec
from hub.simulation.scenes import Op
from hub.simulation.shrink import ScriptStep, scenes_of, script_of, shrunk
from hub.simulation.stage import Setup
from hub.sync.changeset import ChangeSet


def test_scenes_taken_apart_can_be_put_together() -> None:
    beats = [
        ScriptStep(1, op=Op("pull", "crm", "deals")),
        ScriptStep(2, op=Op("derive")),
        ScriptStep(2),
    ]
    assert script_of(scenes_of(beats)) == beats


def test_unneeded_faults_are_removed() -> None:
    beats = [
        ScriptStep(1, op=Op("push", "crm", fault="lost", dies=3)),
        ScriptStep(2, op=Op("derive")),
    ]

    def fails(some: Sequence[ScriptStep]) -> bool:
        return any(beat.op is not None and beat.op.dies == 3 for beat in some)

    (left,) = shrunk(beats, fails, until=time.monotonic() + 60)
    assert left.op == Op("push", "crm", dies=3)


def test_a_failure_comes_with_a_short_history(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ChangeSet, "conflicts_found", lambda *_args: None)
    order = SimulationSpec(setup, 1, 60, chosen("none"), "none")
    certificate = rehearse(order, database=None, shrinking=4.0)
    assert not certificate.kept
    assert certificate.promises["P1"] == "broken" or certificate.promises["P3"] == "broken"
    assert any(line.startswith("WRONG: ") for line in certificate.story)
    assert any(": quarrel " in line or ": edit " in line for line in certificate.story)
    assert certificate.lost == certificate.document()["lost"]
