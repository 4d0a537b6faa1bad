"""When a run, or many small ones together, are too surprising to be obeyed: they pause and ask.

A deletion cannot be typed back in, so that deletions are measured more strictly than changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class ChangeLimit:
    """So much may change of what is known; more than a share and more than a number surprises."""

    #: Share of the stream's linked records, 0 to 1, in one run; of deletions also `within`.
    share: float = 0.20
    records: int = 50
    #: Runs of this time count together, however small each is.
    window: timedelta = timedelta(hours=1)
    #: Share of the stream's linked records that may change `within`, in any number of runs.
    window_share: float = 0.50


@dataclass(frozen=True, slots=True)
class RecentChanges:
    """Known records of a stream that were touched within the limit's time, once each."""

    changed: int = 0
    gone: int = 0


def exceeds_limit(touched: int, known: int, limit: ChangeLimit) -> bool:
    """Says whether changing or deleting so many of the known records should wait for a person.

    >>> limit = ChangeLimit()
    >>> exceeds_limit(51, 100, limit), exceeds_limit(51, 1000, limit), exceeds_limit(9, 10, limit)
    (True, False, False)
    """
    return touched > limit.records and touched > limit.share * known


def exceeds_window_limit(lately: RecentChanges, known: int, limit: ChangeLimit) -> bool:
    """Says whether many small runs together have become a surprise; `known` is before all of them.

    >>> exceeds_window_limit(RecentChanges(gone=51), 100, ChangeLimit())
    True
    >>> exceeds_window_limit(RecentChanges(changed=51), 100, ChangeLimit())
    True
    >>> exceeds_window_limit(RecentChanges(changed=60, gone=10), 150, ChangeLimit())
    False
    """
    if exceeds_limit(lately.gone, known, limit):
        return True
    touched = lately.changed + lately.gone
    return touched > limit.records and touched > max(limit.share, limit.window_share) * known
