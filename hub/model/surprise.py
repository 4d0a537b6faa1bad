"""When a run is too surprising to be obeyed: it pauses and asks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limit:
    """A run may change so much of what it knows; more of both is a surprise."""

    #: Share of the stream's linked records, 0 to 1.
    share: float = 0.20
    records: int = 50


def surprising(touched: int, known: int, limit: Limit) -> bool:
    """Says whether changing or deleting so many of the known records should wait for a person.

    >>> surprising(51, 100, Limit()), surprising(51, 1000, Limit()), surprising(9, 10, Limit())
    (True, False, False)
    """
    return touched > limit.records and touched > limit.share * known
