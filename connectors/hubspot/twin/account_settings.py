"""What a test may change about an account, and who may own its records: plain values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Owner:
    """A user who can own records."""

    id: int
    email: str
    first: str
    last: str
    archived: bool = False


@dataclass(slots=True)
class Settings:
    """What a test may change about the account while it runs."""

    portal_id: int = 148_220_417
    currency: str = "EUR"
    time_zone: str = "Europe/Berlin"
    #: How long search still shows the state before a change, in milliseconds.
    search_lag_ms: int = 0
    #: Most rows of a list or search page, whatever the caller asks for.
    most_rows: int = 10_000
    #: quirk(hubspot): a duplicate of a custom unique value is a 400 VALIDATION_ERROR with code
    #: CONFLICTING_UNIQUE_VALUE; some clients report 409 as for e-mails. True: answer 409.
    unique_conflict_409: bool = False
