"""The connector contract: the vocabulary between the hub and a system.

A connector is an open connection to one account. Everything here is a plain value; the one
protocol, `Connector`, is what a system's folder implements. Nothing here knows the canonical model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol, runtime_checkable

from connectors.kit.errors import ConnectorError

#: A record as its system represents it: JSON-able scalars, dicts and lists. Decimals are strings,
#: dates and times ISO 8601 strings. Never logged.
Payload = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Record:
    """One row of a stream, as its system has it."""

    #: The system's key, always text.
    key: str
    payload: Payload = field(repr=False)
    #: Opaque; what `Update.expected` must carry. None when the system has no versions.
    version: str | None = None
    #: By the system's own clock, aware UTC; None when the system does not provide it.
    modified_at: datetime | None = None
    #: The hub id found in the record's external-key field, when it has one.
    external_id: str | None = None


@dataclass(frozen=True, slots=True)
class Merge:
    """Record `key` was merged into `into` in the remote system."""

    key: str
    into: str


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a stream: what changed, was deleted or merged, and where to continue."""

    records: Sequence[Record] = ()
    #: Keys that are certainly deleted or archived.
    gone: Sequence[str] = ()
    merges: Sequence[Merge] = ()
    #: Stored with this page and passed to the next read as `since`. None: keep the previous one.
    cursor: str | None = None
    #: Total number of records of this read, when the system tells it (for progress bars).
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Create:
    """Make a new record. `once` is the hub id that lets `find` probe for it later."""

    external_id: str
    payload: Payload = field(repr=False)


@dataclass(frozen=True, slots=True)
class Update:
    """Change fields of a record that must still have version `expected` (None: whatever it has)."""

    key: str
    payload: Payload = field(repr=False)
    if_version: str | None


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove (or archive, where that is the system's way) a record."""

    key: str
    if_version: str | None


@dataclass(frozen=True, slots=True)
class Action:
    """A state transition in the system's own words, such as `confirm`."""

    key: str
    transition: str
    if_version: str | None


Write = Create | Update | Delete | Action


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one write: a key, or the error that names what to do.

    `error` of type UnavailableError means *unknown*: the write may have happened.
    """

    #: The key of the written record; None when the write failed.
    key: str | None = None
    #: The whole record as it is now, when the answer shows all of it; else the hub fetches.
    record: Record | None = None
    error: ConnectorError | None = None
    #: With `lock: told`: fields that the write replaced though they had changed since `expected`,
    #: with the values they had, nested as in a payload.
    overwritten: Payload | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class FieldInfo:
    """A field of a stream, as the live system describes it."""

    name: str
    #: text | number | integer | boolean | date | datetime | enum | reference | list | object
    type: str
    required: bool = False
    writable: bool = True
    #: Values an enum accepts; empty when free or unknown.
    options: Sequence[str] = ()
    #: Longest text in characters; None when unlimited or unknown.
    length: int | None = None


@dataclass(frozen=True, slots=True)
class StreamSchema:
    """What `describe` found. A mapping's field `a.b` is checked against the name `a.b` or `a`."""

    stream: str
    fields: Mapping[str, FieldInfo]


@dataclass(frozen=True, slots=True)
class FieldNeed:
    """A field that a mapping needs and that the connector may create (`Connector.prepare`)."""

    stream: str
    name: str
    #: One of FieldInfo.type.
    type: str
    label: str
    #: The field carries `Create.once` and must be unique.
    external_id: bool = False
    #: What an enum may hold.
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `tulay check`: its severity, the fact, and what to do about it."""

    level: Literal["ok", "warning", "error"]
    what: str
    todo: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """A webhook delivery as received. Header names are lower case."""

    method: str
    #: The full address as the sender called it.
    url: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Notification:
    """ "Look at this key": what a webhook says. The record itself is fetched later."""

    stream: str
    key: str
    #: Unique per event as far as the sender allows; the inbox drops duplicates.
    event_id: str
    #: Set when the event said that `key` was merged into this one.
    into: str | None = None


@runtime_checkable
class Connector(Protocol):
    """An open connection to one account. All methods may raise ConnectorError.

    Built as `SomeConnector(settings, budget)`: `settings` has what manifest.yaml declares, checked
    and with defaults filled in; `budget` (connectors.kit.budget.Budget) is shared by all workers.
    """

    def check(self) -> Sequence[Finding]:
        """Proves that the credentials work and the scopes suffice, without writing.

        Raises: CredentialsError, UnavailableError.
        """
        ...

    def describe(self, stream: str) -> StreamSchema:
        """Returns the live fields of a stream."""
        ...

    def prepare(self, needs: Sequence[FieldNeed]) -> Sequence[Finding]:
        """Creates those needed fields that are missing, where the API allows it. Idempotent."""
        ...

    def pages(self, stream: str, since: str | None) -> Iterator[Page]:
        """Yields what changed since the cursor, oldest first; everything when it is None.

        A record may come twice; none is ever skipped. The cursor of each page is closed at its
        lower end. An interrupted full read continues from the cursor of its last page, and the
        last page of a read always has a cursor.

        Raises: CursorExpiredError.
        """
        ...

    def fetch(self, stream: str, keys: Sequence[str]) -> Page:
        """Reads the current state of some keys: each key ends up in records, gone or merges.

        A merged key yields a Merge and the survivor's record. Maximum `batch` keys (manifest).
        """
        ...

    def keys(self, stream: str) -> Iterator[Sequence[str]]:
        """Yields all keys cheaply, in chunks; raises rather than end early."""
        ...

    def find(self, stream: str, external_ids: Sequence[str]) -> Mapping[str, Record]:
        """Returns the records made by earlier creates with these hub ids, by hub id."""
        ...

    def write(self, stream: str, writes: Sequence[Write]) -> Sequence[Outcome]:
        """Writes them, one outcome each in the same order; one bad row never affects the others.

        Raises: UnavailableError when the outcome of all of them is unknown, RateLimitedError when
        none was executed.
        """
        ...

    def verify(self, request: Request) -> bool:
        """Checks in constant time that a delivery is genuine and recent; False without a secret."""
        ...

    def notifications(self, body: bytes) -> Sequence[Notification]:
        """Parses a verified delivery. Raises: ContractError when it is malformed."""
        ...

    def close(self) -> None:
        """Closes the connection. Idempotent."""
        ...
