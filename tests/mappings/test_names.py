"""Names in one field are split the way they were joined."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.kit.names import SUFFIXES, join, split

WORD = st.text(st.characters(categories=["L", "M", "P", "N"]), min_size=1, max_size=8).filter(
    lambda word: "," not in word and word == word.strip()
)
NAME = st.lists(WORD, min_size=1, max_size=3).map(" ".join)
PARTICLES = st.sampled_from(["van", "der", "de", "la", "von", "Jr.", "III", "Ann", "Berg"])
TRICKY = st.lists(PARTICLES, min_size=1, max_size=3).map(" ".join)


@given(first=NAME | TRICKY, last=NAME | TRICKY)
def test_two_names_in_one_field_come_apart_again(first: str, last: str) -> None:
    full = join(first, last)
    assert full is not None
    suffixes_only = all(w.lower().replace(".", "") in SUFFIXES for w in first.split())
    if not suffixes_only:
        assert split(full) == (first, last)


@given(full=NAME | TRICKY)
def test_nothing_of_a_name_is_lost(full: str) -> None:
    first, last = split(full)
    assert f"{first or ''} {last or ''}".split() == full.split()


@pytest.mark.parametrize(
    ("full", "first", "last"),
    [
        ("Ann Smith", "Ann", "Smith"),
        ("Ludwig van Beethoven", "Ludwig", "van Beethoven"),
        ("Van Morrison", "Van", "Morrison"),
        ("Martin Luther King Jr.", "Martin Luther", "King Jr."),
        ("Smith, Ann", "Ann", "Smith"),
        ("Smith, Jr.", "Smith", "Jr."),
        ("Maria de los Angeles Santos", "Maria de los Angeles", "Santos"),
        ("Santos, Maria de los Angeles", "Maria de los Angeles", "Santos"),
        ("Cher", None, "Cher"),
    ],
)
def test_names_are_read_as_people_mean_them(full: str, first: str | None, last: str) -> None:
    assert split(full) == (first, last)
