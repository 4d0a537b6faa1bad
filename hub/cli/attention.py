"""What only a person can get out of the way, with the one command that helps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection as Transaction

from hub.store.conflicts import list_conflicts
from hub.store.reviews import open_reviews
from hub.sync.context import Hub
from hub.sync.operate.entries import counted, unnamed


@dataclass(frozen=True, slots=True)
class Matter:
    """One kind of thing that waits for a person."""

    count: int
    what: str
    command: str

    def __str__(self) -> str:
        """Returns a line.

        >>> str(Matter(2, "conflicts", "tulay conflicts"))
        '2 conflicts: tulay conflicts'
        """
        return f"{self.count} {self.what}: {self.command}"


def matters(hub: Hub, tx: Transaction) -> list[Matter]:
    """Returns what waits for people in the whole hub, whatever this command has done."""
    conflicts = len(list_conflicts(tx))
    reviews = len(open_reviews(tx))
    # A record may wait for several reasons: people count records.
    held = counted(unnamed(hub, tx)).total()
    found = (
        (conflicts, "conflict", "conflicts", "tulay conflicts"),
        (reviews, "open review", "open reviews", "tulay links review"),
        (held, "record in quarantine", "records in quarantine", "tulay errors"),
    )
    return [
        Matter(count, one if count == 1 else several, command)
        for count, one, several, command in found
        if count
    ]


def resumes(paused: Mapping[str, str]) -> list[str]:
    """Returns a line for each pause, with the command that ends it.

    >>> resumes({"crm.companies": "too many changes"})
    ['crm.companies is paused: tulay resume crm companies']
    """
    return [f"{name} is paused: tulay resume {name.replace('.', ' ', 1)}" for name in paused]
