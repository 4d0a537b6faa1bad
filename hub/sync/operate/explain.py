"""Explains a golden record: each value's origin, the policy on it, and the values that lost.

Reads only the store and contacts no system.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection as Transaction

from hub.errors import UnknownError
from hub.model.policy import FieldPolicy
from hub.model.wanted import wanted
from hub.store.conflicts import conflicts_of
from hub.store.golden import Golden, find_golden, load_golden
from hub.store.history import HistoryRow, past
from hub.store.links import Link, links_by_golden
from hub.sync.context import Channel, Hub
from hub.sync.operate.entries import Entry, unnamed
from hub.sync.record_names import names_by_id, names_of
from mappings.canonical.values import Entity, Scalar
from mappings.kit.files import nearest

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: Maximum number of records listed when a text matches several.
_NAMED = 8


@dataclass(frozen=True, slots=True)
class Lost:
    """A typed value that did not survive."""

    value: Scalar
    #: The connection that showed it, or the person or flow that set it.
    connection: str
    at: datetime
    #: The policy that decided against it.
    why: str


@dataclass(frozen=True, slots=True)
class Value:
    """One golden value."""

    path: str
    value: Scalar
    #: Name of the record that a reference points to.
    title: str | None
    #: The connection, flow or person it comes from.
    origin: str
    at: datetime
    policy: str
    lost: tuple[Lost, ...]


@dataclass(frozen=True, slots=True)
class Gap:
    """A field of a record that is not in sync."""

    path: str
    golden: Scalar
    seen: Scalar
    agreed: Scalar
    shown: Scalar
    #: Number of the open conflict about it.
    conflict: int | None
    #: The next push writes it.
    wanted: bool


@dataclass(frozen=True, slots=True)
class Place:
    """A record of the golden record in a system."""

    connection: str
    stream: str
    key: str
    modified_at: datetime | None
    gone_at: datetime | None
    #: It is a secondary record: read, never written to.
    secondary: bool
    gaps: tuple[Gap, ...]
    #: Why it is in quarantine, if it is.
    waits: str | None
    #: Id of that entry, such as push-3.
    entry: str | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything that is known about one golden record."""

    entity: str
    id: str
    title: str
    created_at: datetime
    changed_at: datetime
    deleted_at: datetime | None
    values: tuple[Value, ...]
    places: tuple[Place, ...]
    #: Connections that lack it -> the reason, from the quarantine entry.
    missing: Mapping[str, str]
    #: Golden id -> name, of the references among all values.
    names: Mapping[str, str] = field(default_factory=dict)


def explain(hub: Hub, entity: str, key: str, field: str | None = None) -> Explanation:
    """Returns where each value comes from, or the values of one field or branch.

    `key` is a golden id, a key in a system, or part of any text value. Raises: UnknownError.
    """
    kind = hub.entities.get(entity)
    if kind is None:
        raise UnknownError(f"there is no entity {entity!r}{nearest(entity, hub.entities)}")
    with hub.store.read() as tx:
        golden = _found(hub, tx, kind, key)
        links = links_by_golden(tx, [golden.id]).get(golden.id, [])
        paths = _paths(kind, golden, links, field)
        conflicts: dict[tuple[int | None, str], int] = {
            (row.link_id, row.path): row.id
            for row in conflicts_of(tx, golden.id)
            if row.closed_at is None
        }
        waits = {one.where: one for one in unnamed(hub, tx) if one.golden_id == golden.id}
        names = names_by_id(hub, tx, _references(kind, golden, links))
        values = _values(hub, tx, golden, paths, names)
        title = names_of(hub, tx, [golden])[golden.id]
        places = [_place(hub, golden, link, paths, conflicts, waits) for link in links]
    present = {link.connection for link in links if link.gone_at is None}
    return Explanation(
        entity=entity,
        id=golden.id,
        title=title,
        created_at=golden.created_at,
        changed_at=golden.changed_at,
        deleted_at=golden.deleted_at,
        values=tuple(values),
        places=tuple(places),
        missing={
            name: f"{one.reason} ({one.id})" for name, one in waits.items() if name not in present
        },
        names=names,
    )


def find(hub: Hub, tx: Transaction, entity: str, key: str) -> Golden:
    """Returns the only golden record that matches. Raises: UnknownError."""
    return _found(hub, tx, hub.entities[entity], key)


def _found(hub: Hub, tx: Transaction, entity: Entity, key: str) -> Golden:
    found = load_golden(tx, find_golden(tx, entity.name, key))
    alive = {id_: one for id_, one in found.items() if one.merged_into is None} or found
    if len(alive) == 1:
        return next(iter(alive.values()))
    if not alive:
        raise UnknownError(
            f"there is no {entity.name} {key!r}; write its id, its key in a system, or part"
            f" of its text; `tulay links list {entity.name}` lists them"
        )
    exact = [
        one
        for one in alive.values()
        if str(one.values.get(entity.title)).casefold() == key.casefold()
    ]
    if len(exact) == 1:
        return exact[0]
    listed = list(alive.values())[:_NAMED]
    names = names_of(hub, tx, listed)
    lines = [f"  {one.id}  {names[one.id]}" for one in listed]
    more = len(alive) - len(lines)
    rest = f"\n  and {more} more" if more > 0 else ""
    raise UnknownError(
        f"{len(alive)} records match {key!r}; write the id of one:\n" + "\n".join(lines) + rest
    )


def _paths(entity: Entity, golden: Golden, links: Sequence[Link], field: str | None) -> list[str]:
    """Returns all paths with a present or former value anywhere, in the order of the entity."""
    states = [link.state for link in links]
    every = {*golden.values, *(p for s in states for p in (*s.seen, *s.agreed, *s.shown))}
    order = list(entity.fields)
    ordered = sorted(every, key=lambda p: (order.index(p) if p in order else len(order), p))
    if field is None:
        return ordered
    chosen = [p for p in ordered if p == field or p.startswith((f"{field}.", f"{field}["))]
    if not chosen and entity.field(field) is None:
        known = {p.partition("[")[0] for p in ordered} | set(entity.fields)
        raise UnknownError(f"{entity.name} has no field {field!r}{nearest(field, known)}")
    return chosen or [field]


def _values(
    hub: Hub, tx: Transaction, golden: Golden, paths: Iterable[str], names: Mapping[str, str]
) -> list[Value]:
    entity, policy = hub.entities[golden.entity], hub.policy(golden.entity)
    lost = _lost(past(tx, golden.id), golden.origin)
    found = []
    for path in paths:
        value = golden.values.get(path)
        if value is None and path not in lost:
            continue
        origin, at = _origin(golden, path)
        words = _words(policy.of(path), stated=entity.states and path == entity.states.path)
        title = names.get(str(value)) if _is_reference(entity, path) else None
        found.append(Value(path, value, title, origin, at, words, tuple(lost.get(path, ()))))
    return found


def _lost(rows: Iterable[HistoryRow], origin: str) -> dict[str, list[Lost]]:
    """Returns {path: values that lost}; `origin` set all values at first."""
    lost: dict[str, list[Lost]] = {}
    holder: dict[str, str] = {}
    before: dict[str, tuple[Any, str]] = {}
    for row in rows:
        path, change = row.path, (row.run, row.old, row.new)
        if row.decision == "taken":
            before[path] = (change, holder.get(path, origin))
            holder[path] = row.connection
            continue
        # If this change was taken, the value of the former holder lost; otherwise the new one.
        taken = before.get(path)
        loser = taken[1] if taken and taken[0] == change else row.connection
        lost.setdefault(path, []).append(Lost(row.old, loser, row.at, row.why))
    return lost


def _origin(golden: Golden, path: str) -> tuple[str, datetime]:
    entry = golden.origins.get(path)
    if entry is None:
        return golden.origin, golden.created_at
    return str(entry[0]), _EPOCH + timedelta(microseconds=entry[1])


def _is_reference(entity: Entity, path: str) -> bool:
    declared = entity.field(path)
    return declared is not None and declared.kind == "reference"


def _references(entity: Entity, golden: Golden, links: Iterable[Link]) -> set[str]:
    """Returns the ids of all records that it refers to, or did in some system."""
    states = [link.state for link in links]
    all_values = [golden.values, *(v for s in states for v in (s.seen, s.agreed, s.shown))]
    return {str(v) for vs in all_values for p, v in vs.items() if v and _is_reference(entity, p)}


def _words(policy: FieldPolicy, *, stated: object) -> str:
    """Returns a policy in the words of tulay.yaml."""
    if policy.owners is not None and not policy.owners:
        setters = "owner: only the hub's flows"
    elif policy.owners is not None:
        setters = f"owner: {', '.join(sorted(policy.owners))}"
    else:
        setters = (
            f"owner: any; on_conflict: {policy.on_conflict};"
            f" on_first_match: {policy.on_first_match}"
        )
    unit = f"; unit: {policy.unit}" if policy.unit else ""
    blank = "; when_blank: write" if policy.when_blank == "write" else ""
    return f"{setters}{unit}{blank}{'; moves forward only' if stated else ''}"


def _gaps(
    hub: Hub,
    channel: Channel,
    golden: Golden,
    link: Link,
    paths: Iterable[str],
    conflicts: Mapping[tuple[int | None, str], int],
) -> list[Gap]:
    numbers = {path: number for (link_id, path), number in conflicts.items() if link_id == link.id}
    writes = wanted(
        golden.values,
        link.state,
        hub.policy(golden.entity),
        writable=channel.mapping.writable,
        conflicts=frozenset(numbers),
    )
    gaps = []
    for path in paths:
        state, value = link.state, golden.values.get(path)
        seen, agreed, shown = state.seen_at(path), state.agreed_at(path), state.shown_at(path)
        if value == agreed == seen == shown or not channel.mapping.mapped(path):
            continue
        gaps.append(Gap(path, value, seen, agreed, shown, numbers.get(path), path in writes))
    return gaps


def _place(
    hub: Hub,
    golden: Golden,
    link: Link,
    paths: Iterable[str],
    conflicts: Mapping[tuple[int | None, str], int],
    waits: Mapping[str, Entry],
) -> Place:
    connection = hub.connections.get(link.connection)
    channel = connection.channels.get(link.stream) if connection else None
    gaps: list[Gap] = []
    if channel is not None and link.gone_at is None:
        gaps = _gaps(hub, channel, golden, link, paths, conflicts)
    return Place(
        connection=link.connection,
        stream=link.stream,
        key=link.key,
        modified_at=link.modified_at,
        gone_at=link.gone_at,
        secondary=not link.is_primary,
        gaps=tuple(gaps),
        waits=held.reason if (held := waits.get(link.connection)) else None,
        entry=held.id if held else None,
    )
