"""Whole hubs in miniature: users type, systems rewrite values, answers get lost, processes die.

Every schedule is drawn from one number, which a failure reports. TULAY_LONG=1 runs many more.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from hub.model.observe import Baseline, Change, FieldConflict, RecordContext, observe
from hub.model.policy import EntityPolicy, FieldPolicy
from hub.model.state import LinkState
from hub.model.wanted import agree, settle, wanted
from mappings.canonical.values import Scalar, Values

SCHEDULES = 20_000 if os.environ.get("TULAY_LONG") else 700
PLAIN = ("name", "price", "address.street", "address.city")
ITEMS = ("lines[A].", "lines[B].")
FIELDS = ("quantity", "price")
#: How systems change the values they are given.
HABITS: dict[str, Callable[[str], str]] = {
    "as is": lambda text: text,
    "upper case": str.upper,
    "truncated": lambda text: text[:5],
    "rounded": lambda text: text.partition(".")[0],
    "without dashes": lambda text: text.replace("-", ""),
}


class LostAnswerError(Exception):
    """It is unknown whether the write has happened."""


class StaleError(Exception):
    """The record has changed since the writer read it."""


class KilledError(Exception):
    """The process died here."""


@dataclass(frozen=True)
class Sheet:
    """What a system shows of one record at one moment."""

    key: str
    values: Values = field(repr=False)
    version: int
    at: datetime
    once: str | None


class ClockNow:
    """A clock that advances with every reading."""

    def __init__(self) -> None:
        self.at = datetime(2026, 1, 1, tzinfo=UTC)

    def tick(self) -> datetime:
        self.at += timedelta(seconds=1)
        return self.at


class System:
    """A system with versions, its own spelling and a field for the external id."""

    def __init__(self, name: str, habit: str, clock: ClockNow) -> None:
        self.name, self.clock = name, clock
        self.habit = HABITS[habit]
        self.sheets: dict[str, Sheet] = {}
        self.writes = 0

    def _store(self, old: Sheet | None, changes: Mapping[str, Scalar], once: str | None) -> Sheet:
        key = old.key if old else f"{self.name}{len(self.sheets) + 1}"
        values = dict(old.values) if old else dict.fromkeys(PLAIN)
        for path, value in changes.items():
            values[path] = None if value is None else self.habit(str(value))
        for item in ITEMS:
            mine = [p for p in values if p.startswith(item)]
            filled = [p for p in mine if values[p] is not None]
            assert len(filled) in (0, len(FIELDS)), f"half a line: {item} {filled}"
            if not filled:
                for path in mine:
                    del values[path]
        version = old.version + 1 if old else 1
        self.sheets[key] = Sheet(key, values, version, self.clock.tick(), once)
        return self.sheets[key]

    def type(self, key: str | None, changes: Mapping[str, Scalar]) -> Sheet:
        old = self.sheets[key] if key else None
        return self._store(old, changes, old.once if old else None)

    def create(self, values: Mapping[str, Scalar], once: str) -> Sheet:
        self.writes += 1
        return self._store(None, values, once)

    def update(self, key: str, values: Mapping[str, Scalar], expected: int) -> Sheet:
        old = self.sheets[key]
        if old.version != expected:
            raise StaleError
        self.writes += 1
        return self._store(old, values, old.once)

    def find(self, external_ids: str) -> Sheet | None:
        return next((s for s in self.sheets.values() if s.once == external_ids), None)


@dataclass
class Link:
    golden: str
    state: LinkState
    version: int
    at: datetime


class Chance:
    """Faults and choices of one schedule; all faults stop when users do."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.faults = True

    def strikes(self, share: float) -> bool:
        return self.faults and self.random.random() < share


class Hub:
    """The shells around the pure core, as short as possible."""

    def __init__(self, systems: list[System], policy: EntityPolicy, chance: Chance) -> None:
        self.systems, self.policy, self.chance = systems, policy, chance
        self.golden: dict[str, Values] = {}
        self.changed_at: dict[tuple[str, str], datetime] = {}
        self.links: dict[tuple[str, str], Link] = {}
        self.intents: set[tuple[str, str]] = set()
        self.conflicts: dict[tuple[str, str], dict[str, FieldConflict]] = {}
        self.changes: list[Change] = []
        self.conflicts_found: list[FieldConflict] = []
        self.meddle: Callable[[], None] = lambda: None

    def pull(self, system: System, sheet: Sheet) -> None:
        link = self.links.get((system.name, sheet.key))
        if link is None:
            golden = sheet.once or f"g-{sheet.key}"
            self.golden.setdefault(golden, {})
            link = Link(golden, LinkState(), 0, sheet.at)
            context = RecordContext(system.name, sheet.at, is_first=True, created=bool(sheet.once))
        elif sheet.at < link.at or sheet.version == link.version:
            return
        else:
            context = RecordContext(system.name, sheet.at)
        self._observe(system, sheet, link, context)

    def _observe(self, system: System, sheet: Sheet, link: Link, context: RecordContext) -> None:
        golden = self.golden[link.golden]
        disputed = self.conflicts.setdefault((system.name, link.golden), {})
        baseline = Baseline(
            golden,
            link.state,
            self.policy,
            conflicts=frozenset(disputed),
            changed_at=lambda path: self.changed_at.get((link.golden, path)),
        )
        found = observe(baseline, sheet.values, context)
        for path, value in found.golden.items():
            golden[path] = value
            self.changed_at[link.golden, path] = sheet.at
        for path in found.settled:
            del disputed[path]
        disputed.update({clash.path: clash for clash in found.conflicts})
        self.changes += found.changes
        self.conflicts_found += found.conflicts
        self.links[system.name, sheet.key] = Link(link.golden, found.link, sheet.version, sheet.at)

    def push(self, system: System, golden: str) -> None:
        key = next(
            (k for (s, k), ln in self.links.items() if s == system.name and ln.golden == golden),
            None,
        )
        try:
            if key is None:
                self._create(system, golden)
            else:
                self._update(system, key)
        except (LostAnswerError, StaleError, KilledError):
            return

    def _create(self, system: System, golden: str) -> None:
        if (system.name, golden) in self.intents:
            sheet = self.probe(system, golden)
            if sheet is not None:
                self.pull(system, sheet)
                return
        self.intents.add((system.name, golden))
        values = wanted(self.golden[golden], LinkState(), self.policy, writable=bool)
        if self.chance.strikes(0.1):
            raise LostAnswerError
        sheet = system.create(values, golden)
        self._after(system, sheet, Link(golden, LinkState(), 0, sheet.at), values)

    def probe(self, system: System, golden: str) -> Sheet | None:
        return system.find(golden)

    def _update(self, system: System, key: str) -> None:
        sheet = system.sheets[key]
        self.pull(system, sheet)
        link = self.links[system.name, key]
        golden = self.golden[link.golden]
        link.state = agree(golden, link.state)
        values = wanted(
            golden,
            link.state,
            self.policy,
            writable=bool,
            conflicts=frozenset(self.conflicts.get((system.name, link.golden), ())),
        )
        if not values:
            return
        if self.chance.strikes(0.2):
            self.meddle()
        if self.chance.strikes(0.1):
            raise LostAnswerError
        self._after(system, system.update(key, values, link.version), link, values)

    def _after(self, system: System, sheet: Sheet, link: Link, values: Values) -> None:
        if self.chance.strikes(0.2):
            raise KilledError
        state = settle(link.state, values, sheet.values)
        self._observe(
            system, sheet, replace(link, state=state), RecordContext(system.name, sheet.at)
        )

    def decide(self, system: str, golden: str, *, theirs: bool) -> None:
        """A person answers all open questions about one record in one system."""
        disputed = self.conflicts[system, golden]
        link = next(ln for (s, _), ln in self.links.items() if s == system and ln.golden == golden)
        cells = {path.rpartition(".")[0] or path for path in disputed}
        for path in link.state.seen.keys() | disputed.keys() if theirs else ():
            if (path.rpartition(".")[0] or path) in cells:
                untouched = link.state.seen_at(path) == link.state.shown_at(path)
                reported = link.state.agreed_at(path) if untouched else link.state.seen_at(path)
                self.changes.append(
                    Change(path, self.golden[golden].get(path), reported, "taken", "")
                )
                self.golden[golden][path] = reported
        disputed.clear()

    def round(self) -> int:
        """Reads and pushes everything; returns how many writes that took."""
        before = sum(s.writes for s in self.systems)
        for system in self.systems:
            for sheet in list(system.sheets.values()):
                self.pull(system, sheet)
        for golden in self.golden:
            for system in self.systems:
                self.push(system, golden)
        return sum(s.writes for s in self.systems) - before


class World:
    """Users, systems and a hub, and everything that was ever typed."""

    def __init__(self, seed: int, *, faults: bool = True, hub: type[Hub] = Hub) -> None:
        self.chance = Chance(seed)
        self.chance.faults = faults
        self.random = self.chance.random
        clock = ClockNow()
        names = ["crm", "erp", "shop", "till"][: self.random.randint(2, 4)]
        data_faults = list(HABITS)
        self.systems = [System(n, self.random.choice(data_faults), clock) for n in names]
        self.hub = hub(self.systems, self._policy(names), self.chance)
        self.hub.meddle = self.edit
        self.number = 0
        self.made = 0
        #: (system, key, path) -> typed and not yet read by the hub.
        self.unread: dict[tuple[str, str, str], str] = {}
        self.typed: set[str] = set()
        self.late: list[tuple[System, Sheet]] = []

    def _policy(self, names: list[str]) -> EntityPolicy:
        def choose() -> FieldPolicy:
            owners = self.random.choice([None, None, None, None, frozenset(names[:1]), frozenset()])
            return FieldPolicy(
                owners=owners,
                on_conflict=self.random.choice(["ask", "ask", "latest", *names]),
                on_first_match=self.random.choice(["ask", "latest", *names]),
                when_blank=self.random.choice(["keep", "write"]),
            )

        unit = "address" if self.random.random() < 0.5 else None
        return EntityPolicy(
            {
                "": choose(),
                "price": choose(),
                "lines[]": choose(),
                "address": replace(choose(), unit=unit),
            }
        )

    def _value(self) -> str:
        self.number += 1
        tail = self.random.choice([".5-Abc", "-aBcdef", ".25"])
        return f"{self.number}{tail}"

    def edit(self) -> None:
        system = self.random.choice(self.systems)
        if not system.sheets or (self.made < 2 and self.random.random() < 0.2):
            self.made += 1
            self._type(
                system, None, {p: self._value() for p in PLAIN if self.random.random() < 0.7}
            )
            return
        sheet = self.random.choice(list(system.sheets.values()))
        item = self.random.choice(ITEMS)
        there = item + FIELDS[0] in sheet.values
        roll = self.random.random()
        if roll < 0.6:
            paths = [self.random.choice(PLAIN)]
        elif there and roll < 0.8:
            paths = [item + self.random.choice(FIELDS)]
        else:
            paths = [item + f for f in FIELDS]
        blank = self.random.random() < 0.2 if roll < 0.6 else there and roll >= 0.8
        self._type(system, sheet.key, {p: None if blank else self._value() for p in paths})

    def quarrel(self) -> None:
        """Two users type into the same field of the same subject in two systems."""
        keys: dict[str, list[tuple[str, str]]] = {}
        for record_ref, link in self.hub.links.items():
            keys.setdefault(link.golden, []).append(record_ref)
        pairs = [record_refs for record_refs in keys.values() if len(record_refs) > 1]
        if pairs:
            path = self.random.choice(PLAIN)
            for name, key in self.random.sample(self.random.choice(pairs), 2):
                system = next(s for s in self.systems if s.name == name)
                self._type(system, key, {path: self._value()})

    def _type(self, system: System, key: str | None, changes: Values) -> None:
        sheet = system.type(key, changes)
        for path in changes:
            record_ref = (system.name, sheet.key, path)
            # A user who overwrites a value before the hub reads it has taken it back.
            self.typed.discard(self.unread.pop(record_ref, ""))
            value = sheet.values.get(path)
            if value is not None:
                self.unread[record_ref] = str(value)
                self.typed.add(str(value))

    def read(self, system: System, sheet: Sheet) -> None:
        self.hub.pull(system, sheet)
        self._note_read()

    def _note_read(self) -> None:
        known = self.accounted()
        self.unread = {record_ref: v for record_ref, v in self.unread.items() if v not in known}

    def step(self) -> None:
        hub, roll = self.hub, self.random.random()
        system = self.random.choice(self.systems)
        if roll < 0.3:
            self.edit()
        elif roll < 0.4:
            self.quarrel()
        elif roll < 0.6 and system.sheets:
            sheet = self.random.choice(list(system.sheets.values()))
            if self.random.random() < 0.3:
                self.late.append((system, sheet))
            else:
                self.read(system, sheet)
        elif roll < 0.7 and self.late:
            self.read(*self.late.pop(0))
        elif roll < 0.75:
            asked = [record_ref for record_ref, open_paths in hub.conflicts.items() if open_paths]
            if asked:
                hub.decide(*self.random.choice(asked), theirs=self.random.random() < 0.5)
        elif hub.golden:
            hub.push(system, self.random.choice(list(hub.golden)))
            self._note_read()

    def accounted(self) -> set[Scalar]:
        hub = self.hub
        found: set[Scalar] = {v for values in hub.golden.values() for v in values.values()}
        found |= {v for change in hub.changes for v in (change.old, change.new)}
        return found | {v for clash in hub.conflicts_found for v in (clash.ours, clash.theirs)}

    def apart(self) -> Iterator[str]:
        """Yields each field that neither agrees nor waits for a person."""
        hub = self.hub
        for (system, key), link in hub.links.items():
            golden, state = hub.golden[link.golden], link.state
            disputed = hub.conflicts.get((system, link.golden), {})
            asked = {path.rpartition(".")[0] or path for path in disputed}
            for path in {**golden, **state.seen, **state.agreed, **state.shown}:
                kept = golden.get(path) is None and hub.policy.of(path).when_blank == "keep"
                waits = path in disputed or ((path.rpartition(".")[0] or path) in asked)
                if not (kept or waits or state.in_sync(golden, [path])):
                    yield f"{system} {key} {path}: {golden.get(path)!r}, {state}"

    def run(self, steps: int = 40) -> None:
        for _ in range(steps):
            self.step()
        self.chance.faults = False
        while self.late:
            self.read(*self.late.pop(0))
        self.hub.round()
        self.hub.round()


def check(world: World) -> None:
    """Asserts every promise about a world in which users have stopped typing."""
    assert list(world.apart()) == []
    assert world.hub.round() == 0, "written although nothing changed"
    assert world.typed - world.accounted() == set(), "typed, and vanished"
    for system in world.systems:
        assert len(system.sheets) == world.made, f"duplicates in {system.name}"


@pytest.mark.parametrize("part", range(4))
def test_all_agree_two_rounds_after_the_last_edit(part: int) -> None:
    for seed in range(part, SCHEDULES, 4):
        world = World(seed)
        try:
            world.run()
            check(world)
        except AssertionError as error:
            raise AssertionError(f"schedule {seed}: {error}") from error


def test_every_golden_value_was_typed() -> None:
    for seed in range(SCHEDULES):
        world = World(seed, faults=False)
        everything: set[Scalar] = {None}
        for _ in range(40):
            world.step()
            everything |= world.typed
        world.run(0)
        check(world)
        golden = {v for values in world.hub.golden.values() for v in values.values()}
        assert golden <= everything, f"schedule {seed}: {golden - everything} was never typed"


class ForgetfulHub(Hub):
    """A hub that repeats a create without probing whether it has happened."""

    def probe(self, system: System, golden: str) -> Sheet | None:
        return None


def test_a_create_without_a_probe_is_noticed() -> None:
    def duplicates(hub: type[Hub], seed: int) -> bool:
        world = World(seed, hub=hub)
        world.run()
        return any(len(s.sheets) > world.made for s in world.systems)

    assert any(duplicates(ForgetfulHub, seed) for seed in range(50))
    assert not any(duplicates(Hub, seed) for seed in range(50))
