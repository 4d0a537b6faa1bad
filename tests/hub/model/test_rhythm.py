"""What is due when: laws that hold for any time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from hub.model.rhythm import is_due, rest_after

times = st.datetimes(
    # Naive bounds: Hypothesis wants them so and adds the zone.
    min_value=datetime(2000, 1, 1),  # noqa: DTZ001
    max_value=datetime(2100, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)
spans = st.timedeltas(min_value=timedelta(seconds=1), max_value=timedelta(days=400))


@given(times, spans)
def test_work_never_done_is_due(now: datetime, every: timedelta) -> None:
    assert is_due(None, every, now)


@given(times, spans, spans)
def test_it_is_due_exactly_once_its_time_is_over(
    last: datetime, every: timedelta, later: timedelta
) -> None:
    assert is_due(last, every, last + later) == (later >= every)


@given(times, spans)
def test_nothing_is_due_twice_at_once(now: datetime, every: timedelta) -> None:
    assert not is_due(now, every, now)


@given(times, spans, spans)
def test_a_clock_set_back_delays_nothing(now: datetime, every: timedelta, back: timedelta) -> None:
    assert is_due(now + back, every, now)


@given(st.integers(0, 1000))
def test_pauses_grow_and_are_bounded(failures: int) -> None:
    assert timedelta(0) < rest_after(failures) <= rest_after(failures + 1) <= timedelta(minutes=15)
