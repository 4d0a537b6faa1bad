"""When work is due, and how long it pauses after failures: pure, without a clock or chance."""

from __future__ import annotations

from datetime import datetime, timedelta

#: Pauses in seconds after failures in a row; the last one repeats.
_PAUSES = (5, 15, 60, 300, 900)


def is_due(last: datetime | None, every: timedelta, now: datetime) -> bool:
    """Returns True if something last done at `last`, to be repeated `every` so often, is due.

    A clock that was set back does not make anything wait longer than `every`.

    >>> from datetime import UTC
    >>> noon, minute = datetime(2026, 1, 1, 12, tzinfo=UTC), timedelta(minutes=1)
    >>> is_due(None, minute, noon), is_due(noon, minute, noon), is_due(noon, minute, noon + minute)
    (True, False, True)
    """
    return last is None or not (last <= now < last + every)


def rest_after(failures: int) -> timedelta:
    """Returns the pause after a number of failures in a row.

    >>> rest_after(1), rest_after(99)
    (datetime.timedelta(seconds=5), datetime.timedelta(seconds=900))
    """
    return timedelta(seconds=_PAUSES[min(max(failures, 1), len(_PAUSES)) - 1])
