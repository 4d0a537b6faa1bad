"""Limits the changes of a run, and of many small runs together: beyond them, a person approves.

A deletion cannot be typed back in, so that deletions have a stricter limit than changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class ChangeLimit:
    """The most that may change without approval: both a share and a number must be exceeded."""

    #: Share of the stream's linked records, 0 to 1, per run; for deletions also per `window`.
    share: float = 0.20
    records: int = 50
    #: Runs within this time count together, however small each is.
    window: timedelta = timedelta(hours=1)
    #: Share of the stream's linked records that may change per `window`, in any number of runs.
    window_share: float = 0.50


@dataclass(frozen=True, slots=True)
class RecentChanges:
    """Known records of a stream that changed within the window, once each."""

    changed: int = 0
    gone: int = 0


def exceeds_limit(touched: int, known: int, limit: ChangeLimit) -> bool:
    """Returns True if changing or deleting `touched` of the known records needs approval.

    >>> limit = ChangeLimit()
    >>> exceeds_limit(51, 100, limit), exceeds_limit(51, 1000, limit), exceeds_limit(9, 10, limit)
    (True, False, False)
    """
    return touched > limit.records and touched > limit.share * known


def exceeds_window_limit(lately: RecentChanges, known: int, limit: ChangeLimit) -> bool:
    """Returns True if recent runs together need approval; `known` is the number before them.

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
