"""What processes that share a rate limit tell each other: claims and grants. Knows no database.

A process reserves a few calls at a time, makes them without asking anybody, and reports how many
it made when it asks again. Whoever keeps the ledger decides; `hub.model.accounts` does it purely.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class LedgerError(Exception):
    """The ledger cannot be asked now: go on carefully and ask again soon."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A process reports what it did with its last grant, and asks for the next one."""

    lane: str
    #: Nobody waits for these calls: they get a share of the limit only.
    bulk: bool
    #: The limit as this process knows it: calls per so many seconds.
    requests: int
    per_seconds: float
    #: Part of every limit that bulk work may use, between 0 and 1.
    share: float
    #: The system itself, or a person, has said so; else whoever was told knows better.
    certain: bool = False
    #: False: only reports.
    wants: bool = True
    #: Calls made and answered since the last claim of this lane.
    spent: int = 0
    #: Seconds since the newest of them was answered.
    ago: float = 0.0
    #: Calls made but not answered yet: they still belong to this process.
    out: int = 0
    #: Calls a day that the system allows; None when nobody says so.
    daily: int | None = None
    #: How many of them the system says are left, when it said so since the last claim.
    daily_left: int | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """How many calls may be made, and until when; or how long to wait."""

    count: int
    #: From the moment of asking: the grant is good for so long; without calls: wait so long.
    seconds: float
    #: Seconds for which the system wants no call from anybody.
    closed: float = 0.0
    #: Bulk work has used its share of the day.
    spent_day: bool = False


class Ledger(Protocol):
    """Counts the calls of all processes of one connection. All methods raise LedgerError."""

    def reserve(self, claim: Claim) -> Grant:
        """Takes a report and answers with the next grant."""
        ...

    def close(self, seconds: float) -> None:
        """Stops everyone for so long; a shorter time does not shorten a longer one."""
        ...

    def closed(self) -> float:
        """Returns the seconds for which everyone is stopped; cheap, and blocks nobody."""
        ...
