"""The rate budget: one per connection, shared by all threads of a process.

Counts calls in a rolling window, which is how vendors count them: a token bucket lets twice the
limit through when a burst follows a pause. With a ledger, all processes share the window. Knows no
vendor; `read_limits_with` adds a reader of a vendor's headers. Bulk work gets only a share. Never
waits longer than its patience: it raises, so that a worker can do other work.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta

from connectors.kit.errors import RateLimitedError
from connectors.kit.ledger import Ledger
from connectors.kit.rate_limits import RateLimits, Use
from connectors.kit.reservations import Reservations
from connectors.kit.window import DEFAULT, Allowance, Window

__all__ = ["DEFAULT", "Allowance", "Budget", "bulk"]

#: Share of every limit that bulk work may use; the rest is for people and live changes.
BULK_SHARE = 0.8

_BULK: ContextVar[bool] = ContextVar("tulay_bulk", default=False)


@contextmanager
def bulk(yes: bool = True) -> Iterator[None]:
    """Marks the calls made inside as background work: first reads, sweeps, reconciliation."""
    token = _BULK.set(yes)
    try:
        yield
    finally:
        _BULK.reset(token)


class Budget:
    """Limits calls to the rate that the system allows; thread-safe."""

    def __init__(
        self,
        requests: int = 100,
        per_seconds: float = 10.0,
        *,
        lanes: Mapping[str, tuple[int, float]] | None = None,
        patience: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        ledger: Ledger | None = None,
        bulk_share: float = BULK_SHARE,
        daily: int | None = None,
        fixed: bool = False,
        fixed_daily: bool = False,
    ) -> None:
        #: `fixed`: a person chose the limit, the system may lower it but not raise it.
        self._limits = RateLimits(
            Window(requests, per_seconds, fixed=fixed),
            lanes or {},
            bulk_share=bulk_share,
            daily=daily,
            fixed_daily=fixed_daily,
        )
        #: The longest time in seconds that `take` blocks.
        self.patience = patience
        self.clock = clock
        self.sleep = sleep
        self._lock = threading.Lock()
        self._readers: tuple[Callable[[Mapping[str, str]], Allowance | None], ...] = ()
        self._reservations = (
            Reservations(ledger, self._limits, clock=clock, lock=self._lock)
            if ledger is not None
            else None
        )

    def take(self, lane: str = DEFAULT) -> None:
        """Blocks until a call may be made. A lane without its own limits shares the default one.

        Raises: RateLimitedError when that takes longer than the patience.
        """
        with self.call(lane):
            pass

    @contextmanager
    def call(self, lane: str = DEFAULT) -> Iterator[None]:
        """Takes a call for the block: until it ends the system may not have counted it."""
        use = self._limits.use(lane, bulk=_BULK.get())
        self._take(use)
        try:
            yield
        finally:
            if self._reservations is not None:
                with self._lock:
                    self._reservations.ended(use, self.clock())

    def _take(self, use: Use) -> None:
        until = self.clock() + self.patience
        while (wait := self._try(use)) > 0:
            if self.clock() + wait > until:
                raise RateLimitedError(
                    f"rate limit: no call may go for {wait:.0f} s; wait, then call again",
                    retry_after=timedelta(seconds=wait),
                )
            self.sleep(wait)

    def _try(self, use: Use) -> float:
        """Takes a call and returns 0, or the seconds to wait."""
        while True:
            with self._lock:
                now = self.clock()
                wait = self._limits.wait(use, now)
                if wait > 0:
                    return wait
                reserved = self._reservations.take(use, now) if self._reservations else 0.0
                if reserved == 0:
                    self._limits.note(use, now)
            if reserved is not None:
                return reserved
            assert self._reservations is not None
            wait = self._reservations.ask(use)
            if wait > 0:
                return wait

    def settle(self) -> None:
        """Reports the calls made to the ledger, and releases the others. Idempotent."""
        if self._reservations is not None:
            self._reservations.settle()

    # -- what the system says

    def pause(self, seconds: float) -> None:
        """Pauses every process; a shorter pause does not shorten a longer one."""
        with self._lock:
            self._limits.pause(self.clock() + seconds)
        if self._reservations is not None:
            self._reservations.pause(seconds)

    def read_limits_with(self, reader: Callable[[Mapping[str, str]], Allowance | None]) -> None:
        """Adds a reader of a vendor's headers. Idempotent."""
        if reader not in self._readers:
            self._readers = (*self._readers, reader)

    def lane(self, name: str, requests: int, per_seconds: float) -> None:
        """Gives a lane its own limits, unless it has some already."""
        with self._lock:
            self._limits.add(name, Window(requests, per_seconds))

    def learn(self, allowance: Allowance) -> None:
        """Applies limits of a lane that the system, or a person, has stated."""
        with self._lock:
            self._limits.learn(allowance, self.clock())

    def feed(self, headers: Mapping[str, str]) -> None:
        """Learns limits from response headers. Ignores headers that no reader knows."""
        for reader in self._readers:
            allowance = reader(headers)
            if allowance is not None:
                self.learn(allowance)
                self._limits.confirm(allowance)
