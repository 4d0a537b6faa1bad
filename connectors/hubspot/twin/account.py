"""The account's data in memory: records are created, changed, archived, merged and found.

Every door (HTTP, Python, seed) leads through here, under one lock; listeners hear of each change.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from connectors.hubspot.twin.association_store import Links, LinkTypes
from connectors.hubspot.twin.data_faults import DataFaults, told_apart
from connectors.hubspot.twin.error_bodies import (
    Issue,
    Refusal,
    conflict,
    invalid_values,
    required,
)
from connectors.hubspot.twin.pipelines import Pipeline, fresh_pipelines
from connectors.hubspot.twin.records import API, UI, Change, Label, Record, Source
from connectors.hubspot.twin.schema import Kind, Property
from connectors.hubspot.twin.storage import ObjectStore
from connectors.hubspot.twin.values import accept, as_text, iso
from connectors.kit.twin import Clock

__all__ = ["API", "UI", "Account", "Event", "Owner", "Settings"]


@dataclass(frozen=True, slots=True)
class Event:
    """Something happened to a record; webhooks tell the world."""

    #: creation | propertyChange | deletion | restore | merge | associationChange
    action: str
    record: Record
    at: int
    source: Source
    details: Mapping[str, Any] = field(default_factory=dict)


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
        self.pipelines: dict[str, dict[str, Pipeline]] = fresh_pipelines(clock.ms())
        self.owners: dict[int, Owner] = {}
        self.listeners: list[Callable[[Event], None]] = []
        #: Set by the twin; a plain object, as webhooks know the account and not the reverse.
        self.webhooks: object = None

    # -- writing -----------------------------------------------------------------------------------

    def check(
        self,
        kind: Kind,
        given: Mapping[str, Any],
        record: Record | None = None,
        *,
        source: Source = API,
    ) -> dict[str, str | None]:
        """Returns the values in their stored form. Raises: Refusal (400) naming every bad one."""
        issues: list[Issue] = []
        values: dict[str, str | None] = {}
        for name, raw in given.items():
            prop, text = kind.live(name), as_text(raw)
            issue = self._unwritable(prop, name)
            if issue is None and prop is not None and text is not None:
                text, issue = accept(prop, text, self._allowed(prop, (kind, given, record)))
            if text is not None and prop is not None and issue is None:
                text = self.data_faults.written(prop, text)
                if source.type == API.type:
                    issue = self.data_faults.rule(prop, text, told_apart(given, record))
            if issue is not None:
                issues.append(issue)
            values[name] = text
        if issues:
            raise invalid_values(issues)
        return values

    def _unwritable(self, prop: Property | None, name: str) -> Issue | None:
        if prop is None:
            return Issue(name, "PROPERTY_DOESNT_EXIST", f'Property "{name}" does not exist')
        if prop.read_only:
            message = f'"{name}" is a read only property; its value cannot be set.'
            return Issue(name, "READ_ONLY_VALUE", message)
        return None

    def _allowed(
        self, prop: Property, place: tuple[Kind, Mapping[str, Any], Record | None]
    ) -> list[str]:
        kind, given, record = place
        if prop.external == "owners":
            return [str(owner.id) for owner in self.owners.values() if not owner.archived]
        if prop.external == "pipelines":
            return list(self.pipelines.get(kind.name, {}))
        if prop.external == "stages":
            name = kind.stage_names()[0]
            chosen = given.get(name) or (record.value(name) if record else None)
            pipelines = self.pipelines.get(kind.name, {})
            pipeline = pipelines.get(str(chosen)) or next(iter(pipelines.values()), None)
            return list(pipeline.stages) if pipeline else []
        return prop.allowed()

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
        values = self.check(kind, self._prepared(kind, given), source=source)
        kept = {name: text for name, text in values.items() if text is not None}
        self._complete(kind, kept)
        self._guard_unique(kind, kept, None)
        for other, labels in links or ():
            for label in labels:
                self.links.types.find(kind.name, other.kind.name, label)
        record = Record(kind, self._next_id(kind), at or self._now(), source=source)
        record.values = kept
        self._lag(record, None)
        self._store(record)
        self._index(record, kept)
        self._tell("creation", record, source)
        for name, text in kept.items():
            self._tell("propertyChange", record, source, name=name, value=text)
        for other, labels in links or ():
            self.link(record, other, labels, source=source)
        return record

    def rehearse(self, kind: Kind, given: Mapping[str, Any], record: Record | None = None) -> None:
        """Goes through the checks of a create or update and writes nothing. Raises: Refusal."""
        if record is not None:
            self._guard_unique(kind, self.check(kind, given, record), record)
            return
        values = self.check(kind, self._prepared(kind, given))
        kept = {name: text for name, text in values.items() if text is not None}
        self._complete(kind, kept)
        self._guard_unique(kind, kept, None)

    def _prepared(self, kind: Kind, given: Mapping[str, Any]) -> dict[str, Any]:
        """Adds what HubSpot fills in by itself: pipeline, a product's values, a draft's state."""
        values = dict(given)
        pipeline, stage = kind.stage_names()
        if values.get(stage) and not values.get(pipeline):
            values[pipeline] = next(iter(self.pipelines.get(kind.name, {})), None)
        if kind.name == "line_items" and values.get("hs_product_id"):
            product = self.find(self.catalogue["products"], str(values["hs_product_id"]))
            copied = ("name", "description", "price", "hs_sku", "hs_cost_of_goods_sold")
            for name in copied if product else ():
                values.setdefault(name, product.values.get(name) if product else None)
        if kind.name == "invoices":
            values.setdefault("hs_invoice_status", "draft")
        self._close(kind, values)
        return values

    def _close(self, kind: Kind, values: dict[str, Any]) -> None:
        closed = str(values.get("dealstage", "")).startswith("closed")
        if kind.name == "deals" and closed and not values.get("closedate"):
            values["closedate"] = iso(self.clock.ms())

    def _complete(self, kind: Kind, values: Mapping[str, str]) -> None:
        lacking = [name for name in kind.facts.required.split() if name not in values]
        one_of = kind.facts.one_of.split()
        if one_of and not any(name in values for name in one_of):
            lacking += one_of
        if lacking:
            raise required(kind.facts.singular, lacking)

    def _guard_unique(
        self, kind: Kind, values: Mapping[str, str | None], record: Record | None
    ) -> None:
        for name, text in values.items():
            prop = kind.properties[name]
            if not prop.unique or text is None:
                continue
            owner = self._unique.get((kind.name, name), {}).get(text.lower())
            if owner is None or (record is not None and owner == record.id):
                continue
            if prop.native or self.settings.unique_conflict_409:
                raise conflict(kind.facts.singular, owner)
            place = (
                f"PropertyValueCoordinates{{portalId={self.settings.portal_id}, "
                f"objectTypeId={kind.facts.type_id}, propertyName={name}, value={text}}}"
            )
            target = record.id if record else "a new record"
            message = f"Cannot set {place} on {target}. {owner} already has that value."
            raise invalid_values([Issue(name, "CONFLICTING_UNIQUE_VALUE", message)])

    def update(
        self, record: Record, given: Mapping[str, Any], *, source: Source = API
    ) -> dict[str, str | None]:
        """Changes values and returns the stored form of the given ones. Raises: Refusal."""
        kind = record.kind
        asked = dict(given)
        if not record.value("closedate"):
            self._close(kind, asked)
        values = self.check(kind, asked, record, source=source)
        self._guard_unique(kind, values, record)
        self._lag(record, dict(record.values))
        before = record.values
        record.updated = max(self._now(), record.updated + 1)
        changed = {n: t for n, t in values.items() if before.get(n) != t}
        self._remember(record, changed, source)
        self._unindex(record, changed)
        after = {**before, **{n: t for n, t in changed.items() if t is not None}}
        record.values = {n: t for n, t in after.items() if changed.get(n, t) is not None}
        self._index(record, record.values)
        for name, text in changed.items():
            self._tell("propertyChange", record, source, name=name, value=text or "")
        return values

    def _remember(self, record: Record, changed: Mapping[str, str | None], source: Source) -> None:
        history = record.history if record.history is not None else []
        known = {change.name for change in history}
        for name, text in changed.items():
            if name not in known and name in record.values:
                first = Change(name, record.values[name], record.created, record.source)
                history.append(first)
            history.append(Change(name, text or "", record.updated, source))
        record.history = history

    def _lag(self, record: Record, values: dict[str, str] | None) -> None:
        if self.settings.search_lag_ms > 0:
            until = self.clock.ms() + self.settings.search_lag_ms
            record.shadows = [*(record.shadows or ()), (until, values, record.updated)]

    def _now(self) -> int:
        """Returns the time that a change carries."""
        return self.data_faults.stamp(self.clock.ms())

    def turn_page(self, kind: Kind) -> None:
        """Lets happen what happens between two pages of a read."""
        self.bring_back()
        for hook in self.between_pages:
            hook(kind.name)
        dice = self.data_faults.dice
        if dice.strikes("moving") and (record := self._anyone(kind, "moved")):
            self._lag(record, dict(record.values))
            record.updated = max(self._now(), record.updated + 1)
        if dice.strikes("vanishing") and (record := self._anyone(kind, "away")):
            self.archive(record, source=UI)
            self.data_faults.away.append(record)

    def bring_back(self) -> None:
        """Takes those that were away for a moment out of the bin again."""
        away, self.data_faults.away = self.data_faults.away, []
        for record in away:
            if record.archived is not None:
                with suppress(Refusal):  # another record has taken its unique value: it stays there
                    self.restore(record)

    def _anyone(self, kind: Kind, name: str) -> Record | None:
        records = list(self.live(kind))
        return records[int(self.data_faults.dice.roll(name) * len(records))] if records else None

    def archive(self, record: Record, *, source: Source = API) -> None:
        """Puts a record into the bin."""
        if record.archived is not None:
            return
        record.updated = record.archived = max(self._now(), record.updated + 1)
        self._unindex(record, record.values)
        self._tell("deletion", record, source)

    def purge(self, record: Record) -> None:
        """Removes a record for good."""
        self.archive(record)
        self._records[record.kind.name].pop(record.id, None)

    def restore(self, record: Record, *, source: Source = UI) -> None:
        """Takes a record out of the bin."""
        self._guard_unique(record.kind, record.values, record)
        record.archived, record.updated = None, max(self._now(), record.updated + 1)
        self._index(record, record.values)
        self._tell("restore", record, source)

    def merge(self, winner: Record, loser: Record, *, source: Source = API) -> Record:
        """Makes a new record of two; their ids answer with it from now on.

        quirk(hubspot): the survivor has an id of its own (changelog on deal merges).
        """
        kind, store = winner.kind, self._records[winner.kind.name]
        at = max(self._now(), winner.updated + 1, loser.updated + 1)
        new = Record(kind, self._next_id(kind), min(winner.created, loser.created), source=source)
        new.updated, new.history = at, list(winner.history or ())
        new.values = {**loser.values, **winner.values}
        new.merged = (*winner.merged, *loser.merged, winner.id, loser.id)
        for old in (winner, loser):
            self._unindex(old, old.values)
            self._move_links(old, new)
            del store[old.id]
        for old_id in new.merged:
            self._merged[kind.name][old_id] = new.id
        self._keep_emails(new, loser)
        self._store(new)
        self._index(new, new.values)
        moved = len(set(loser.values) - set(winner.values))
        ids = {"primaryObjectId": winner.id, "mergedObjectIds": [loser.id], "newObjectId": new.id}
        self._tell("merge", new, source, **ids, numberOfPropertiesMoved=moved)
        return new

    def _keep_emails(self, new: Record, loser: Record) -> None:
        email = loser.values.get("email")
        if new.kind.name == "contacts" and email and email != new.values.get("email"):
            others = [*new.values.get("hs_additional_emails", "").split(";"), email]
            new.values["hs_additional_emails"] = ";".join(filter(None, others))
            self._unique.setdefault(("contacts", "email"), {})[email] = new.id

    def _move_links(self, old: Record, new: Record) -> None:
        for there, targets in list(old.links.items()):
            for key in list(targets):
                other = self._records[there].get(key)
                labels = targets[key]
                if other is None:
                    continue
                self.links.remove(old, other)
                self.links.add(new, other, labels)

    # -- links -------------------------------------------------------------------------------------

    def link(
        self, one: Record, other: Record, labels: Sequence[Label] = (), *, source: Source = API
    ) -> None:
        """Links two records and tells it from both sides."""
        known = other.id in one.links.get(other.kind.name, {})
        types = self.links.add(one, other, labels)
        if not known:
            self._tell_link(one, other, (any(t.primary for t in types), False), source)

    def unlink(
        self, one: Record, other: Record, labels: Sequence[Label] = (), *, source: Source = API
    ) -> None:
        """Removes labels or the whole link."""
        if self.links.remove(one, other, labels):
            self._tell_link(one, other, (False, True), source)

    def _tell_link(
        self, one: Record, other: Record, flags: tuple[bool, bool], source: Source
    ) -> None:
        for here, there in ((one, other), (other, one)):
            name = f"{here.kind.facts.singular}_TO_{there.kind.facts.singular}".upper()
            self._tell(
                "associationChange",
                here,
                source,
                associationType=name,
                fromObjectId=here.id,
                toObjectId=there.id,
                isPrimaryAssociation=flags[0],
                associationRemoved=flags[1],
            )

    def _tell(self, action: str, record: Record, source: Source, **details: Any) -> None:
        if self.listeners:
            event = Event(action, record, self.clock.ms(), source, details)
            for listener in self.listeners:
                listener(event)
