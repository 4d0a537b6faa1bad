"""Why a page was read, its records, and what the hub itself wrote to them.

Values only. The reason for a read limits its consequences.
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
    #: These keys were requested: their current state.
    FETCHED = "fetched"
    #: Fetched because the hub is about to compute what to write to these records.
    BEFORE_WRITE = "before write"
    #: Fetched, or returned, after the hub has written to these records.
    READ_BACK = "read back"
    #: Found by a probe for creates whose outcome was unknown.
    PROBED = "probed"

    @property
    def may_be_old(self) -> bool:
        """Returns True if the page does not prove the current state of its records."""
        return self is Origin.LISTED

    @property
    def enqueues(self) -> bool:
        """Returns True if missing values are enqueued; False if they are about to be written."""
        return self is not Origin.BEFORE_WRITE


@dataclass(frozen=True, slots=True)
class WrittenValues:
    """What the hub wrote to a record, so that its read-back does not count as news."""

    golden_id: str
    values: Values = field(repr=False)
    #: False: the answer was lost, and a person may have edited the record since.
    certain: bool = True


@dataclass(frozen=True, slots=True)
class ReadRecord:
    """A new or changed record, read and translated."""

    record: Record
    values: Values = field(repr=False)
    digest: bytes

    @property
    def key(self) -> str:
        """The key in the remote system."""
        return self.record.key


@dataclass(frozen=True, slots=True, eq=False)
class ReadContext:
    """Why, where and by which rules a page is read; `tally` counts its records."""

    hub: Hub
    channel: Channel
    origin: Origin
    tally: Tally
    now: datetime
    policy: EntityPolicy
    #: Loaded once per page: usually nothing is quarantined, which saves lookups.
    pending: Pending
    #: Key -> what the hub has written to this record.
    written: Mapping[str, WrittenValues]

    @property
    def imports(self) -> bool:
        """Returns True if records of this stream may start golden records."""
        allowed = self.policy.imports
        return self.channel.mapping.imports and (
            allowed is None or self.channel.connection in allowed
        )
