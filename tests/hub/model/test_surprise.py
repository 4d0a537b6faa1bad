"""A run that changes too much of what is known waits for a person."""

from __future__ import annotations

import pytest

from hub.model.surprise import Limit, surprising


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
