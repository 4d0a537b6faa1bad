"""The table of planted bugs stays valid: each applies, breaks something, and names real tests."""

from __future__ import annotations

import ast
import re

import pytest

from tests.planted.plant import ROOT, Plant, every

PLANTS = list(every())


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.name)
def test_every_planted_bug_still_applies(plant: Plant) -> None:
    assert plant.applies(), f"its text is not exactly once in {plant.file}: plant it again"
    source = (ROOT / plant.file).read_text(encoding="utf-8")
    ast.parse(source.replace(plant.sound, plant.broken))
    assert plant.sound != plant.broken


def test_names_are_unique_and_promises_exist() -> None:
    assert len({plant.name for plant in PLANTS}) == len(PLANTS)
    promises = {f"P{number}" for number in range(1, 13)}
    assert {plant.promise for plant in PLANTS} == promises | {"security"}


def test_the_tests_that_catch_them_exist() -> None:
    for plant in PLANTS:
        assert plant.caught_by, plant.name
        for named in plant.caught_by:
            path, _, test = named.partition("::")
            assert (ROOT / path).exists(), named
            if test:
                text = (ROOT / path).read_text(encoding="utf-8")
                assert re.search(rf"^(async )?def {test}\(", text, re.MULTILINE), named
