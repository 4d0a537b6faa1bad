"""The budget: never more calls in a window than allowed, in all lanes together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.kit.budget import Allowance, Budget, bulk
from connectors.kit.errors import RateLimitedError


class Time:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@given(
    requests=st.integers(1, 7),
    per_seconds=st.floats(0.5, 20),
    idle=st.lists(st.floats(0, 30), min_size=1, max_size=60),
)
def test_no_window_holds_more_calls_than_allowed(
    requests: int, per_seconds: float, idle: list[float]
) -> None:
    time = Time()
    budget = Budget(requests, per_seconds, clock=time, sleep=time.sleep, patience=1e9)
    calls = []
    for pause in idle:
        time.now += pause
        budget.take()
        calls.append(time.now)
    for number, moment in enumerate(calls):
        window = [call for call in calls[number:] if call < moment + per_seconds - 1e-6]
        assert len(window) <= requests


def test_calls_within_the_limit_do_not_wait() -> None:
    time = Time()
    budget = Budget(3, 10, clock=time, sleep=time.sleep)
    for _ in range(3):
        budget.take()
    assert time.now == 0
    budget.take()
    assert time.now == pytest.approx(10)


def test_a_lane_has_its_own_window() -> None:
    time = Time()
    budget = Budget(1, 10, lanes={"search": (2, 1.0)}, clock=time, sleep=time.sleep)
    budget.take()
    budget.take("search")
    budget.take("search")
    assert time.now == 0
    budget.take("search")
    assert time.now == pytest.approx(1)


def test_an_unknown_lane_shares_the_default() -> None:
    time = Time()
    budget = Budget(1, 10, clock=time, sleep=time.sleep)
    budget.take("backfill")
    budget.take()
    assert time.now == pytest.approx(10)


def test_a_pause_stops_every_lane() -> None:
    """A pause stops every lane and is never shortened."""
    time = Time()
    budget = Budget(lanes={"search": (5, 1.0)}, clock=time, sleep=time.sleep)
    budget.pause(7)
    budget.pause(1)
    budget.take("search")
    assert time.now == pytest.approx(7)


def test_too_long_a_wait_says_how_long() -> None:
    """A wait that exceeds the caller's patience is an error that says how long."""
    time = Time()
    budget = Budget(clock=time, sleep=time.sleep, patience=60)
    budget.pause(3600)
    with pytest.raises(RateLimitedError) as raised:
        budget.take()
    assert raised.value.retry_after is not None
    assert raised.value.retry_after.total_seconds() == pytest.approx(3600)
    assert time.now == 0


def test_usage_by_others_is_read_from_headers() -> None:
    time = Time()
    budget = Budget(100, 10, clock=time, sleep=time.sleep)
    budget.read_limits_with(lambda headers: Allowance(remaining=int(headers["left"])))
    budget.take()
    budget.feed({"left": "1"})
    budget.take()
    assert time.now == 0
    budget.take()
    assert time.now == pytest.approx(10)


def test_a_higher_limit_is_read_from_headers() -> None:
    time = Time()
    budget = Budget(1, 10, clock=time, sleep=time.sleep)
    budget.read_limits_with(lambda headers: Allowance(requests=int(headers["max"])))
    budget.feed({"max": "3"})
    for _ in range(3):
        budget.take()
    assert time.now == 0


def test_a_lane_that_has_limits_keeps_them() -> None:
    time = Time()
    budget = Budget(lanes={"search": (1, 1.0)}, clock=time, sleep=time.sleep)
    budget.lane("search", 50, 1.0)
    budget.take("search")
    budget.take("search")
    assert time.now == pytest.approx(1)


def test_bulk_work_leaves_a_share_of_the_window() -> None:
    time = Time()
    budget = Budget(10, 10, clock=time, sleep=time.sleep, bulk_share=0.5)
    with bulk():
        for _ in range(5):
            budget.take()
    for _ in range(5):
        budget.take()
    assert time.now == 0
    with bulk():
        budget.take()
    assert time.now == pytest.approx(10)


def test_a_configured_limit_is_never_raised() -> None:
    """A configured limit is lowered by the system, but never raised."""
    time = Time()
    budget = Budget(2, 10, clock=time, sleep=time.sleep, fixed=True)
    budget.learn(Allowance(requests=190, per_seconds=10, remaining=190))
    for _ in range(3):
        budget.take()
    assert time.now == pytest.approx(10)
    budget.learn(Allowance(requests=1, per_seconds=10))
    budget.take()
    budget.take()
    assert time.now == pytest.approx(30)
