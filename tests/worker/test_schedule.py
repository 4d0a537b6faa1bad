"""How long a process that keeps dying waits before it is restarted."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from worker.supervise import restart_pause


@given(st.integers(1, 10_000))
def test_pauses_between_restarts_grow(deaths: int) -> None:
    """Pauses between restarts grow up to half a minute."""
    assert 0 < restart_pause(deaths) <= restart_pause(deaths + 1) <= 30
