"""The account's data in memory: records are created, changed, archived, merged and linked.

Every door (HTTP, Python, seed) leads through here, under one lock; listeners hear of each change.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from connectors.hubspot.twin.account_settings import Owner, Settings
from connectors.hubspot.twin.association_store import Links, LinkTypes
from connectors.hubspot.twin.data_faults import DataFaults
from connectors.hubspot.twin.events import Event, Events
from connectors.hubspot.twin.pipelines import Pipeline
from connectors.hubspot.twin.properties_schema import Kind
from connectors.hubspot.twin.storage import ObjectStore
from connectors.hubspot.twin.stored_record import (
    API,
    UI,
    Label,
    Record,
    Source,
    merged_record,
    other_email,
)
from connectors.hubspot.twin.validation import Validation
from connectors.kit.twin import Clock

__all__ = ["API", "UI", "Account", "Drafts", "Event", "Owner", "Settings"]

Drafts = list[tuple[Record, Sequence[Label]]]


class Account(ObjectStore):
    """All data of one HubSpot account."""

    def __init__(self, clock: Clock, settings: Settings | None = None) -> None:
        super().__init__()
        self.clock = clock
        self.settings = settings or Settings()
        self.data_faults = DataFaults()
        #: Called with a type's name when another page of it is about to be read.
        self.between_pages: list[Callable[[str], object]] = []
        self.lock = threading.RLock()
        self.links = Links(LinkTypes(list(self.catalogue.kinds)))
        self.events = Events(clock)
        self.validation = Validation(self, self.settings, self.data_faults, clock=clock)
        #: Set by the twin; a plain object, as webhooks know the account and not the reverse.
        self.webhooks: object = None

    @property
    def owners(self) -> dict[int, Owner]:
        """The users who may own records, by id."""
        return self.validation.owners

    @property
    def pipelines(self) -> dict[str, dict[str, Pipeline]]:
        """Object type -> id -> pipeline."""
        return self.validation.pipelines

    # -- records -----------------------------------------------------------------------------------

    def create(
        self,
        kind: Kind,
        given: Mapping[str, Any],
        *,
        links: Drafts | None = None,
        source: Source = API,
        at: int | None = None,
    ) -> Record:
        """Makes a record and its links. Raises: Refusal."""
        kept = self.validation.creation(kind, given, source=source)
        for other, labels in links or ():
            for label in labels:
                self.links.types.find(kind.name, other.kind.name, label)
        record = Record(kind, self._next_id(kind), at or self._now(), source=source)
        record.values = kept
        self._lag(record, None)
        self._store(record)
        self._index(record, kept)
        self.events.tell("creation", record, source)
        for name, text in kept.items():
            self.events.tell("propertyChange", record, source, name=name, value=text)
        for other, labels in links or ():
            self.link(record, other, labels, source=source)
        return record

    def update(
        self, record: Record, given: Mapping[str, Any], *, source: Source = API
    ) -> dict[str, str | None]:
        """Changes values and returns the stored form of the given ones. Raises: Refusal."""
        values = self.validation.change(record, given, source=source)
        before = record.values
        self.touch(record)
        changed = {n: t for n, t in values.items() if before.get(n) != t}
        record.remember(changed, source)
        self._unindex(record, changed)
        after = {**before, **{n: t for n, t in changed.items() if t is not None}}
        record.values = {n: t for n, t in after.items() if changed.get(n, t) is not None}
        self._index(record, record.values)
        for name, text in changed.items():
            self.events.tell("propertyChange", record, source, name=name, value=text or "")
        return values

    def touch(self, record: Record) -> None:
        """Gives a record a new time; search shows it later where the index lags."""
        self._lag(record, dict(record.values))
        record.updated = max(self._now(), record.updated + 1)

    def _lag(self, record: Record, values: dict[str, str] | None) -> None:
        if self.settings.search_lag_ms > 0:
            until = self.clock.ms() + self.settings.search_lag_ms
            record.shadows = [*(record.shadows or ()), (until, values, record.updated)]

    def _now(self) -> int:
        """Returns the time that a change carries."""
        return self.data_faults.stamp(self.clock.ms())

    def archive(self, record: Record, *, source: Source = API) -> None:
        """Puts a record into the bin."""
        if record.archived is not None:
            return
        record.updated = record.archived = max(self._now(), record.updated + 1)
        self._unindex(record, record.values)
        self.events.tell("deletion", record, source)

    def purge(self, record: Record) -> None:
        """Removes a record for good."""
        self.archive(record)
        self._records[record.kind.name].pop(record.id, None)

    def restore(self, record: Record, *, source: Source = UI) -> None:
        """Takes a record out of the bin."""
        self.validation.guard_unique(record.kind, record.values, record)
        record.archived, record.updated = None, max(self._now(), record.updated + 1)
        self._index(record, record.values)
        self.events.tell("restore", record, source)

    def merge(self, winner: Record, loser: Record, *, source: Source = API) -> Record:
        """Makes a new record of two; their ids answer with it from now on.

        quirk(hubspot): the survivor has a new id (changelog on deal merges).
        """
        at = max(self._now(), winner.updated + 1, loser.updated + 1)
        new = merged_record(winner, loser, key=self._next_id(winner.kind), source=source)
        new.updated = at
        for old in (winner, loser):
            self.links.move(old, new, self._records)
        self._replace((winner, loser), new)
        if email := other_email(new, loser):
            self._index(new, {"email": email})
        moved = len(set(loser.values) - set(winner.values))
        ids = {"primaryObjectId": winner.id, "mergedObjectIds": [loser.id], "newObjectId": new.id}
        self.events.tell("merge", new, source, **ids, numberOfPropertiesMoved=moved)
        return new

    # -- links -------------------------------------------------------------------------------------

    def link(
        self, one: Record, other: Record, labels: Sequence[Label] = (), *, source: Source = API
    ) -> None:
        """Links two records and tells it from both sides."""
        known = other.id in one.links.get(other.kind.name, {})
        types = self.links.add(one, other, labels)
        if not known:
            primary = any(kind.primary for kind in types)
            self.events.tell_link(one, other, source, primary=primary)

    def unlink(
        self, one: Record, other: Record, labels: Sequence[Label] = (), *, source: Source = API
    ) -> None:
        """Removes labels or the whole link."""
        if self.links.remove(one, other, labels):
            self.events.tell_link(one, other, source, removed=True)
