"""What to do next about an error: one function with values as answers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from connectors.kit.errors import (
    ConnectorError,
    ContractError,
    CredentialsError,
    CursorExpiredError,
    RateLimitedError,
    RecordError,
    RecordMissingError,
    RecordStaleError,
    UnavailableError,
)
from hub.errors import LinkError
from mappings.kit.errors import LensError


@dataclass(frozen=True, slots=True)
class Retry:
    """Repeat the same after a pause."""

    after: timedelta


@dataclass(frozen=True, slots=True)
class Refresh:
    """Read the record, observe it and compute the write again."""


@dataclass(frozen=True, slots=True)
class Quarantine:
    """Quarantine this item with its reason; the others continue."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Pause the connection until a person acts."""


@dataclass(frozen=True, slots=True)
class Restart:
    """Drop the cursor and read the stream from the start."""


@dataclass(frozen=True, slots=True)
class Halt:
    """An unknown error: end the run and report it."""


Recovery = Retry | Refresh | Quarantine | Pause | Restart | Halt

_FIRST_PAUSE = timedelta(seconds=5)
_LONGEST_PAUSE = timedelta(hours=1)


def recovery(error: Exception, *, attempts: int) -> Recovery:
    """Returns what to do about an error after a number of attempts at the same item.

    >>> recovery(UnavailableError("down"), attempts=2)
    Retry(after=datetime.timedelta(seconds=20))
    """
    match error:
        case RateLimitedError(retry_after=timedelta() as wait):
            return Retry(wait)
        case UnavailableError():
            return Retry(pause(attempts))
        case CredentialsError():
            return Pause()
        case CursorExpiredError():
            return Restart()
        case RecordStaleError() | RecordMissingError():
            return Refresh()
        case RecordError() | LensError() | LinkError():
            return Quarantine()
        case ContractError():
            return Pause()
        case ConnectorError():
            return Retry(pause(attempts))
        case _:
            return Halt()


def pause(attempts: int) -> timedelta:
    """Returns the pause after a number of failures: doubling, at most an hour.

    >>> pause(0), pause(30)
    (datetime.timedelta(seconds=5), datetime.timedelta(seconds=3600))
    """
    doubled: timedelta = _FIRST_PAUSE * (1 << min(attempts, 20))
    return min(doubled, _LONGEST_PAUSE)
