"""A run that changes too much of what is known waits for a person."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.model.surprise import Lately, Limit, flooding, surprising


@pytest.mark.parametrize(
    ("touched", "known", "limit", "expected"),
    [
        (0, 0, Limit(), False),
        (50, 50, Limit(), False),
        (51, 51, Limit(), True),
        (51, 254, Limit(), True),
        (51, 255, Limit(), False),
        (200, 1000, Limit(), False),
        (201, 1000, Limit(), True),
        # Nothing is known, yet known records would change: all the more a surprise.
        (51, 0, Limit(), True),
        (1, 1, Limit(share=0.0, records=0), True),
        (1000, 1000, Limit(share=1.0), False),
    ],
)
def test_both_limits_must_be_passed(touched: int, known: int, limit: Limit, expected: bool) -> None:
    assert surprising(touched, known, limit) is expected


@pytest.mark.parametrize(
    ("lately", "known", "expected"),
    [
        (Lately(), 0, False),
        (Lately(gone=50), 50, False),
        (Lately(gone=51), 254, True),
        (Lately(gone=51), 255, False),
        (Lately(changed=51), 102, False),
        (Lately(changed=51), 101, True),
        (Lately(changed=40, gone=20), 119, True),
        (Lately(changed=40, gone=20), 120, False),
    ],
)
def test_deletions_are_measured_more_strictly_than_changes(
    lately: Lately, known: int, expected: bool
) -> None:
    assert flooding(lately, known, Limit()) is expected


def test_who_sets_busy_to_one_is_not_asked_about_changes() -> None:
    assert not flooding(Lately(changed=1000), 1000, Limit(busy=1.0))
    assert flooding(Lately(changed=500, gone=500), 1000, Limit(busy=1.0))


_counts = st.integers(0, 500)


@given(_counts, _counts, _counts, st.floats(0, 1), st.floats(0, 1), _counts)
def test_more_is_never_less_surprising(
    changed: int, gone: int, known: int, share: float, busy: float, records: int
) -> None:
    limit = Limit(share=share, records=records, busy=busy)
    lately = Lately(changed, gone)
    if flooding(lately, known, limit):
        assert flooding(replace(lately, gone=gone + 1), known, limit)
        assert flooding(replace(lately, changed=changed + 1), known, limit)
        if known:
            assert flooding(lately, known - 1, limit)
        # What would pause many small runs would pause one run that does all of it.
        assert surprising(changed + gone, known, limit)
    if changed + gone <= records:
        assert not flooding(lately, known, limit)
