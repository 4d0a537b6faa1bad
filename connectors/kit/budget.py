"""How often we may call: one budget per connection, shared by all threads of a process.

Counts calls in a rolling window, which is how vendors count them: a token bucket lets twice the
limit through when a burst follows a pause. Knows no vendor; `understand` plugs in how to read the
headers of one. Never waits longer than its patience: it raises, so that a worker does other work.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from connectors.kit.errors import RateLimitedError

DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Allowance:
    """What the system's headers say about one lane; None where they are silent."""

    #: Calls still allowed in the running window.
    remaining: int | None = None
    #: Calls allowed per window.
    requests: int | None = None
    #: Length of the window in seconds.
    per_seconds: float | None = None
    lane: str = DEFAULT


class _Window:
    """The calls of one lane in the last `per_seconds`."""

    __slots__ = ("calls", "per_seconds", "requests")

    def __init__(self, requests: int, per_seconds: float) -> None:
        self.requests = requests
        self.per_seconds = per_seconds
        self.calls: deque[float] = deque()

    def wait(self, now: float) -> float:
        """Returns the seconds until a call may go; 0 when it may go now."""
        calls = self.calls
        edge = now - self.per_seconds
        while calls and calls[0] <= edge:
            calls.popleft()
        over = len(calls) - self.requests
        return 0.0 if over < 0 else max(calls[over] - edge, 0.001)

    def learn(self, allowance: Allowance, now: float) -> None:
        """Takes over what the system says, also that others used up a part of the limit."""
        self.requests = allowance.requests or self.requests
        self.per_seconds = allowance.per_seconds or self.per_seconds
        if allowance.remaining is None:
            return
        self.wait(now)
        missing = self.requests - allowance.remaining - len(self.calls)
        self.calls.extend([now] * max(missing, 0))


class Budget:
    """Lets calls go at the pace that the system allows; thread-safe."""

    def __init__(
        self,
        requests: int = 100,
        per_seconds: float = 10.0,
        *,
        lanes: Mapping[str, tuple[int, float]] | None = None,
        patience: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._windows = {DEFAULT: _Window(requests, per_seconds)}
        self._windows.update({lane: _Window(*limit) for lane, limit in (lanes or {}).items()})
        #: The longest wait in seconds that `take` sits out.
        self.patience = patience
        self.clock = clock
        self.sleep = sleep
        self._lock = threading.Lock()
        self._closed_until = 0.0
        self._readers: tuple[Callable[[Mapping[str, str]], Allowance | None], ...] = ()

    def take(self, lane: str = DEFAULT) -> None:
        """Blocks until a call may go. A lane without limits of its own shares the default one.

        Raises: RateLimitedError when that takes longer than the patience.
        """
        window = self._windows.get(lane, self._windows[DEFAULT])
        until = self.clock() + self.patience
        while wait := self._try(window):
            if self.clock() + wait > until:
                raise RateLimitedError(
                    f"rate limit: no call may go for {wait:.0f} s; wait, then call again",
                    retry_after=timedelta(seconds=wait),
                )
            self.sleep(wait)

    def _try(self, window: _Window) -> float:
        with self._lock:
            now = self.clock()
            wait = max(self._closed_until - now, window.wait(now))
            if wait <= 0:
                window.calls.append(now)
            return max(wait, 0.0)

    def pause(self, seconds: float) -> None:
        """Makes everyone wait; a shorter pause does not shorten a longer one."""
        with self._lock:
            self._closed_until = max(self._closed_until, self.clock() + seconds)

    def understand(self, reader: Callable[[Mapping[str, str]], Allowance | None]) -> None:
        """Adds a way to read a vendor's headers; the same one twice is fine."""
        if reader not in self._readers:
            self._readers = (*self._readers, reader)

    def lane(self, name: str, requests: int, per_seconds: float) -> None:
        """Gives calls of a lane limits of their own, unless it has some already."""
        with self._lock:
            self._windows.setdefault(name, _Window(requests, per_seconds))

    def learn(self, allowance: Allowance) -> None:
        """Takes over what the system, or a person who knows it, says about a lane's limits."""
        with self._lock:
            window = self._windows.get(allowance.lane)
            if window is not None:
                window.learn(allowance, self.clock())

    def feed(self, headers: Mapping[str, str]) -> None:
        """Learns from the headers of an answer. Silent about headers that no reader knows."""
        for reader in self._readers:
            allowance = reader(headers)
            if allowance is not None:
                self.learn(allowance)
