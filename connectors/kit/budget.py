"""The rate budget: one per connection, shared by all threads of a process.

Counts calls in a rolling window, which is how vendors count them: a token bucket lets twice the
limit through when a burst follows a pause. With a ledger, all processes share the window. Knows no
vendor; `read_limits_with` adds a reader of a vendor's headers. Bulk work gets only a share. Never
waits longer than its patience: it raises, so that a worker can do other work.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta

from connectors.kit.errors import RateLimitedError
from connectors.kit.ledger import Claim, Grant, Ledger, LedgerError
from connectors.kit.window import DEFAULT, Allowance, Window

log = logging.getLogger("tulay.budget")

__all__ = ["DEFAULT", "Allowance", "Budget", "bulk"]

#: Share of every limit that bulk work may use; the rest is for people and live changes.
BULK_SHARE = 0.8
#: Seconds between two checks whether another process was asked to wait.
LOOK = 0.9
#: Without the ledger a process takes this share of a limit, and asks again after these seconds.
CAREFUL_PART, CAREFUL_TIME = 10, 2.0

_BULK: ContextVar[bool] = ContextVar("tulay_bulk", default=False)


@contextmanager
def bulk(yes: bool = True) -> Iterator[None]:
    """Marks the calls made inside as background work: first reads, sweeps, reconciliation."""
    token = _BULK.set(yes)
    try:
        yield
    finally:
        _BULK.reset(token)


@dataclass(slots=True)
class _Slice:
    """The calls that the ledger granted to this process, and those not yet reported to it."""

    left: int = 0
    expires: float = 0.0
    #: Outstanding: made, but not answered.
    out: int = 0
    #: Made since the last report, and when the newest was answered.
    spent: int = 0
    last: float = 0.0

    def usable(self, now: float) -> bool:
        return self.left > 0 and now < self.expires


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
        self._windows = {DEFAULT: Window(requests, per_seconds, fixed=fixed)}
        self._windows.update({lane: Window(*limit) for lane, limit in (lanes or {}).items()})
        #: The longest time in seconds that `take` blocks.
        self.patience = patience
        self.clock = clock
        self.sleep = sleep
        self._lock = threading.Lock()
        self._closed_until = 0.0
        self._readers: tuple[Callable[[Mapping[str, str]], Allowance | None], ...] = ()
        self._share = bulk_share
        self._ledger = ledger
        #: `fixed`: a person chose the limit, the system may lower it but not raise it.
        self._daily, self._fixed_daily = daily, fixed_daily
        self._daily_left: int | None = None
        self._slices: dict[tuple[str, bool], _Slice] = {}
        #: One thread asks the ledger, the others wait for its answer.
        self._asking = threading.Lock()
        self._looked_at = float("-inf")
        self._careful_until = float("-inf")
        self._careful: dict[tuple[str, bool], Window] = {}

    def take(self, lane: str = DEFAULT) -> None:
        """Blocks until a call may be made. A lane without its own limits shares the default one.

        Raises: RateLimitedError when that takes longer than the patience.
        """
        self._take(self._place(lane), out=False)

    @contextmanager
    def call(self, lane: str = DEFAULT) -> Iterator[None]:
        """Takes a call for the block: until it ends the system may not have counted it."""
        place = self._place(lane)
        self._take(place, out=True)
        try:
            yield
        finally:
            with self._lock:
                known = self._slice(place)
                known.out, known.spent, known.last = known.out - 1, known.spent + 1, self.clock()

    def _place(self, lane: str) -> tuple[str, bool]:
        return (lane if lane in self._windows else DEFAULT), _BULK.get()

    def _slice(self, place: tuple[str, bool]) -> _Slice:
        return self._slices.setdefault(place, _Slice())

    def _take(self, place: tuple[str, bool], *, out: bool) -> None:
        until = self.clock() + self.patience
        while True:
            wait = self._try(place, out=out)
            if wait is None:
                wait = self._ask(place)
                if wait <= 0:
                    continue
            if wait <= 0:
                return
            if self.clock() + wait > until:
                raise RateLimitedError(
                    f"rate limit: no call may go for {wait:.0f} s; wait, then call again",
                    retry_after=timedelta(seconds=wait),
                )
            self.sleep(wait)

    def _try(self, place: tuple[str, bool], *, out: bool) -> float | None:
        """Takes a call and returns 0, or the seconds to wait; None: ask the ledger first."""
        lane, slow = place
        with self._lock:
            now = self.clock()
            window = self._windows[lane]
            wait = max(self._closed_until - now, window.wait(now, self._most(window, slow)))
            if wait > 0:
                return wait
            if self._ledger is not None:
                answer = self._from_slice(place, now)
                if answer != 0:
                    return answer
            window.note(now, slow=slow)
            known = self._slice(place)
            if out:
                known.out += 1
            else:
                known.spent, known.last = known.spent + 1, now
            return 0.0

    def _most(self, window: Window, slow: bool) -> int | None:
        return max(1, int(window.requests * self._share)) if slow else None

    # -- with other processes

    def _from_slice(self, place: tuple[str, bool], now: float) -> float | None:
        known = self._slice(place)
        careful = now < self._careful_until
        if known.usable(now) and (careful or now - self._looked_at < LOOK):
            known.left -= 1
            return 0.0
        if not careful:
            return None
        # What the other processes do is unknown: this much is safe for a handful of them.
        window = self._windows[place[0]]
        most = max(1, (self._most(window, place[1]) or window.requests) // CAREFUL_PART)
        small = self._careful.setdefault(place, Window(most, window.per_seconds))
        wait = small.wait(now)
        if wait <= 0:
            small.note(now, slow=False)
        # Not beyond the next look at the ledger.
        return min(wait, max(self._careful_until - now, 0.01))

    def _ask(self, place: tuple[str, bool]) -> float:
        """Asks the ledger; returns 0 when it is worth trying again, else how long to wait."""
        assert self._ledger is not None
        with self._asking:
            with self._lock:
                now = self.clock()
                usable = self._slice(place).usable(now)
                if now < self._careful_until or (usable and now - self._looked_at < LOOK):
                    return 0.0
            try:
                if usable:
                    self._respect(self._ledger.closed(), now)
                    return 0.0
                return self._refill(place, self._ledger)
            except LedgerError as error:
                with self._lock:
                    self._careful_until = self.clock() + CAREFUL_TIME
                log.info("calls are counted by this process alone for a moment: %s", error)
                return 0.0

    def _respect(self, closed: float, asked_at: float) -> None:
        with self._lock:
            self._looked_at = asked_at
            self._closed_until = max(self._closed_until, asked_at + closed)

    def _refill(self, place: tuple[str, bool], ledger: Ledger) -> float:
        with self._lock:
            asked_at = self.clock()
            claim = self._claim(place, asked_at)
        grant = ledger.reserve(claim)
        self._booked(place, claim, grant, asked_at)
        if grant.spent_day:
            wait = timedelta(seconds=round(grant.seconds))
            raise RateLimitedError(
                f"bulk work has used its {self._share:.0%} of today's calls; the rest is for"
                " people and live changes: it goes on tomorrow",
                retry_after=wait,
            )
        return 0.0 if grant.count or grant.closed > 0 else grant.seconds

    def _claim(self, place: tuple[str, bool], now: float, *, wants: bool = True) -> Claim:
        known, window = self._slice(place), self._windows[place[0]]
        return Claim(
            lane=place[0],
            bulk=place[1],
            requests=window.requests,
            per_seconds=window.per_seconds,
            certain=window.heard or window.fixed,
            share=self._share,
            wants=wants,
            spent=known.spent,
            ago=now - known.last if known.spent else 0.0,
            out=known.out,
            daily=self._daily,
            daily_left=self._daily_left,
        )

    def _booked(self, place: tuple[str, bool], claim: Claim, grant: Grant, asked_at: float) -> None:
        self._respect(grant.closed, asked_at)
        with self._lock:
            known = self._slice(place)
            # Calls may have been answered while the ledger was asked: they are not reported yet.
            known.spent -= claim.spent
            known.left, known.expires = grant.count, asked_at + grant.seconds
            self._daily_left = None

    def settle(self) -> None:
        """Reports the calls made to the ledger, and releases the others. Idempotent."""
        if self._ledger is None:
            return
        with self._asking:
            for place in list(self._slices):
                with self._lock:
                    now = self.clock()
                    known = self._slice(place)
                    if not (known.spent or known.left):
                        continue
                    known.left = 0
                    claim = self._claim(place, now, wants=False)
                try:
                    grant = self._ledger.reserve(claim)
                except LedgerError as error:
                    log.info("unused calls were not given back, they lapse: %s", error)
                    return
                self._booked(place, claim, grant, now)

    # -- what the system says

    def pause(self, seconds: float) -> None:
        """Pauses every process; a shorter pause does not shorten a longer one."""
        with self._lock:
            self._closed_until = max(self._closed_until, self.clock() + seconds)
        if self._ledger is not None:
            try:
                self._ledger.close(seconds)
            except LedgerError as error:
                log.warning("the other processes were not told to wait: %s", error)

    def read_limits_with(self, reader: Callable[[Mapping[str, str]], Allowance | None]) -> None:
        """Adds a reader of a vendor's headers. Idempotent."""
        if reader not in self._readers:
            self._readers = (*self._readers, reader)

    def lane(self, name: str, requests: int, per_seconds: float) -> None:
        """Gives a lane its own limits, unless it has some already."""
        with self._lock:
            self._windows.setdefault(name, Window(requests, per_seconds))

    def learn(self, allowance: Allowance) -> None:
        """Applies limits of a lane that the system, or a person, has stated."""
        with self._lock:
            window = self._windows.get(allowance.lane)
            if window is not None:
                window.learn(allowance, self.clock())
            if allowance.daily is not None and not self._fixed_daily:
                self._daily, self._daily_left = allowance.daily, allowance.daily_left

    def feed(self, headers: Mapping[str, str]) -> None:
        """Learns limits from response headers. Ignores headers that no reader knows."""
        for reader in self._readers:
            allowance = reader(headers)
            if allowance is not None:
                self.learn(allowance)
                window = self._windows.get(allowance.lane)
                if window is not None and allowance.requests is not None:
                    window.heard = True
