"""The connector contract: the words in which the hub and a system talk.

A connector is an open conversation with one connection. Everything here is a plain value; the one
protocol, `Connector`, is what a system's folder implements. Nothing here knows the canonical model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol, runtime_checkable

from connectors.kit.errors import ConnectorError

#: A record in its system's own words: JSON-able scalars, dicts and lists. Decimals are strings,
#: dates and times ISO 8601 strings. Never logged.
Payload = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Record:
    """One row of a stream, as its system has it."""

    #: Their key, always text.
    key: str
    payload: Payload = field(repr=False)
    #: Opaque; what `Update.expected` must carry. None when the system has no versions.
    version: str | None = None
    #: By the system's own clock, aware UTC; None when the system does not say.
    modified_at: datetime | None = None
    #: The hub id found in the record's external-key field, when it has one.
    once: str | None = None


@dataclass(frozen=True, slots=True)
class Merge:
    """Record `key` was merged over there and now lives on as `into`."""

    key: str
    into: str


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a stream: what changed, what is gone, what was merged, and where to go on."""

    records: Sequence[Record] = ()
    #: Keys that are certainly gone (deleted, archived).
    gone: Sequence[str] = ()
    merges: Sequence[Merge] = ()
    #: To be stored with this page and given back as `since`. None: keep the one you have.
    cursor: str | None = None
    #: How many records this read will bring in all, when the system says so (for progress bars).
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Create:
    """Make a new record. `once` is the hub id that lets `find` probe for it later."""

    once: str
    payload: Payload = field(repr=False)


@dataclass(frozen=True, slots=True)
class Update:
    """Change fields of a record that must still have version `expected` (None: whatever it has)."""

    key: str
    payload: Payload = field(repr=False)
    expected: str | None


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove (or archive, where that is the system's way) a record."""

    key: str
    expected: str | None


@dataclass(frozen=True, slots=True)
class Act:
    """A state transition in the system's own words, such as `confirm`."""

    key: str
    action: str
    expected: str | None


Write = Create | Update | Delete | Act


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one write: a key, or the error that names what to do.

    `error` of type UnavailableError means *unknown*: the write may have happened.
    """

    #: The key of the written record; None when the write failed.
    key: str | None = None
    #: The whole record as it is now, when the answer shows all of it; else the hub fetches.
    record: Record | None = None
    error: ConnectorError | None = None
    #: With `lock: told`: fields that the write replaced though they had changed since `expected`,
    #: with the values that are gone now, nested as in a payload.
    overwritten: Payload | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class FieldInfo:
    """A live field of a stream, as the system describes it."""

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
    """A field that a mapping wants and that the connector may create (`Connector.prepare`)."""

    stream: str
    name: str
    #: One of FieldInfo.type.
    type: str
    label: str
    #: The field carries `Create.once` and must be unique.
    once: bool = False
    #: What an enum may hold.
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `tulay check`: how bad it is, what is so, and what to do about it."""

    level: Literal["ok", "warning", "error"]
    what: str
    todo: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """A webhook delivery as it came in. Header names are lower case."""

    method: str
    #: The full address as the sender called it.
    url: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Nudge:
    """ "Look at this key": what a webhook told us. The truth is fetched later."""

    stream: str
    key: str
    #: Unique per event as far as the sender allows; the inbox drops a second one.
    event_id: str
    #: Set when the event said that `key` was merged into this one.
    into: str | None = None


@runtime_checkable
class Connector(Protocol):
    """An open conversation with one connection. All methods may raise ConnectorError.

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
        """Creates the missing ones of the wanted fields, where the API allows it; twice is fine."""
        ...

    def pages(self, stream: str, since: str | None) -> Iterator[Page]:
        """Yields what changed since the cursor, oldest first; everything when it is None.

        A record may come twice; none is ever skipped. The cursor of each page is closed at its
        lower end. A full read that is broken off goes on from the cursor of its last page, and the
        last page of a read always has a cursor.

        Raises: CursorExpiredError.
        """
        ...

    def fetch(self, stream: str, keys: Sequence[str]) -> Page:
        """Reads the truth about some keys now: each key ends in records, gone or merges.

        A merged key yields a Merge and the survivor's record. At most `batch` keys (manifest).
        """
        ...

    def keys(self, stream: str) -> Iterator[Sequence[str]]:
        """Sweeps all keys cheaply, in portions; raises rather than ends early."""
        ...

    def find(self, stream: str, once: Sequence[str]) -> Mapping[str, Record]:
        """Returns the records that earlier creates with these hub ids have made, by hub id."""
        ...

    def write(self, stream: str, writes: Sequence[Write]) -> Sequence[Outcome]:
        """Writes them, one outcome each in the same order; one bad row never sinks the others.

        Raises: UnavailableError when the outcome of all of them is unknown, RateLimitedError when
        none has happened.
        """
        ...

    def verify(self, request: Request) -> bool:
        """Says in constant time whether a delivery is genuine and recent; False without secret."""
        ...

    def nudges(self, body: bytes) -> Sequence[Nudge]:
        """Reads a verified delivery. Raises: ContractError when it is not what was promised."""
        ...

    def close(self) -> None:
        """Ends the conversation; twice is fine."""
        ...
