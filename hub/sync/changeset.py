"""The only way in which ingesting, merging and deciding change the store.

A ChangeSet collects the changes of a page or a decision and stores them at once; see storing.py. It
makes no decisions about values, but knows the consequences of a changed golden record: history,
fingerprints, references, outbox entries for other connections, flows to repeat.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection as Transaction

from hub.flows.registry import is_trigger
from hub.model.matching import Fingerprint, fingerprints
from hub.model.observe import Change, FieldConflict
from hub.store.golden import Golden, load_golden
from hub.store.history import HistoryRow
from hub.store.inbox import InboxEntry
from hub.store.links import Link
from hub.store.quarantine import Problem
from hub.store.references import referring
from hub.store.reviews import Question, Review
from hub.sync.context import Hub
from hub.sync.storing import Effects, RecordId, StreamId, store_effects
from mappings.canonical.values import Entity, Scalar, Values


class ChangeSet:
    """Collects the changes of one transaction; `store` writes them and empties the set."""

    def __init__(self, hub: Hub, run: str, now: datetime, hops: int = 0) -> None:
        self.hub, self.run, self.now, self.hops = hub, run, now, hops
        self._effects = Effects(run, now, hops)
        #: Golden id -> connections in which its children can refer to it from now on.
        self._children: dict[str, dict[str, None]] = {}
        #: Entity -> paths that refer to another golden record; a cache, needed for every record.
        self._referring: dict[str, Mapping[str, str]] = {}

    # --- golden records -------------------------------------------------------------------------

    def born(
        self, golden: Golden, prints: list[Fingerprint] | None = None, *, tell: bool = True
    ) -> None:
        """Adds a golden record and enqueues it for the connections that may create it."""
        self._effects.golden_new.append(golden)
        self.recognise(golden, prints)
        self._note_references(self.hub.entities[golden.entity], golden)
        if is_trigger(golden.entity):
            self._effects.dirty[golden.id] = None
        if tell:
            for name in _interested(self.hub, golden, None):
                self.enqueue(name, golden)

    def set_values(
        self, golden: Golden, values: Mapping[str, Scalar], *, origin: str, at: datetime | None
    ) -> None:
        """Changes golden values (None removes) and enqueues the record where they are mapped."""
        entity = self.hub.entities[golden.entity]
        old = {p.value for p in fingerprints(entity, golden.values)}
        if is_trigger(golden.entity):
            self._effects.dirty |= _parents_left(entity, golden, values)
        for path, value in values.items():
            if value is None:
                golden.values.pop(path, None)
            else:
                golden.values[path] = value
            golden.origins[path] = [origin, _microseconds(at or self.now), self.run]
        golden.changed_at, golden.run = self.now, self.run
        after = {p.value for p in fingerprints(entity, golden.values)}
        self._effects.prints_gone += [(value, golden.id) for value in old - after]
        self._effects.prints_new += [(value, golden.id) for value in after - old]
        self._note_references(entity, golden)
        self.touch(golden)
        for name in _interested(self.hub, golden, values):
            self.enqueue(name, golden)

    def touch(self, golden: Golden) -> None:
        """Stores the golden record, repeats its flows and resumes what waits for it."""
        self._effects.golden_changed[golden.id] = golden
        if is_trigger(golden.entity):
            self._effects.dirty[golden.id] = None
        self.resume(golden.id)

    def forget(self, golden: Golden) -> None:
        """New records can no longer be recognised as this golden record."""
        known = fingerprints(self.hub.entities[golden.entity], golden.values)
        self._effects.prints_gone += [(p.value, golden.id) for p in known]

    def recognise(self, golden: Golden, prints: Iterable[Fingerprint] | None = None) -> None:
        """New records can be recognised as this golden record."""
        entity = self.hub.entities[golden.entity]
        known = fingerprints(entity, golden.values) if prints is None else prints
        self._effects.prints_new += [(p.value, golden.id) for p in known]

    def _note_references(self, entity: Entity, golden: Golden) -> None:
        if entity.name not in self._referring:
            self._referring[entity.name] = entity.references()
        if declared := self._referring[entity.name]:
            self._effects.references[golden.id] = _references(entity, golden, declared)

    # --- the outbox -----------------------------------------------------------------------------

    def enqueue(self, connection: str, golden: Golden) -> None:
        """Adds an outbox entry: the golden record is wanted in this connection."""
        self._effects.entries[(connection, golden.entity, golden.id)] = None

    def enqueue_everywhere(self, golden: Golden, *, but: str | None = None) -> None:
        """Enqueues the golden record in every connection with its entity, except `but`."""
        for name, connection in self.hub.connections.items():
            if name != but and connection.has(golden.entity):
                self.enqueue(name, golden)

    def enqueue_children(self, golden_id: str, connections: Iterable[str]) -> None:
        """Enqueues what refers to a record that exists (again) in these connections."""
        known = [name for name in connections if name in self.hub.connections]
        if known:
            self._children.setdefault(golden_id, {}).update(dict.fromkeys(known))

    def cancel(self, connection: str, golden: Golden) -> None:
        """Drops an outbox entry of this set: its write is about to be computed anyway."""
        self._effects.entries.pop((connection, golden.entity, golden.id), None)

    def confirm(self, connection: str, golden_ids: Iterable[str]) -> None:
        """Confirms updates in doubt: these records have been seen since."""
        self._effects.confirmed.setdefault(connection, []).extend(golden_ids)

    # --- links ----------------------------------------------------------------------------------

    def linked(self, link: Link) -> None:
        """Adds a link."""
        self._effects.links_new.append(link)
        if link.golden_id is not None:
            self.resume(link.golden_id)

    def link_changed(self, link: Link) -> None:
        """Updates a stored link."""
        if link.id is not None:
            self._effects.links_changed[link.id] = link

    def vacate(self, stream: StreamId, golden_id: str) -> None:
        """The link of a deleted record gives up its golden record to a new link."""
        self._effects.vacated.setdefault(stream, []).append(golden_id)

    # --- inbox, quarantine and reviews ----------------------------------------------------------

    def notify(self, notification: InboxEntry) -> None:
        """Adds a notification from the hub to itself: see `request_refetch`."""
        self._effects.notifications.append(notification)

    def quarantine(self, problem: Problem, *, wait: timedelta = timedelta(0)) -> None:
        """Quarantines a record or a derivation; a waiting one is due again after `wait`."""
        about = (problem.kind, problem.source, problem.stream, problem.key)
        self._effects.quarantined[about] = (problem, wait)

    def review(self, record: RecordId, **about: Any) -> None:
        """Opens an identity review of this record; `about` are the fields of a Question."""
        self._effects.reviews.append(Question(*record, **about))

    def identified(self, stream: StreamId, key: str) -> None:
        """The identity of this record is known, though it may stay in quarantine."""
        self._effects.identified.setdefault(stream, []).append(key)

    def resolve(self, stream: StreamId, keys: Iterable[str]) -> None:
        """Ends the quarantine and the reviews of these records."""
        self._effects.resolved.setdefault(stream, {}).update(dict.fromkeys(keys))

    def decided(self, review: Review, decision: str) -> None:
        """Stores a person's answer to a review, and refetches the record."""
        self._effects.decisions[review.id] = decision
        event = f"review:{review.id}:{self.hub.fresh_id()}"
        self.notify(InboxEntry(review.connection, review.stream, review.key, event))
        self._effects.resumed |= dict.fromkeys(review.candidates)

    def unblock(self, flow: str, entity: str, golden_ids: Iterable[str]) -> None:
        """Ends the quarantine of a flow for these golden records."""
        self._effects.unblocked.setdefault((flow, entity), []).extend(golden_ids)

    def derived(self, marks: Mapping[str, float]) -> None:
        """Clears these dirty marks, unless the golden records were marked again since."""
        self._effects.derived |= marks

    def resume(self, waited_for: str) -> None:
        """What waits for this golden id, or derived id, becomes due."""
        self._effects.resumed[waited_for] = None

    # --- history and conflicts ------------------------------------------------------------------

    def history(self, golden_id: str, changes: Iterable[Change], *, connection: str) -> None:
        """Records what happened to values, and why."""
        about = {"connection": connection, "at": self.now, "run": self.run}
        self._effects.history += [_history_row(golden_id, change, **about) for change in changes]

    def conflicts_found(
        self, link: Link, found: Iterable[FieldConflict], reason: str | None = None
    ) -> None:
        """Opens conflicts; `reason` is given if it is not that both sides changed."""
        self._effects.conflicts += [(link, one, reason) for one in found]

    def settled(self, link: Link, paths: set[str], *, resolution: str = "agreed") -> None:
        """Closes conflicts, by default because they have settled."""
        if paths and link.id is not None:
            of_links = self._effects.settled.setdefault(resolution, {})
            of_links.setdefault(link.id, set()).update(paths)

    # --- what is collected, and storing it ------------------------------------------------------

    @property
    def effects(self) -> Effects:
        """Rows of history that are not stored yet."""
        return self._effects

    def current_link(self, link: Link) -> Link:
        """Returns a stored link in its pending state."""
        return self._effects.links_changed.get(link.id or 0, link)

    def current_golden(self, golden: Golden) -> Golden:
        """Returns a stored golden record in its pending state."""
        return self._effects.golden_changed.get(golden.id, golden)

    def store(self, tx: Transaction) -> None:
        """Stores everything collected, in a fixed number of statements."""
        parents, self._children = self._children, {}
        for name, child in _children(tx, self.hub, parents):
            self.enqueue(name, child)
        effects, self._effects = self._effects, Effects(self.run, self.now, self.hops)
        store_effects(tx, effects)


def _children(
    tx: Transaction, hub: Hub, parents: Mapping[str, Iterable[str]]
) -> Iterator[tuple[str, Golden]]:
    """Yields (connection, golden record) of everything that refers to these parents."""
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
    """Returns {path: golden id} of everything a golden record refers to."""
    targets = {p: str(v) for p in declared if (v := golden.values.get(p)) is not None}
    for path, value in golden.values.items():
        if "[" in path and value is not None:
            item = entity.field(path)
            if item is not None and item.entity:
                targets[path] = str(value)
    return targets


def _parents_left(entity: Entity, golden: Golden, values: Mapping[str, Scalar]) -> dict[str, None]:
    """Returns the golden records it referred to until now, whose flows must be repeated."""
    return {
        str(parent): None
        for path in values.keys() & entity.references().keys()
        if (parent := golden.values.get(path)) is not None and parent != values[path]
    }


def _interested(hub: Hub, golden: Golden, changed: Mapping[str, Scalar] | None) -> list[str]:
    """Returns the connections that map the changed values (None: that may create the record)."""
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
