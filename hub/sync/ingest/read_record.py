"""What is being read, and why: the origin of a page, its records, and what the hub itself wrote.

Values only. Why a record was read decides what may follow from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from connectors.kit.contract import Record
from hub.model.policy import EntityPolicy
from hub.store.quarantine import Pending
from hub.store.runs import Tally
from hub.sync.context import Channel, Hub
from mappings.canonical.values import Values


class Origin(Enum):
    """Why a page was read."""

    #: A list of changes, which may be older than what is known.
    LISTED = "listed"
    #: These keys were asked for: it is the truth now.
    FETCHED = "fetched"
    #: Fetched because the hub is about to compute what to write to these records.
    BEFORE_WRITE = "before write"
    #: Fetched, or answered, after the hub has written to these records.
    READ_BACK = "read back"
    #: Found by a probe for creates whose outcome was unknown.
    PROBED = "probed"

    @property
    def may_be_old(self) -> bool:
        """Returns True if the page alone does not prove that its records are so now."""
        return self is Origin.LISTED

    @property
    def enqueues(self) -> bool:
        """Returns True if what a record lacks must be noted: nobody is about to write it."""
        return self is not Origin.BEFORE_WRITE


@dataclass(frozen=True, slots=True)
class WrittenValues:
    """What the hub has written to a record, so that its read-back is not taken for news."""

    golden_id: str
    values: Values = field(repr=False)
    #: False: the answer was lost, so that a person may have edited the record since.
    certain: bool = True


@dataclass(frozen=True, slots=True)
class ReadRecord:
    """A record read and translated, which is new or has changed."""

    record: Record
    values: Values = field(repr=False)
    digest: bytes

    @property
    def key(self) -> str:
        """The key in the remote system."""
        return self.record.key


@dataclass(frozen=True, slots=True, eq=False)
class ReadContext:
    """Why and where a page is read, and by which rules; its counts go to `tally`."""

    hub: Hub
    channel: Channel
    origin: Origin
    tally: Tally
    now: datetime
    policy: EntityPolicy
    #: Asked once a page: mostly nothing is quarantined, and much need not be looked up.
    pending: Pending
    #: Key -> what the hub has written to this record.
    written: Mapping[str, WrittenValues]

    @property
    def imports(self) -> bool:
        """Returns True if records of this stream may become golden records."""
        allowed = self.policy.imports
        return self.channel.mapping.imports and (
            allowed is None or self.channel.connection in allowed
        )
