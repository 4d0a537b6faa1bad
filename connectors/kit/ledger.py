"""What processes that share a rate limit exchange: claims and grants. Knows no database.

A process reserves a few calls at a time, makes them without asking again, and reports how many it
made when it asks again. The keeper of the ledger decides; `hub.model.rate_limits` does it purely.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class LedgerError(Exception):
    """The ledger is unavailable: continue carefully and ask again soon."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A process reports what it did with its last grant, and asks for the next one."""

    lane: str
    #: Background calls: they get only a share of the limit.
    bulk: bool
    #: The limit as this process knows it: calls per `per_seconds`.
    requests: int
    per_seconds: float
    #: Part of every limit that bulk work may use, between 0 and 1.
    share: float
    #: Confirmed by the system or by a person; otherwise a confirmed limit takes precedence.
    certain: bool = False
    #: False: only reports.
    wants: bool = True
    #: Calls made and answered since the last claim of this lane.
    spent: int = 0
    #: Seconds since the newest of them was answered.
    ago: float = 0.0
    #: Calls made but not answered yet: they still belong to this process.
    out: int = 0
    #: Calls per day that the system allows; None when unknown.
    daily: int | None = None
    #: How many of them the system says are left, when it said so since the last claim.
    daily_left: int | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """How many calls may be made, and until when; or how long to wait."""

    count: int
    #: Counted from the request: how long the grant is valid; without calls: how long to wait.
    seconds: float
    #: Seconds for which the system accepts no call at all.
    closed: float = 0.0
    #: Bulk work has used its share of the day.
    spent_day: bool = False


class Ledger(Protocol):
    """Counts the calls of all processes of one connection. All methods raise LedgerError."""

    def reserve(self, claim: Claim) -> Grant:
        """Takes a report and answers with the next grant."""
        ...

    def close(self, seconds: float) -> None:
        """Stops every process for that long; a shorter time does not shorten a longer one."""
        ...

    def closed(self) -> float:
        """Returns the seconds for which every process is stopped; cheap and non-blocking."""
        ...
