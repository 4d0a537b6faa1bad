"""What is due when: pure, without a clock of its own and without chance."""

from __future__ import annotations

from datetime import datetime, timedelta

#: Pauses after failures in a row, the last one again and again.
_PAUSES = (5, 15, 60, 300, 900)


def is_due(last: datetime | None, every: timedelta, now: datetime) -> bool:
    """Says whether something done at `last` and wanted `every` so often is due.

    A clock that was set back does not make anything wait longer than `every`.

    >>> from datetime import UTC
    >>> noon, minute = datetime(2026, 1, 1, 12, tzinfo=UTC), timedelta(minutes=1)
    >>> is_due(None, minute, noon), is_due(noon, minute, noon), is_due(noon, minute, noon + minute)
    (True, False, True)
    """
    return last is None or not (last <= now < last + every)


def pause(failures: int) -> timedelta:
    """Returns how long work rests after so many failures in a row.

    >>> pause(1), pause(99)
    (datetime.timedelta(seconds=5), datetime.timedelta(seconds=900))
    """
    return timedelta(seconds=_PAUSES[min(max(failures, 1), len(_PAUSES)) - 1])


def restart_pause(failures: int) -> float:
    """Returns the seconds before a process that died so often in a row is started again.

    >>> [restart_pause(n) for n in (1, 2, 3, 20)]
    [0.5, 1.0, 2.0, 30.0]
    """
    return min(0.5 * 2.0 ** min(failures - 1, 10), 30.0)
