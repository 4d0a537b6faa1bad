"""Checks how a simulation ends: names everything that breaks a promise, for display."""

from __future__ import annotations

import json
import re
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from connectors.kit.errors import ConnectorError
from hub.errors import HubError
from hub.model.policy import EntityPolicy, item_of
from hub.model.wanted import route_actions
from hub.simulation.checks import echoes, forget_writes, made_twice, repeated
from hub.store import audit, quarantine, tables
from hub.store.engine import Store
from hub.store.golden import Golden, load_golden
from hub.store.links import Link, links_by_golden
from hub.store.runs import Tally
from hub.sync.run import Report
from mappings.canonical.values import Scalar
from mappings.kit.errors import MappingError
from tests.scenarios.landscape import Landscape
from tests.scenarios.schedule import Step, shrunk
from tests.scenarios.simulation import World

#: Errors that a defect of the hub may raise.
_BROKEN = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ConnectorError,
    HubError,
    LookupError,
    MappingError,
    RuntimeError,
    SQLAlchemyError,
    TypeError,
    ValueError,
)


def run_schedule(
    store: Store, landscape: Landscape, steps: Sequence[Step], *, kind: type[World] = World
) -> Rehearsal:
    """Runs a schedule on an emptied store and checks how it ends."""
    emptied(store)
    world = kind(landscape, store.engine, kept=kept)
    try:
        for step in steps:
            world.play(step)
        wrong = checked(world)
    except _BROKEN as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        wrong = [f"{type(error).__name__} in {where.name}, line {where.lineno}: {error}"]
    return Rehearsal(world.story, wrong)


def emptied(store: Store) -> None:
    """Deletes everything that is stored."""
    with store.begin() as tx:
        for table in tables.metadata.sorted_tables:
            tx.execute(table.delete())


def explained(
    store: Store, landscape: Landscape, steps: Sequence[Step], *, kind: type[World] = World
) -> str:
    """Returns the shortest failing history it can find, for display."""
    said = _kind(run_schedule(store, landscape, steps, kind=kind))

    def fails(fewer: Sequence[Step]) -> bool:
        return _kind(run_schedule(store, landscape, fewer, kind=kind)) == said

    shortest = shrunk(steps, fails)
    last = run_schedule(store, landscape, shortest, kind=kind)
    lines = [str(spec) for spec in landscape.specs]
    lines += [f"{entity}: {policy}" for entity, policy in landscape.policies.items()]
    return "\n".join([*lines, "", *last.story, "", "WRONG:", *last.wrong])


def _kind(rehearsal: Rehearsal) -> str:
    """Returns what went wrong first, without names and figures: a shorter history must fail
    alike."""
    return re.sub(r"\d+|'[^']*'|: .*", "", rehearsal.wrong[0]) if rehearsal.wrong else ""


@dataclass(frozen=True)
class Rehearsal:
    """The outcome of a schedule: its narration, and what was wrong at its end."""

    story: list[str]
    wrong: list[str]


@dataclass
class Memory:
    """What the hub's store contains at one moment."""

    golden: dict[str, Golden]
    links: list[Link]
    #: link id -> paths with an open conflict
    conflicts: dict[int, set[str]] = field(default_factory=dict)
    disputed: set[Scalar] = field(default_factory=set)
    history: set[Scalar] = field(default_factory=set)
    #: (connection, golden id) -> state and reason of an outbox entry
    entries: dict[tuple[str, str], str] = field(default_factory=dict)
    quarantine_entries: dict[tuple[str, str, str], str] = field(default_factory=dict)
    reviews: set[tuple[str, str, str]] = field(default_factory=set)
    runs: dict[str, int] = field(default_factory=dict)


def remember(world: World) -> Memory:
    """Reads the whole store."""
    with world.colleague.store.read() as tx:
        golden = load_golden(tx, tx.execute(select(tables.golden.c.id)).scalars().all())
        found = Memory(golden, [n for ns in links_by_golden(tx, golden).values() for n in ns])
        for row in tx.execute(select(tables.conflicts)):
            if row.closed_at is None:
                found.conflicts.setdefault(row.link_id, set()).add(row.path)
                found.disputed |= {row.ours, row.theirs}
        for row in tx.execute(select(tables.history)):
            found.history |= {row.old, row.new}
        for row in tx.execute(select(tables.outbox)):
            found.entries[row.connection, row.golden_id] = row.state
        for entry in quarantine.listing(tx):
            if entry.kind == "push":
                found.entries[entry.source, entry.key] = f"{entry.state}: {entry.reason}"
            else:
                found.quarantine_entries[entry.source, entry.stream, entry.key] = (
                    f"{entry.state}: {entry.reason}"
                )
        for row in tx.execute(select(tables.reviews)):
            found.reviews.add((row.connection, row.stream, row.key))
        found.runs = dict(Counter(tx.execute(select(tables.runs.c.state)).scalars()))
    return found


def kept(world: World) -> set[Scalar]:
    """Returns every value that is golden or in the history."""
    with world.colleague.store.read() as tx:
        found: set[Scalar] = set()
        for data in tx.execute(select(tables.golden.c.data)).scalars():
            found.update(data.values())
        for row in tx.execute(select(tables.history.c.old, tables.history.c.new)):
            found |= {row.old, row.new}
    return found


def checked(world: World) -> list[str]:
    """Lets a world without faults settle; returns what is wrong with it then."""
    world.finish()
    wrong: list[str] = []
    for _ in range(2):
        wrong += _unwell(world.rest())
    before = remember(world)
    forget_writes(world.systems)
    last = world.rest()
    wrong += _unwell(last)
    wrong += [f"{name}: needless write: {line}" for name, line in echoes(world.systems)]
    if last.changed:
        wrong.append(f"an idle round reports {last.changed} changed records")
    after = remember(world)
    wrong += [f"changed by an idle round: {line}" for line in _different(before, after)]
    for check in (_apart, _twice, _missing, _lost, _risen, _astray, _invented, _left, _slid_back):
        wrong += check(world, after)
    wrong += _unwritten(world)
    wrong += world.also_wrong()
    wrong += _counts(world.tallies + last.tallies, after)
    return wrong


def _unwell(report: Report) -> Iterator[str]:
    if report.failed:
        yield f"a round fails: {report.failed}"
    if report.paused:
        yield f"a round is paused: {report.paused}"
    if not report.quiet:
        yield f"not settled after {report.rounds} rounds, {report.written} writes"


def _different(before: Memory, after: Memory) -> Iterator[str]:
    for golden_id, golden in after.golden.items():
        old = before.golden.get(golden_id)
        if old is None or (old.values, old.revision) != (golden.values, golden.revision):
            yield f"{golden.entity} {golden.values} was {old and old.values}"
    olds = {link.id: link for link in before.links}
    for link in after.links:
        was = olds.get(link.id)
        if was is None or (was.state, was.gone_at) != (link.state, link.gone_at):
            yield f"{link.connection} {link.stream} {link.key}: {link.state}"


def _excused(world: World, memory: Memory, link: Link, golden: Golden) -> set[str] | None:
    """Returns the paths that wait for a person; None: the whole record does."""
    state = memory.entries.get((link.connection, golden.id), "")
    if state.startswith(("waiting", "held")) or golden.merged_into or golden.deleted_at:
        return None
    if (link.connection, link.stream, link.key) in memory.quarantine_entries:
        return None
    policy = world.landscape.policies[golden.entity]
    paths = memory.conflicts.get(link.id or 0, set())
    units = {policy.unit_of(p) for p in paths} - {None}
    known = world.landscape.entities[golden.entity].fields
    same = {p for p in known if policy.unit_of(p) in units}
    items = tuple(item for p in paths if (item := item_of(p)))
    lines = {p for p in (*golden.values, *link.state.seen) if items and p.startswith(items)}
    return paths | same | lines


def _living(world: World, memory: Memory) -> Iterator[tuple[Link, Golden]]:
    for link in memory.links:
        golden = memory.golden[str(link.golden_id)]
        if link.gone_at is None and link.is_primary:
            yield link, golden


def _apart(world: World, memory: Memory) -> Iterator[str]:
    """Yields records that do not show the golden values in their system's spelling."""
    for link, golden in _living(world, memory):
        excused = _excused(world, memory, link, golden)
        spec, system = world.specs[link.connection], world.systems[link.connection]
        record = system.records(link.stream).get(link.key)
        if record is None:
            yield f"{spec.name} {link.stream} {link.key} is gone, but not for the hub"
        elif excused is not None:
            mapping = world.mapping(spec.name, link.stream)
            shows = mapping.read(record)
            policy = world.landscape.policies[golden.entity]
            items = {p for p in golden.values if "[" in p and mapping.mapped(p)}
            for path in (shows.keys() | items) - excused - {"company"}:
                ours, there = golden.values.get(path), shows.get(path)
                if there != spec.writes_down(path, ours) and not (
                    _blank(policy, path, ours) or _cannot_follow(mapping, path, there, ours)
                ):
                    yield (
                        f"{spec.name} {link.stream} {link.key} shows {path} = {there!r}"
                        f" where it should be {ours!r}"
                    )


def _cannot_follow(mapping: Any, path: str, there: Scalar, ours: Scalar) -> bool:
    """Returns True if no action leads from the record's state to this one."""
    states = mapping.entity.states
    return (
        states is not None
        and path == states.path
        and not route_actions(states, there, ours, mapping.actions)
    )


def _blank(policy: EntityPolicy, path: str, ours: Scalar) -> bool:
    return ours is None and policy.of(path).when_blank == "keep"


def _twice(world: World, memory: Memory) -> Iterator[str]:
    """Yields records that were created twice."""
    # One that a user deleted before its create was confirmed may be created again.
    yield from map(str, made_twice(world.systems, world.landscape.streams))
    for stream, entity in world.landscape.streams.items():
        raced = _raced(world, stream)
        for name, system in world.systems.items():
            codes = repeated(record["code"] for record in system.records(stream).values())
            yield from (
                f"{name}.{stream}: {n} times {c}"
                for c, n in codes.items()
                if c not in raced | world.merged
            )
        subjects = repeated(
            code_of(golden)
            for golden in memory.golden.values()
            if golden.merged_into is None and golden.entity == entity.name
        )
        yield from (
            f"{code} has become two entities" for code in sorted({*map(str, subjects)} - raced)
        )


def _raced(world: World, stream: str) -> set[str]:
    """Codes that a user gave in a system at the moment when the hub created them there."""
    raced = set()
    for name, system in world.systems.items():
        rows = system.tables.rows("WHERE stream = ?", stream)
        ours, theirs = (
            {
                json.loads(row.payload)["code"]
                for row in rows
                if ((name, stream, row.key) in world.created_by_users) == people
            }
            for people in (False, True)
        )
        raced |= ours & theirs & world.shared
    return raced


def code_of(golden: Golden) -> Scalar:
    """Returns what identifies a subject in all systems."""
    return golden.values.get("code") or golden.values.get("number")


def _missing(world: World, memory: Memory) -> Iterator[str]:
    """Yields subjects that no user deleted or merged and that a system lacks or has twice."""
    waiting = {code_of(memory.golden[g]) for (_, g) in memory.entries}
    for stream in world.landscape.streams:
        there = {
            name: {r["code"] for r in system.records(stream).values()}
            for name, system in world.systems.items()
        }
        for code in sorted(set().union(*there.values()) - world.meddled - waiting):
            for name, codes in there.items():
                if code not in codes:
                    yield f"{code} is not in {name}.{stream}"


def _unwritten(world: World) -> Iterator[str]:
    """Yields live entities of a stream without a primary record."""
    with world.colleague.store.read() as tx:
        for connection, stream, key in audit.unwritten(tx):
            yield f"{connection} {stream} {key} is live, but has no primary record"


def _lost(world: World, memory: Memory) -> Iterator[str]:
    """Yields typed values that are neither golden nor in the history nor in a conflict."""
    known: set[Scalar] = memory.history | memory.disputed
    for golden in memory.golden.values():
        known.update(golden.values.values())
    for field_ref, value in world.typed.items():
        if value in known:
            continue
        if (
            field_ref.system,
            field_ref.stream,
            field_ref.key,
        ) in memory.quarantine_entries.keys() | memory.reviews:
            continue
        where = f"{field_ref.system} {field_ref.stream} {field_ref.key} {field_ref.path}"
        yield f"typed in {where}, and lost: {value!r}"


def _risen(world: World, memory: Memory) -> Iterator[str]:
    """Yields deleted records that came back."""
    for link in memory.links:
        if (link.connection, link.stream, link.key) in world.deleted and link.gone_at is None:
            yield f"{link.connection} {link.stream} {link.key} was deleted, but not for the hub"
    for name, stream, key in world.deleted:
        link = next(
            (n for n in memory.links if (n.connection, n.stream, n.key) == (name, stream, key)),
            None,
        )
        if link is None:
            continue
        golden = memory.golden[str(link.golden_id)]
        if code_of(golden) in world.merged | _raced(world, stream):
            continue  # others remain as the same subject
        rows = world.systems[name].tables.rows("WHERE stream = ? AND once = ?", stream, golden.id)
        if any(row.key != key and row.fate == "live" for row in rows):
            yield f"{name} {stream} {key} was deleted, and created again"


def _astray(world: World, memory: Memory) -> Iterator[str]:
    """Yields references to wrong records."""
    holders = {(n.connection, n.stream, n.key): n.golden_id for n in memory.links}
    written = (n for n in memory.links if n.gone_at is None and n.is_primary)
    alive = {(n.connection, n.golden_id) for n in written}
    for link, golden in _living(world, memory):
        excused = _excused(world, memory, link, golden)
        if link.stream == "companies" or excused is None or "company" in excused:
            continue
        record = world.systems[link.connection].records(link.stream).get(link.key, {})
        there = holders.get((link.connection, "companies", str(record.get("company"))))
        parent = golden.values.get("company")
        if parent is not None and memory.golden[str(parent)].merged_into:
            yield f"golden {golden.entity} refers to a merged record"
        if parent is not None and (
            (link.connection, parent) not in alive or memory.golden[str(parent)].deleted_at
        ):
            continue  # a deleted record cannot be referred to
        if there != parent:
            yield f"{link.connection} {link.stream} {link.key} points to the wrong company"


def _invented(world: World, memory: Memory) -> Iterator[str]:
    """Yields values, golden or in conflict, that no user has typed."""
    # Where no hub id is kept, the hub cannot tell which of two equal records is ours.
    nameless = any(spec.facts.once is None for spec in world.specs.values())
    copied = {c for s in world.landscape.streams for c in _raced(world, s)} if nameless else set()
    for golden in memory.golden.values():
        for path, value in golden.values.items():
            if code_of(golden) in copied:
                continue
            if value is None:
                continue  # a person has decided that it is blank
            if path not in world.untyped and value not in world.said:
                yield f"golden {golden.entity} {path} = {value!r}, which no user typed"
    # The other parts of a unit in conflict show that system's spelling.
    shown = {
        spec.writes_down(path, said)
        for spec in world.specs.values()
        for path in spec.ways
        for said in world.said
        if path != "price" or "-" not in said
    }
    for value in memory.disputed - shown - {None}:
        if value not in world.said and "-" in str(value):
            yield f"a conflict about {value!r}, which no user typed"


def _left(world: World, memory: Memory) -> Iterator[str]:
    """Yields leftover work, except what waits for a parent that cannot arrive."""
    for (name, golden_id), state in memory.entries.items():
        golden = memory.golden[golden_id]
        parent = str(golden.values.get("company"))
        reachable = any(
            n.golden_id == parent and n.connection == name and n.gone_at is None
            for n in memory.links
        )
        if not state.startswith("waiting") or reachable:
            yield f"left over: {code_of(golden)} for {name}: {state}"
    for (name, stream, key), state in memory.quarantine_entries.items():
        yield f"a quarantine entry about {name} {stream} {key}: {state}"


def _slid_back(world: World, _memory: Memory) -> Iterator[str]:
    """Yields states that moved backwards."""
    with world.colleague.store.read() as tx:
        for entity in world.landscape.entities.values():
            states = entity.states
            if states is None:
                continue
            taken = select(tables.history).where(
                tables.history.c.path == states.path, tables.history.c.decision == "taken"
            )
            for row in tx.execute(taken):
                old, new = str(row.old), str(row.new)
                if row.old is None or row.new is None or row.old == row.new:
                    continue
                if states.route(old, new) is None and states.route(new, old) is not None:
                    yield f"{entity.name}: the state went back from {old} to {new}"


def _counts(tallies: list[Tally], memory: Memory) -> Iterator[str]:
    for tally in tallies:
        if not tally.adds_up:
            yield f"the counts of a run do not add up: {tally}"
    if memory.runs.get("inconsistent"):
        yield f"inconsistent runs: {memory.runs}"
