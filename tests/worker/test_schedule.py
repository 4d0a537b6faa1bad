"""How long a process that keeps dying rests before it is started again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from worker.supervise import restart_pause


@given(st.integers(1, 10_000))
def test_restarts_pause_longer_each_time_up_to_half_a_minute(deaths: int) -> None:
    assert 0 < restart_pause(deaths) <= restart_pause(deaths + 1) <= 30
