"""The rolling window in which calls of one lane are counted, and a system's limits of it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Allowance:
    """What the system's headers say about one lane; None where they say nothing."""

    #: Calls still allowed in the running window.
    remaining: int | None = None
    #: Calls allowed per window.
    requests: int | None = None
    #: Length of the window in seconds.
    per_seconds: float | None = None
    lane: str = DEFAULT
    #: Calls allowed per day, and how many of them are left.
    daily: int | None = None
    daily_left: int | None = None


class Window:
    """The calls of one lane in the last `per_seconds`."""

    __slots__ = ("calls", "fixed", "heard", "per_seconds", "requests", "slow")

    def __init__(self, requests: int, per_seconds: float, *, fixed: bool = False) -> None:
        self.requests = requests
        self.per_seconds = per_seconds
        #: A person chose the limit: the system may lower it, not raise it.
        self.fixed = fixed
        #: The system itself has said what the limit is.
        self.heard = False
        self.calls: deque[float] = deque()
        #: Those of them that were bulk work.
        self.slow: deque[float] = deque()

    def wait(self, now: float, most: int | None = None) -> float:
        """Returns the seconds until a call is allowed, 0 for now; `most`: limit for bulk work."""
        wait = self._wait(self.calls, self.requests, now)
        return wait if most is None else max(wait, self._wait(self.slow, most, now))

    def _wait(self, calls: deque[float], most: int, now: float) -> float:
        edge = now - self.per_seconds
        while calls and calls[0] <= edge:
            calls.popleft()
        over = len(calls) - most
        return 0.0 if over < 0 else max(calls[over] - edge, 0.001)

    def note(self, now: float, *, slow: bool) -> None:
        """Counts a call."""
        self.calls.append(now)
        if slow:
            self.slow.append(now)

    def learn(self, allowance: Allowance, now: float) -> None:
        """Applies the system's figures, including calls that others have made."""
        requests = allowance.requests or self.requests
        per_seconds = allowance.per_seconds or self.per_seconds
        if not self.fixed or requests / per_seconds < self.requests / self.per_seconds:
            self.requests, self.per_seconds = requests, per_seconds
        if allowance.remaining is None:
            return
        self.wait(now)
        missing = self.requests - allowance.remaining - len(self.calls)
        self.calls.extend([now] * max(missing, 0))
