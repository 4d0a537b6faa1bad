"""A run that changes too much of what is known waits for a person."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.model.change_limits import ChangeLimit, RecentChanges, exceeds_limit, exceeds_window_limit


@pytest.mark.parametrize(
    ("touched", "known", "limit", "expected"),
    [
        (0, 0, ChangeLimit(), False),
        (50, 50, ChangeLimit(), False),
        (51, 51, ChangeLimit(), True),
        (51, 254, ChangeLimit(), True),
        (51, 255, ChangeLimit(), False),
        (200, 1000, ChangeLimit(), False),
        (201, 1000, ChangeLimit(), True),
        # Nothing is known, yet known records would change: that exceeds the limit all the more.
        (51, 0, ChangeLimit(), True),
        (1, 1, ChangeLimit(share=0.0, records=0), True),
        (1000, 1000, ChangeLimit(share=1.0), False),
    ],
)
def test_both_limits_must_be_passed(
    touched: int, known: int, limit: ChangeLimit, expected: bool
) -> None:
    assert exceeds_limit(touched, known, limit) is expected


@pytest.mark.parametrize(
    ("lately", "known", "expected"),
    [
        (RecentChanges(), 0, False),
        (RecentChanges(gone=50), 50, False),
        (RecentChanges(gone=51), 254, True),
        (RecentChanges(gone=51), 255, False),
        (RecentChanges(changed=51), 102, False),
        (RecentChanges(changed=51), 101, True),
        (RecentChanges(changed=40, gone=20), 119, True),
        (RecentChanges(changed=40, gone=20), 120, False),
    ],
)
def test_deletions_have_the_stricter_limit(
    lately: RecentChanges, known: int, expected: bool
) -> None:
    assert exceeds_window_limit(lately, known, ChangeLimit()) is expected


def test_a_window_share_of_one_never_asks() -> None:
    assert not exceeds_window_limit(
        RecentChanges(changed=1000), 1000, ChangeLimit(window_share=1.0)
    )
    assert exceeds_window_limit(
        RecentChanges(changed=500, gone=500), 1000, ChangeLimit(window_share=1.0)
    )


_counts = st.integers(0, 500)


@given(_counts, _counts, _counts, st.floats(0, 1), st.floats(0, 1), _counts)
def test_more_changes_never_pass_where_fewer_fail(
    changed: int, gone: int, known: int, share: float, busy: float, records: int
) -> None:
    limit = ChangeLimit(share=share, records=records, window_share=busy)
    lately = RecentChanges(changed, gone)
    if exceeds_window_limit(lately, known, limit):
        assert exceeds_window_limit(replace(lately, gone=gone + 1), known, limit)
        assert exceeds_window_limit(replace(lately, changed=changed + 1), known, limit)
        if known:
            assert exceeds_window_limit(lately, known - 1, limit)
        # What pauses many small runs also pauses one run that does all of it.
        assert exceeds_limit(changed + gone, known, limit)
    if changed + gone <= records:
        assert not exceeds_window_limit(lately, known, limit)
