"""Which systems oscillate, and which users only type a lot."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.model.oscillation import Reversal, opponents, oscillation_reason

SIDES = st.sampled_from(["crm", "erp", "flow:figures"])


@given(st.lists(SIDES), st.integers(1, 20))
def test_too_many_reversals_are_an_oscillation(sides: list[str], most: int) -> None:
    turns = sum(a != b for a, b in pairwise(sides))
    who = opponents([Reversal(side) for side in sides], most)
    assert who == (tuple(dict.fromkeys(sides)) if turns > most else ())


@given(st.integers(0, 50), st.integers(1, 20))
def test_repeating_an_overruled_value_oscillates(times: int, most: int) -> None:
    who = opponents([Reversal("crm", overruled=True)] * times, most)
    assert who == (("crm",) if times - 1 > most else ())


@given(st.lists(SIDES, min_size=30, max_size=60))
def test_a_decision_ends_what_was_before(sides: list[str]) -> None:
    before = [Reversal(side) for side in sides]
    assert opponents([*before, Reversal("person", decided=True), Reversal("crm")], 1) == ()


@pytest.mark.parametrize("most", [0, -1])
def test_no_limit_means_never(most: int) -> None:
    assert opponents([Reversal("crm"), Reversal("erp")] * 50, most) == ()


def test_the_reason_names_systems_and_a_remedy() -> None:
    assert oscillation_reason("name", ("crm",), 3).startswith(
        "crm and the hub's policy keep reversing each other: more than 3 reversals of name"
    )
