"""Repeats a call for a few seconds; minutes are the outbox's."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception_type
from tenacity.wait import wait_random_exponential

from connectors.kit.errors import RateLimitedError, UnavailableError

T = TypeVar("T")

#: Seconds after which a call is given up; the outbox retries over minutes.
PERSISTENCE = 10.0
MOST_ATTEMPTS = 6


class Retries:
    """Repeats calls that were certainly not executed, and others where they are idempotent."""

    def __init__(self, persistence: float, *, sleep: Callable[[float], None]) -> None:
        self._persistence = persistence
        self._sleep = sleep

    def call(self, call: Callable[[], T], *, repeatable: bool) -> T:
        """Returns the result of the first call that succeeds; raises the last one's error."""
        retrying = Retrying(
            retry=retry_if_exception_type(UnavailableError if repeatable else RateLimitedError),
            stop=self._enough,
            wait=_wait,
            sleep=self._sleep,
            reraise=True,
        )
        return retrying(call)

    def _enough(self, state: RetryCallState) -> bool:
        if state.attempt_number >= MOST_ATTEMPTS:
            return True
        if (state.seconds_since_start or 0.0) >= self._persistence:
            return True
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after if isinstance(error, RateLimitedError) else None
        return asked is not None and asked.total_seconds() > self._persistence


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, RateLimitedError) and error.retry_after is not None:
        return 0.0  # the budget makes every call wait, this one included
    return wait_random_exponential(multiplier=0.5, max=3.0)(state)
