"""The calls that this process has reserved in the ledger which all processes share.

Asks the ledger rarely, reports what was called, and returns what is left. While the ledger is
unavailable this process continues alone, with a small share of every limit.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from connectors.kit.errors import RateLimitedError
from connectors.kit.ledger import Claim, Grant, Ledger, LedgerError
from connectors.kit.rate_limits import RateLimits, Use
from connectors.kit.window import Window

log = logging.getLogger("tulay.budget")

#: Seconds between two checks whether another process was asked to wait.
LOOK = 0.9
#: Without the ledger a process takes this share of a limit, and asks again after these seconds.
CAREFUL_PART, CAREFUL_TIME = 10, 2.0


@dataclass(slots=True)
class _Reserved:
    """The calls that the ledger granted for one use, and those not yet reported to it."""

    left: int = 0
    expires: float = 0.0
    #: Outstanding: made, but not answered.
    out: int = 0
    #: Made since the last report, and when the newest was answered.
    spent: int = 0
    last: float = 0.0

    def usable(self, now: float) -> bool:
        return self.left > 0 and now < self.expires


class Reservations:
    """Reserves calls in the ledger; thread-safe.

    `lock` protects the limits too: whatever takes `now` is called by who holds it.
    """

    def __init__(
        self,
        ledger: Ledger,
        limits: RateLimits,
        *,
        clock: Callable[[], float],
        lock: threading.Lock,
    ) -> None:
        self._ledger = ledger
        self._limits = limits
        self._clock = clock
        self._lock = lock
        self._reserved: dict[Use, _Reserved] = {}
        #: One thread asks the ledger, the others wait for its answer.
        self._asking = threading.Lock()
        self._looked_at = float("-inf")
        self._careful_until = float("-inf")
        self._careful: dict[Use, Window] = {}

    def _of(self, use: Use) -> _Reserved:
        return self._reserved.setdefault(use, _Reserved())

    # -- one call

    def take(self, use: Use, now: float) -> float | None:
        """Takes a reserved call and returns 0, or the seconds to wait; None: ask first."""
        known = self._of(use)
        careful = now < self._careful_until
        if known.usable(now) and (careful or now - self._looked_at < LOOK):
            known.left -= 1
        elif not careful:
            return None
        elif (wait := self._take_carefully(use, now)) > 0:
            return wait
        known.out += 1
        return 0.0

    def _take_carefully(self, use: Use, now: float) -> float:
        # What the other processes do is unknown: this much is safe for a handful of them.
        most = max(1, self._limits.most(use) // CAREFUL_PART)
        per_seconds = self._limits.window(use.lane).per_seconds
        small = self._careful.setdefault(use, Window(most, per_seconds))
        wait = small.wait(now)
        if wait <= 0:
            small.note(now, slow=False)
        # Not beyond the next look at the ledger.
        return min(wait, max(self._careful_until - now, 0.01))

    def ended(self, use: Use, now: float) -> None:
        """Notes that a taken call was answered, so that the next report includes it."""
        known = self._of(use)
        known.out, known.spent, known.last = known.out - 1, known.spent + 1, now

    # -- with the ledger

    def ask(self, use: Use) -> float:
        """Asks the ledger; returns 0 when it is worth trying again, else how long to wait.

        Raises: RateLimitedError when bulk work has used its share of the day.
        """
        with self._asking:
            with self._lock:
                now = self._clock()
                usable = self._of(use).usable(now)
                if now < self._careful_until or (usable and now - self._looked_at < LOOK):
                    return 0.0
            try:
                if usable:
                    self._respect(self._ledger.closed(), now)
                    return 0.0
                return self._refill(use)
            except LedgerError as error:
                with self._lock:
                    self._careful_until = self._clock() + CAREFUL_TIME
                log.info(
                    "calls are counted by this process alone for a moment: %s",
                    error,
                    extra={"error_kind": type(error).__name__},
                )
                return 0.0

    def _respect(self, closed: float, asked_at: float) -> None:
        with self._lock:
            self._looked_at = asked_at
            self._limits.pause(asked_at + closed)

    def _refill(self, use: Use) -> float:
        with self._lock:
            asked_at = self._clock()
            claim = self._claim(use, asked_at)
        grant = self._ledger.reserve(claim)
        self._booked(use, claim, grant, asked_at)
        if grant.spent_day:
            wait = timedelta(seconds=round(grant.seconds))
            raise RateLimitedError(
                f"bulk work has used its {claim.share:.0%} of today's calls; the rest is for"
                " people and live changes: it continues tomorrow",
                retry_after=wait,
            )
        return 0.0 if grant.count or grant.closed > 0 else grant.seconds

    def _claim(self, use: Use, now: float, *, wants: bool = True) -> Claim:
        known, window = self._of(use), self._limits.window(use.lane)
        return Claim(
            lane=use.lane,
            bulk=use.bulk,
            requests=window.requests,
            per_seconds=window.per_seconds,
            certain=window.heard or window.fixed,
            share=self._limits.bulk_share,
            wants=wants,
            spent=known.spent,
            ago=now - known.last if known.spent else 0.0,
            out=known.out,
            daily=self._limits.daily,
            daily_left=self._limits.daily_left,
        )

    def _booked(self, use: Use, claim: Claim, grant: Grant, asked_at: float) -> None:
        self._respect(grant.closed, asked_at)
        with self._lock:
            known = self._of(use)
            # Calls may have been answered while the ledger was asked: they are not reported yet.
            known.spent -= claim.spent
            known.left, known.expires = grant.count, asked_at + grant.seconds
            self._limits.daily_left = None

    def settle(self) -> None:
        """Reports the calls made to the ledger, and releases the others. Idempotent."""
        with self._asking:
            for use in list(self._reserved):
                with self._lock:
                    now = self._clock()
                    known = self._of(use)
                    if not (known.spent or known.left):
                        continue
                    known.left = 0
                    claim = self._claim(use, now, wants=False)
                try:
                    grant = self._ledger.reserve(claim)
                except LedgerError as error:
                    log.info(
                        "could not return unused calls; they will expire: %s",
                        error,
                        extra={"error_kind": type(error).__name__},
                    )
                    return
                self._booked(use, claim, grant, now)

    def pause(self, seconds: float) -> None:
        """Pauses every process."""
        try:
            self._ledger.close(seconds)
        except LedgerError as error:
            log.warning(
                "could not tell the other processes to wait: %s",
                error,
                extra={"error_kind": type(error).__name__},
            )
