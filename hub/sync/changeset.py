"""The one door through which ingesting, merging and deciding change the store.

A ChangeSet collects what a page or a decision changes, and stores it once; see storing.py. It
decides nothing about values: it knows what a changed golden record entails (history, fingerprints,
references, who else must hear of it, which flows must look again).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection as Transaction

from hub.flows.registry import is_trigger
from hub.model.matching import Fingerprint, fingerprints
from hub.model.observe import Change, FieldConflict
from hub.store.golden import Golden, load_golden
from hub.store.history import HistoryRow
from hub.store.inbox import InboxEntry
from hub.store.links import Link
from hub.store.quarantine import Cause, Problem
from hub.store.references import referring
from hub.store.reviews import Question
from hub.sync.context import Hub
from hub.sync.storing import Effects, RecordId, StreamId, store_effects
from mappings.canonical.values import Entity, Scalar, Values


class ChangeSet:
    """Collects what one transaction changes; `store` writes it and begins with nothing again."""

    def __init__(self, hub: Hub, run: str, now: datetime, hops: int = 0) -> None:
        self.hub, self.run, self.now, self.hops = hub, run, now, hops
        self._effects = Effects(run, now, hops)
        #: Golden id -> connections in which its children can say now that they refer to it.
        self._children: dict[str, dict[str, None]] = {}
        #: Entity -> paths that refer to another golden record: asked for with every record.
        self._referring: dict[str, Mapping[str, str]] = {}

    # --- golden records -------------------------------------------------------------------------

    def born(
        self, golden: Golden, prints: list[Fingerprint] | None = None, *, tell: bool = True
    ) -> None:
        """A new golden record; the connections that may have it are told."""
        self._effects.golden_new.append(golden)
        entity = self.hub.entities[golden.entity]
        known = fingerprints(entity, golden.values) if prints is None else prints
        self.recognise(golden, known)
        self._note_references(entity, golden)
        if is_trigger(golden.entity):
            self._effects.dirty[golden.id] = None
        if tell:
            for name in _interested(self.hub, golden, None):
                self.enqueue(name, golden)

    def set_values(
        self, golden: Golden, values: Mapping[str, Scalar], *, origin: str, at: datetime | None
    ) -> None:
        """Golden values change (None removes); whoever has the record is told."""
        entity = self.hub.entities[golden.entity]
        old = {p.value for p in fingerprints(entity, golden.values)}
        when = at or self.now
        if is_trigger(golden.entity):
            self._effects.dirty |= _parents_left(entity, golden, values)
        for path, value in values.items():
            if value is None:
                golden.values.pop(path, None)
            else:
                golden.values[path] = value
            golden.origins[path] = [origin, _microseconds(when), self.run]
        golden.changed_at, golden.run = self.now, self.run
        after = {p.value for p in fingerprints(entity, golden.values)}
        self._effects.prints_gone += [(value, golden.id) for value in old - after]
        self._effects.prints_new += [(value, golden.id) for value in after - old]
        self._note_references(entity, golden)
        self.touch(golden)
        for name in _interested(self.hub, golden, values):
            self.enqueue(name, golden)

    def touch(self, golden: Golden) -> None:
        """The golden record must be stored, its flows run, and what waits for it go on."""
        self._effects.golden_changed[golden.id] = golden
        if is_trigger(golden.entity):
            self._effects.dirty[golden.id] = None
        self.resume(golden.id)

    def forget(self, golden: Golden) -> None:
        """Nothing new can be recognised as this golden record any more."""
        known = fingerprints(self.hub.entities[golden.entity], golden.values)
        self._effects.prints_gone += [(p.value, golden.id) for p in known]

    def recognise(self, golden: Golden, prints: Iterable[Fingerprint]) -> None:
        """New records can be recognised as this golden record again."""
        self._effects.prints_new += [(p.value, golden.id) for p in prints]

    def _note_references(self, entity: Entity, golden: Golden) -> None:
        declared = self._referring.get(entity.name)
        if declared is None:
            declared = self._referring[entity.name] = entity.references()
        if declared:
            self._effects.references[golden.id] = _references(entity, golden, declared)

    # --- the outbox -----------------------------------------------------------------------------

    def enqueue(self, connection: str, golden: Golden) -> None:
        """The golden record is wanted in this connection."""
        self._effects.entries[(connection, golden.entity, golden.id)] = None

    def enqueue_everywhere(self, golden: Golden, *, but: str | None = None) -> None:
        """The golden record is wanted wherever its entity is, but for one connection."""
        for name, connection in self.hub.connections.items():
            if name != but and connection.has(golden.entity):
                self.enqueue(name, golden)

    def enqueue_children(self, golden_id: str, connections: Iterable[str]) -> None:
        """What refers to a record that is there (again) can say so in these connections now."""
        known = [name for name in connections if name in self.hub.connections]
        if known:
            self._children.setdefault(golden_id, {}).update(dict.fromkeys(known))

    def cancel(self, connection: str, golden: Golden) -> None:
        """Not through this page: somebody is just about to compute what is wanted there."""
        self._effects.entries.pop((connection, golden.entity, golden.id), None)

    def confirm(self, connection: str, golden_ids: Iterable[str]) -> None:
        """Updates of these records whose answer was lost: they were seen since."""
        self._effects.confirmed.setdefault(connection, []).extend(golden_ids)

    # --- links ----------------------------------------------------------------------------------

    def linked(self, link: Link) -> None:
        """A new link."""
        self._effects.links_new.append(link)
        if link.golden_id is not None:
            self.resume(link.golden_id)

    def link_changed(self, link: Link) -> None:
        """A stored link has changed."""
        if link.id is not None:
            self._effects.links_changed[link.id] = link

    def vacate(self, stream: StreamId, golden_id: str) -> None:
        """A record that is gone makes way for a new link to its golden record, which follows."""
        self._effects.vacated.setdefault(stream, []).append(golden_id)

    # --- inbox, quarantine and reviews ----------------------------------------------------------

    def notify(self, notification: InboxEntry) -> None:
        """The hub asks itself to look at a record: see `request_refetch`."""
        self._effects.notifications.append(notification)

    def quarantine(
        self,
        record: RecordId,
        reason: str,
        *,
        cause: Cause,
        state: str = "held",
        error: str | None = None,
        waits_for: str | None = None,
        prints: Iterable[int] = (),
    ) -> None:
        """A record cannot be taken in now; `prints` are how it could be recognised."""
        self._effects.quarantined[record] = Problem(
            "pull", *record, state, cause, reason, error, waits_for, prints=tuple(prints)
        )

    def review(self, record: RecordId, **about: Any) -> None:
        """A person must decide who this record is; `about` are the fields of a Question."""
        self._effects.reviews.append(Question(*record, **about))

    def identified(self, stream: StreamId, key: str) -> None:
        """Who this record is is known, though it may stay in quarantine."""
        self._effects.identified.setdefault(stream, []).append(key)

    def resolve(self, stream: StreamId, keys: Iterable[str]) -> None:
        """These records are neither quarantined nor under review any more."""
        self._effects.resolved.setdefault(stream, {}).update(dict.fromkeys(keys))

    def resume(self, waited_for: str) -> None:
        """What has been waiting for this golden id, or derived id, is due."""
        self._effects.resumed[waited_for] = None

    # --- what people will ask about -------------------------------------------------------------

    def history(self, golden_id: str, changes: Iterable[Change], *, connection: str) -> None:
        """What happened to values, and why."""
        about = {"connection": connection, "at": self.now, "run": self.run}
        self._effects.history += [_history_row(golden_id, change, **about) for change in changes]

    def conflicts_found(
        self, link: Link, found: Iterable[FieldConflict], reason: str | None = None
    ) -> None:
        """Conflicts that a person must decide; a reason when it is not that both changed."""
        self._effects.conflicts += [(link, one, reason) for one in found]

    def settled(self, link: Link, paths: set[str]) -> None:
        """Conflicts that are over by themselves."""
        if paths and link.id is not None:
            self._effects.settled.setdefault(link.id, set()).update(paths)

    # --- what is collected, and storing ---------------------------------------------------------

    @property
    def history_rows(self) -> list[HistoryRow]:
        """Rows of history that are not stored yet."""
        return self._effects.history

    def current_link(self, link: Link) -> Link:
        """Returns a stored link as it will be."""
        return self._effects.links_changed.get(link.id or 0, link)

    def current_golden(self, golden: Golden) -> Golden:
        """Returns a stored golden record as it will be."""
        return self._effects.golden_changed.get(golden.id, golden)

    def store(self, tx: Transaction) -> None:
        """Stores everything that was collected, a fixed number of statements in all."""
        parents, self._children = self._children, {}
        for name, child in _children(tx, self.hub, parents):
            self.enqueue(name, child)
        effects, self._effects = self._effects, Effects(self.run, self.now, self.hops)
        store_effects(tx, effects)


def _children(
    tx: Transaction, hub: Hub, parents: Mapping[str, Iterable[str]]
) -> Iterator[tuple[str, Golden]]:
    """Yields connection and golden record of what refers to these: {golden id: connections}."""
    if not parents:
        return
    found = referring(tx, parents)
    golden = load_golden(tx, {child for ids in found.values() for child in ids})
    for parent, connections in parents.items():
        for child in (golden[one] for one in found.get(parent, ()) if one in golden):
            for name in connections:
                if hub.connections[name].has(child.entity):
                    yield name, child


def _history_row(golden_id: str, change: Change, **about: Any) -> HistoryRow:
    return HistoryRow(
        golden_id,
        change.path,
        old=change.old,
        new=change.new,
        decision=change.decision,
        why=change.why,
        **about,
    )


def _references(entity: Entity, golden: Golden, declared: Iterable[str]) -> dict[str, str]:
    """Returns path -> golden id of everything that a golden record refers to."""
    targets = {p: str(v) for p in declared if (v := golden.values.get(p)) is not None}
    for path, value in golden.values.items():
        if "[" in path and value is not None:
            item = entity.field(path)
            if item is not None and item.entity:
                targets[path] = str(value)
    return targets


def _parents_left(entity: Entity, golden: Golden, values: Mapping[str, Scalar]) -> dict[str, None]:
    """Returns what it belonged to until now, which must be told that it does not any more."""
    return {
        str(parent): None
        for path in values.keys() & entity.references().keys()
        if (parent := golden.values.get(path)) is not None and parent != values[path]
    }


def _interested(hub: Hub, golden: Golden, changed: Mapping[str, Scalar] | None) -> list[str]:
    """Returns the connections that could show the changed values (None: that may have all)."""
    policy, found = hub.policy(golden.entity), []
    for name, connection in hub.connections.items():
        if changed is None and (name == golden.origin or name not in policy.create):
            continue
        channel = connection.channel_for(golden.entity, golden.values)
        if channel is None:
            continue
        if (
            changed is None
            or any(channel.mapping.writable(path) for path in changed)
            or (channel.mapping.actions and channel.entity.states)
        ):
            found.append(name)
    return found


def new_golden(
    hub: Hub, entity: str, values: Values, *, origin: str, run: str, now: datetime
) -> Golden:
    """Returns a golden record that is not stored yet."""
    return Golden(
        id=hub.fresh_id(),
        entity=entity,
        values={p: v for p, v in values.items() if v is not None},
        origin=origin,
        origins={},
        created_at=now,
        changed_at=now,
        run=run,
    )


def changed_at(golden: Golden, path: str) -> datetime:
    """Returns when a golden value was last changed."""
    entry = golden.origins.get(path)
    if entry is None:
        return golden.created_at
    return datetime.fromtimestamp(entry[1] / 1_000_000, tz=UTC)


def _microseconds(when: datetime) -> int:
    return round(when.timestamp() * 1_000_000)
