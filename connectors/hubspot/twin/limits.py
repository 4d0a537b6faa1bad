"""HubSpot's request limits: a rolling window of ten seconds, search per second, calls per day.

They are counted always and shown in headers; they are enforced only when switched on.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from connectors.hubspot.twin.account import Account
from connectors.hubspot.twin.error_bodies import throttled
from connectors.hubspot.twin.portal import midnight

WINDOW_MS = 10_000
#: What the headers allow when nothing is enforced: a client that learns from them need not wait.
UNLIMITED = 1_000_000


@dataclass(slots=True)
class Limits:
    """What the account has used up, and what it may."""

    account: Account
    enforced: bool = False
    #: Requests per ten seconds; 190 for the bigger editions.
    burst: int = 100
    #: Searches per second.
    searches: int = 5
    daily: int = 250_000
    used_today: int = 0
    _recent: deque[int] = field(default_factory=deque)
    _searched: deque[int] = field(default_factory=deque)
    _day: str = ""

    def take(self, *, search: bool) -> None:
        """Counts one request. Raises: Refusal (429) when that is too much and limits are on."""
        now = self.account.clock.ms()
        self._turn_day()
        lane = self._searched if search else self._recent
        most, span = (self.searches, 1_000) if search else (self.burst, WINDOW_MS)
        while lane and lane[0] <= now - span:
            lane.popleft()
        if self.enforced and self.used_today >= self.daily:
            raise throttled("DAILY", "You have reached your daily limit.")
        if self.enforced and len(lane) >= most:
            policy = "SECONDLY" if search else "TEN_SECONDLY_ROLLING"
            raise throttled(policy, f"You have reached your {policy.lower()} limit.")
        lane.append(now)
        self.used_today += 1

    def _turn_day(self) -> None:
        day = midnight(self.account).isoformat()
        if day != self._day:
            self._day, self.used_today = day, 0

    def headers(self) -> dict[str, str]:
        """Returns what a reply says about the limits; replies to a search say nothing."""
        burst = self.burst if self.enforced else UNLIMITED
        daily = self.daily if self.enforced else UNLIMITED * 1000
        return {
            "X-HubSpot-RateLimit-Daily": str(daily),
            "X-HubSpot-RateLimit-Daily-Remaining": str(max(0, daily - self.used_today)),
            "X-HubSpot-RateLimit-Interval-Milliseconds": str(WINDOW_MS),
            "X-HubSpot-RateLimit-Max": str(burst),
            "X-HubSpot-RateLimit-Remaining": str(max(0, burst - len(self._recent))),
        }
