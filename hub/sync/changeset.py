"""Gathers what a page or a derivation changes, and stores it in a few bulk statements.

Decides nothing about values: it knows what a changed golden record entails (history, fingerprints,
references, who else must hear of it, which flows must look again).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection as Transaction

from hub.model.matching import Fingerprint, fingerprints
from hub.model.observe import Change, Clash
from hub.store import dirty, history, outbox, quarantine
from hub.store.conflicts import close_conflicts, open_conflict
from hub.store.fingerprints import change_fingerprints
from hub.store.golden import Golden, add_golden, change_golden
from hub.store.links import Link, add_links, change_links, links_by_key
from hub.store.references import change_references
from hub.sync.context import Hub
from mappings.canonical.values import Entity, Scalar, Values

#: Entities whose changes concern flows.
FLOWING = frozenset(("opportunity", "sales_order", "production_order", "shipment", "invoice"))


@dataclass
class Consequences:
    """Everything one transaction will store."""

    hub: Hub
    run: str
    now: datetime
    #: How many derivations in a row have led here.
    hops: int = 0
    _born: list[Golden] = field(default_factory=list)
    _changed: dict[str, Golden] = field(default_factory=dict)
    _links_new: list[Link] = field(default_factory=list)
    _links_changed: dict[int, Link] = field(default_factory=dict)
    _history: list[dict[str, Any]] = field(default_factory=list)
    _clashes: list[tuple[Link, list[Clash], str | None]] = field(default_factory=list)
    _settled: list[tuple[Link, set[str]]] = field(default_factory=list)
    _prints_gone: list[tuple[int, str]] = field(default_factory=list)
    _prints_new: list[tuple[int, str]] = field(default_factory=list)
    _edges: dict[str, dict[str, str]] = field(default_factory=dict)
    _references: dict[str, dict[str, str]] = field(default_factory=dict)
    _wishes: dict[tuple[str, str, str], None] = field(default_factory=dict)
    _dirty: dict[str, None] = field(default_factory=dict)
    _woken: dict[str, None] = field(default_factory=dict)

    # --- golden records -------------------------------------------------------------------------

    def born(
        self, golden: Golden, prints: list[Fingerprint] | None = None, *, tell: bool = True
    ) -> None:
        """A new golden record; the connections that may have it are told."""
        self._born.append(golden)
        entity = self.hub.entities[golden.entity]
        known = fingerprints(entity, golden.values) if prints is None else prints
        self.recognise(golden, known)
        self._note_edges(entity, golden)
        if golden.entity in FLOWING:
            self._dirty[golden.id] = None
        if tell:
            self._tell(golden, None)

    def set_values(
        self, golden: Golden, values: Mapping[str, Scalar], *, origin: str, at: datetime | None
    ) -> None:
        """Golden values change (None removes); whoever has the record is told."""
        entity = self.hub.entities[golden.entity]
        before = fingerprints(entity, golden.values)
        when = at or self.now
        if golden.entity in FLOWING:
            self._leave_figures(entity, golden, values)
        for path, value in values.items():
            if value is None:
                golden.values.pop(path, None)
            else:
                golden.values[path] = value
            golden.origins[path] = [origin, _microseconds(when), self.run]
        golden.changed_at, golden.run = self.now, self.run
        after = {p.value for p in fingerprints(entity, golden.values)}
        old = {p.value for p in before}
        self._prints_gone += [(value, golden.id) for value in old - after]
        self._prints_new += [(value, golden.id) for value in after - old]
        self._note_edges(entity, golden)
        self.touch(golden)
        self._tell(golden, values)

    def _leave_figures(self, entity: Entity, golden: Golden, values: Mapping[str, Scalar]) -> None:
        """What it belonged to until now must be told that it does not any more."""
        for path in values.keys() & entity.references().keys():
            parent = golden.values.get(path)
            if parent is not None and parent != values[path]:
                self._dirty[str(parent)] = None

    def touch(self, golden: Golden) -> None:
        """The golden record must be stored, its flows run, and what waits for it go on."""
        self._changed[golden.id] = golden
        if golden.entity in FLOWING:
            self._dirty[golden.id] = None
        self._woken[golden.id] = None

    def forget(self, golden: Golden) -> None:
        """Nothing new can be recognised as this golden record any more."""
        known = fingerprints(self.hub.entities[golden.entity], golden.values)
        self._prints_gone += [(p.value, golden.id) for p in known]

    def recognise(self, golden: Golden, prints: list[Fingerprint]) -> None:
        """New records can be recognised as this golden record again."""
        self._prints_new += [(p.value, golden.id) for p in prints]

    def _note_edges(self, entity: Entity, golden: Golden) -> None:
        references = self._references.get(entity.name)
        if references is None:
            references = self._references[entity.name] = entity.references()
        if not references:
            return
        plain = [p for p in references if "[" not in p]
        targets = {p: str(v) for p in plain if (v := golden.values.get(p)) is not None}
        for path, value in golden.values.items():
            if "[" in path and value is not None:
                declared = entity.field(path)
                if declared is not None and declared.entity:
                    targets[path] = str(value)
        self._edges[golden.id] = targets

    def _tell(self, golden: Golden, changed: Mapping[str, Scalar] | None) -> None:
        """Notes a wish for each connection that could show the (changed) values."""
        policy = self.hub.policy(golden.entity)
        for name, connection in self.hub.connections.items():
            if changed is None and (name == golden.origin or name not in policy.create):
                continue
            channel = connection.channel_for(golden.entity, golden.values)
            if channel is None:
                continue
            if (
                changed is None
                or any(channel.mapping.writable(path) for path in changed)
                or (channel.mapping.acts and channel.entity.states)
            ):
                self.wish(name, golden)

    def wish(self, connection: str, golden: Golden) -> None:
        """The golden record is wanted in this connection."""
        self._wishes[(connection, golden.entity, golden.id)] = None

    def unwish(self, connection: str, golden_id: str) -> None:
        """Not through this page: somebody is just about to compute what is wanted there."""
        for wish in [w for w in self._wishes if w[0] == connection and w[2] == golden_id]:
            del self._wishes[wish]

    # --- links ----------------------------------------------------------------------------------

    def linked(self, link: Link) -> None:
        """A new link."""
        self._links_new.append(link)
        if link.golden_id is not None:
            self._woken[link.golden_id] = None

    def link_changed(self, link: Link) -> None:
        """A stored link has changed."""
        if link.id is not None:
            self._links_changed[link.id] = link

    # --- what people will ask about -------------------------------------------------------------

    def history(self, golden_id: str, changes: list[Change], *, connection: str) -> None:
        """What happened to values, and why."""
        self._history += [
            history.history_row(
                golden_id,
                change.path,
                old=change.old,
                new=change.new,
                connection=connection,
                decision=change.decision,
                why=change.why,
                at=self.now,
                run=self.run,
            )
            for change in changes
        ]

    @property
    def remembered(self) -> list[dict[str, Any]]:
        """Rows of history that are not stored yet."""
        return self._history

    def as_changed(self, link: Link) -> Link:
        """Returns a stored link as it will be."""
        return self._links_changed.get(link.id or 0, link)

    def as_decided(self, golden: Golden) -> Golden:
        """Returns a stored golden record as it will be."""
        return self._changed.get(golden.id, golden)

    def clashes(self, link: Link, clashes: list[Clash], reason: str | None = None) -> None:
        """Conflicts that a person must decide; a reason when it is not that both changed."""
        if clashes:
            self._clashes.append((link, clashes, reason))

    def settled(self, link: Link, paths: set[str]) -> None:
        """Conflicts that are over by themselves."""
        if paths:
            self._settled.append((link, paths))

    # --- storing --------------------------------------------------------------------------------

    def store(self, tx: Transaction) -> None:
        """Stores everything, a few statements in all."""
        add_golden(tx, self._born)
        born = {g.id for g in self._born}
        change_golden(tx, [g for g in self._changed.values() if g.id not in born])
        add_links(tx, self._links_new)
        change_links(tx, list(self._links_changed.values()))
        if self._prints_gone or self._prints_new:
            change_fingerprints(tx, gone=self._prints_gone, new=self._prints_new)
        change_references(tx, self._edges)
        history.add(tx, self._history)
        self._store_conflicts(tx)
        if self._wishes:
            outbox.enqueue(tx, self._wishes, now=self.now)
        if self._dirty:
            dirty.mark(tx, self._dirty, now=self.now, hops=self.hops)
        woken = [g for g in self._woken if g not in born]
        if woken:
            outbox.resume_waiting(tx, woken, now=self.now)
            quarantine.resume_waiting(tx, woken, now=self.now)

    def _store_conflicts(self, tx: Transaction) -> None:
        for link, paths in self._settled:
            if link.id is not None:
                close_conflicts(tx, link.id, paths, resolution="agreed", now=self.now)
        for link, clashes, reason in self._clashes:
            if link.id is None:
                stored = links_by_key(tx, link.connection, link.stream, [link.key])
                link.id = stored[link.key].id
            for clash in clashes:
                before = open_conflict(
                    tx,
                    {
                        "golden_id": link.golden_id,
                        "link_id": link.id,
                        "connection": link.connection,
                        "path": clash.path,
                        "base": clash.base,
                        "ours": clash.ours,
                        "theirs": clash.theirs,
                    }
                    | ({} if reason is None else {"reason": reason}),
                    now=self.now,
                )
                if before is not None and before != clash.theirs:
                    self._keep_disputed(tx, link, clash, before=before)

    def _keep_disputed(self, tx: Transaction, link: Link, clash: Clash, *, before: Scalar) -> None:
        """Who types again while his words are in conflict has not taken the first ones back."""
        row = history.history_row(
            str(link.golden_id),
            clash.path,
            old=before,
            new=clash.theirs,
            connection=link.connection,
            decision="superseded",
            why="typed anew over there while in conflict",
            at=self.now,
            run=self.run,
        )
        history.add(tx, [row])


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
