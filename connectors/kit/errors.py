"""What can go wrong while talking to a system, sorted by what to do next.

ConnectorError
├── UnavailableError
│   └── RateLimitedError
├── CredentialsError
├── CursorExpiredError
├── ContractError
└── RecordError
    ├── RecordMissingError
    ├── RecordRejectedError
    └── RecordStaleError
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta


class ConnectorError(Exception):
    """Talking to a system failed. Messages never carry a payload or a secret."""


class UnavailableError(ConnectorError):
    """The system did not answer, or said "not now": wait and make the same call again.

    A write that ends in this error has an *unknown* outcome: it may have happened.
    """


class RateLimitedError(UnavailableError):
    """The system refused because of its rate limit; the call was certainly not executed."""

    def __init__(self, message: str, *, retry_after: timedelta | None = None) -> None:
        super().__init__(message)
        #: How long the system asked everyone to wait; None when it did not say.
        self.retry_after = retry_after


class CredentialsError(ConnectorError):
    """Credentials or scopes are insufficient: pause the connection, a person must act."""


class CursorExpiredError(ConnectorError):
    """The system no longer knows the cursor: read the whole stream again."""


class ContractError(ConnectorError):
    """The API answered something its documentation does not promise: investigate first."""


class RecordError(ConnectorError):
    """One record could not be handled; the others can."""

    def __init__(self, message: str, *, stream: str, key: str | None = None) -> None:
        super().__init__(message)
        self.stream = stream
        #: The record's key in the system; None for a create.
        self.key = key


class RecordMissingError(RecordError):
    """The record no longer exists in the system."""


class RecordRejectedError(RecordError):
    """The system refused the values; a person or a mapping must change something."""

    def __init__(
        self,
        message: str,
        *,
        stream: str,
        key: str | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, stream=stream, key=key)
        #: The system's field name -> its message about it; empty when it gave none.
        self.fields = dict(fields or {})


class RecordStaleError(RecordError):
    """The record changed since it was read: pull, merge, push again."""
