"""Who fights over a field, and who only types a lot."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.model.fights import Flip, fight_reason, fighters

SIDES = st.sampled_from(["crm", "erp", "flow:figures"])


@given(st.lists(SIDES), st.integers(1, 20))
def test_they_fight_when_they_take_turns_too_often(sides: list[str], most: int) -> None:
    turns = sum(a != b for a, b in pairwise(sides))
    who = fighters([Flip(side) for side in sides], most)
    assert who == (tuple(dict.fromkeys(sides)) if turns > most else ())


@given(st.integers(0, 50), st.integers(1, 20))
def test_who_brings_again_what_was_overruled_fights_with_the_policy(times: int, most: int) -> None:
    who = fighters([Flip("crm", overruled=True)] * times, most)
    assert who == (("crm",) if times - 1 > most else ())


@given(st.lists(SIDES, min_size=30, max_size=60))
def test_a_decision_ends_what_was_before(sides: list[str]) -> None:
    before = [Flip(side) for side in sides]
    assert fighters([*before, Flip("person", decided=True), Flip("crm")], 1) == ()


@pytest.mark.parametrize("most", [0, -1])
def test_no_limit_means_never(most: int) -> None:
    assert fighters([Flip("crm"), Flip("erp")] * 50, most) == ()


def test_the_reason_says_who_and_what_to_do() -> None:
    assert fight_reason("name", ("crm",), 3).startswith("crm and the hub's policy fight: name")
