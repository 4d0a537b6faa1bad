"""The limits of one connection as this process knows them: windows by lane, a quota, a pause.

Decides how long a call has to wait; never waits itself, and knows no other process.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from connectors.kit.window import DEFAULT, Allowance, Window


class Use(NamedTuple):
    """What a call counts towards."""

    lane: str
    #: Background work, which gets only a share of every limit.
    bulk: bool


class RateLimits:
    """Windows of all lanes, the calls per day, and a pause. Not thread-safe."""

    def __init__(
        self,
        default: Window,
        lanes: Mapping[str, tuple[int, float]],
        *,
        bulk_share: float,
        daily: int | None,
        fixed_daily: bool,
    ) -> None:
        self._windows = {DEFAULT: default, **{lane: Window(*lanes[lane]) for lane in lanes}}
        #: Share of every limit that bulk work may use.
        self.bulk_share = bulk_share
        #: Calls per day, and how many are left when the system said so since the last claim.
        self.daily = daily
        self.daily_left: int | None = None
        self._fixed_daily = fixed_daily
        self._paused_until = 0.0

    def use(self, lane: str, *, bulk: bool) -> Use:
        """Returns what a call counts towards: an unknown lane shares the default one."""
        return Use(lane if lane in self._windows else DEFAULT, bulk)

    def window(self, lane: str) -> Window:
        """Returns the window of a known lane."""
        return self._windows[lane]

    def add(self, lane: str, window: Window) -> None:
        """Gives a lane its own window, unless it has one already."""
        self._windows.setdefault(lane, window)

    def most(self, use: Use) -> int:
        """Returns how many calls of this use fit into its window."""
        requests = self._windows[use.lane].requests
        return max(1, int(requests * self.bulk_share)) if use.bulk else requests

    def wait(self, use: Use, now: float) -> float:
        """Returns the seconds until a call is allowed, 0 for now."""
        window = self._windows[use.lane]
        wait = window.wait(now, self.most(use) if use.bulk else None)
        return max(self._paused_until - now, wait)

    def note(self, use: Use, now: float) -> None:
        """Counts a call."""
        self._windows[use.lane].note(now, slow=use.bulk)

    def pause(self, until: float) -> None:
        """Allows no call until then; a shorter pause does not shorten a longer one."""
        self._paused_until = max(self._paused_until, until)

    def learn(self, allowance: Allowance, now: float) -> None:
        """Applies limits that the system, or a person, has stated."""
        window = self._windows.get(allowance.lane)
        if window is not None:
            window.learn(allowance, now)
        if allowance.daily is not None and not self._fixed_daily:
            self.daily, self.daily_left = allowance.daily, allowance.daily_left

    def confirm(self, allowance: Allowance) -> None:
        """Notes that the system itself stated the limit of a lane."""
        window = self._windows.get(allowance.lane)
        if window is not None and allowance.requests is not None:
            window.heard = True
