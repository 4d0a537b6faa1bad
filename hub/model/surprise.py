"""When a run, or many small ones together, are too surprising to be obeyed: they pause and ask.

A deletion cannot be typed back in, so that deletions are measured more strictly than changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Limit:
    """So much may change of what is known; more than a share and more than a number surprises."""

    #: Share of the stream's linked records, 0 to 1, in one run; of deletions also `within`.
    share: float = 0.20
    records: int = 50
    #: Runs of this time count together, however small each is.
    within: timedelta = timedelta(hours=1)
    #: Share of the stream's linked records that may change `within`, in any number of runs.
    busy: float = 0.50


@dataclass(frozen=True, slots=True)
class Lately:
    """Known records of a stream that were touched within the limit's time, once each."""

    changed: int = 0
    gone: int = 0


def surprising(touched: int, known: int, limit: Limit) -> bool:
    """Says whether changing or deleting so many of the known records should wait for a person.

    >>> surprising(51, 100, Limit()), surprising(51, 1000, Limit()), surprising(9, 10, Limit())
    (True, False, False)
    """
    return touched > limit.records and touched > limit.share * known


def flooding(lately: Lately, known: int, limit: Limit) -> bool:
    """Says whether many small runs together have become a surprise; `known` is before all of them.

    >>> flooding(Lately(gone=51), 100, Limit()), flooding(Lately(changed=51), 100, Limit())
    (True, True)
    >>> flooding(Lately(changed=60, gone=10), 150, Limit())
    False
    """
    if surprising(lately.gone, known, limit):
        return True
    touched = lately.changed + lately.gone
    return touched > limit.records and touched > max(limit.share, limit.busy) * known
