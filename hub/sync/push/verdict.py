"""Decides what happens to outbox entries that were not written: pure, stored by batch.py.

The error determines the next step (hub.model.recovery); no store and no system is asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from connectors.kit.contract import Create, Delete, Outcome, Write
from connectors.kit.errors import RateLimitedError, RecordMissingError, UnavailableError
from hub.model.causes import Cause, cause_of
from hub.model.recovery import Quarantine, Refresh, Retry, pause, recovery

#: due: retried automatically; waiting: for a known cause; held: for a change or a person.
State = Literal["due", "waiting", "held"]

#: Stale answers in a row after which another writer is assumed and a person should look.
_MOST_REFRESHES = 5


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why an entry was not written, and when it is retried."""

    reason: str
    #: None: unchanged, because its create may have happened.
    state: State | None
    after: timedelta
    cause: Cause = Cause.FAILED
    #: The class of the error, if there was one.
    error: str | None = None
    #: The golden record on whose change it is retried.
    waits_for: str | None = None


def postponed(
    attempts: int,
    reason: str,
    *,
    state: State | None,
    cause: Cause = Cause.FAILED,
    waits_for: str | None = None,
) -> Verdict:
    """Returns the decision on an entry that cannot be written yet.

    >>> postponed(1, "its parent is missing", state="waiting").after
    datetime.timedelta(seconds=10)
    """
    return Verdict(reason, state, pause(attempts), cause, waits_for=waits_for)


def quarantined(
    attempts: int, reason: str, *, cause: Cause, error: Exception | None = None
) -> Verdict:
    """Returns the decision on an entry that waits for a change or a person."""
    return Verdict(reason, "held", pause(attempts), cause, _name(error))


def held_in_doubt(attempts: int, reason: str) -> Verdict:
    """Quarantines a create whose outcome only a person can find out."""
    return quarantined(attempts, reason, cause=Cause.IN_DOUBT)


def failed(attempts: int, error: Exception, *, state: State | None) -> Verdict:
    """Returns the decision after an error; `state` is the state in which the entry is retried.

    >>> from dataclasses import astuple
    >>> reason, *rest = astuple(failed(0, UnavailableError("down"), state=None))
    >>> reason, rest
    ('down', [None, datetime.timedelta(seconds=5), <Cause.FAILED: 'failed'>, \
'UnavailableError', None])
    """
    match recovery(error, attempts=attempts):
        case Quarantine():
            return quarantined(attempts, str(error), cause=cause_of(error), error=error)
        case Refresh() if attempts >= _MOST_REFRESHES:
            reason = f"changed again each time it was to be written: {error}"
            return quarantined(attempts, reason, cause=Cause.OSCILLATION, error=error)
        case Refresh():
            return Verdict(str(error), "due", timedelta(0), error=_name(error))
        case Retry(after=after):
            return Verdict(str(error), state, after, error=_name(error))
        case _:
            return Verdict(str(error), state, pause(attempts), error=_name(error))


def of_outcome(attempts: int, write: Write, outcome: Outcome | None) -> Verdict | None:
    """Returns the decision on an entry whose write was answered; None if it was written.

    >>> of_outcome(0, Create("1", {}), Outcome(error=UnavailableError("?"))).state is None
    True
    """
    error = None if outcome is None else outcome.error
    if error is None or (isinstance(write, Delete) and isinstance(error, RecordMissingError)):
        return None
    # A create that may have happened keeps its state: it is probed first.
    happened_not = isinstance(error, RateLimitedError) or not isinstance(write, Create)
    return failed(attempts, error, state="due" if happened_not else None)


def has_not_happened(outcome: Outcome | None) -> bool:
    """Returns True if the system reported that a write has not happened."""
    error = None if outcome is None else outcome.error
    in_doubt = isinstance(error, UnavailableError) and not isinstance(error, RateLimitedError)
    return error is not None and not in_doubt


def _name(error: Exception | None) -> str | None:
    return type(error).__name__ if error else None
