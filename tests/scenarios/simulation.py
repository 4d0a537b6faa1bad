"""Rehearses a real hub between simulated systems: people type, lines break, processes die.

A schedule is a list of plain steps drawn from a seed; the same list always gives the same story,
which is what lets `shrunk` cut it down. Judging how a story ends is left to verdict.py.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine

from connectors.kit.contract import Nudge, Page
from connectors.kit.errors import ConnectorError
from connectors.memory import MemoryConnector, MemorySystem
from connectors.memory.patches import get
from hub.flows.settings import FlowSettings
from hub.store.progress import Tally
from hub.store.records import links_by_key
from hub.sync.derive import derive
from hub.sync.drain import drain
from hub.sync.hub import Channel, Connection, Hub
from hub.sync.intake import take_in
from hub.sync.pull import pull, sweep
from hub.sync.push import push
from hub.sync.receive import receive
from hub.sync.round import sync
from mappings.canonical.values import Scalar
from tests.scenarios.landscape import (
    ENTITIES,
    STREAMS,
    TYPED,
    Landscape,
    Place,
    canonical,
    draw,
    mapping_of,
)
from hub.rehearsal.mortal import KilledError, Life, Line, MortalStore

#: Verb -> how often it is drawn. People, the far side's messages, the hub.
_VERBS = {
    "create": 8,
    "edit": 26,
    "quarrel": 5,
    "delete": 3,
    "merge": 2,
    "nudge": 8,
    "pull": 16,
    "sweep": 3,
    "drain": 8,
    "push": 20,
    "derive": 1,
    "sync": 2,
    "read": 4,
    "apply": 4,
    "wait": 2,
    "expire": 1,
}
_HUB_VERBS = ("pull", "sweep", "drain", "push", "sync")
_FAULTS = ("before", "lost", "partial", "row_lost", "rate", "read", "find")


@dataclass(frozen=True)
class Step:
    """One thing that happens. Its numbers pick among whatever there is when it happens."""

    verb: str
    system: int
    pick: int
    what: int
    #: Seconds that pass before it.
    pause: int
    #: The line breaks like this during it.
    fault: str | None = None
    #: The process dies when it comes to this point: a commit, or a call of a system.
    dies: int | None = None
    #: What somebody else does when it comes to this point.
    meanwhile: tuple[int, Step] | None = None


def schedule(chance: random.Random, length: int) -> list[Step]:
    """Draws what happens."""
    return [_step(chance, nested=False) for _ in range(length)]


def _step(chance: random.Random, *, nested: bool) -> Step:
    verb = chance.choices(list(_VERBS), list(_VERBS.values()))[0]
    working = verb in _HUB_VERBS and not nested
    roll = chance.random()
    return Step(
        verb,
        system=chance.randrange(6),
        pick=chance.randrange(1000),
        what=chance.randrange(1000),
        pause=chance.choice([0, 0, 1, 2, 8, 30]),
        fault=chance.choice(_FAULTS) if working and roll < 0.3 else None,
        dies=chance.choice([0, 1, 2, 3, 4, 5, 7, 9, 12, 16]) if working and roll > 0.7 else None,
        meanwhile=(chance.randrange(12), _step(chance, nested=True))
        if working and chance.random() < 0.5
        else None,
    )


@dataclass(frozen=True)
class Spot:
    """A field of a record over there."""

    system: str
    stream: str
    key: str
    path: str


@dataclass
class World:
    """Systems, people and a hub, and everything that was ever typed."""

    landscape: Landscape
    engine: Engine
    #: What happened, for people.
    story: list[str] = field(default_factory=list)
    #: Texts nobody may lose, with where they were typed.
    typed: dict[Spot, str] = field(default_factory=dict)
    #: All that was ever typed in this form.
    said: set[str] = field(default_factory=set)
    #: (system, stream, key) of records that people deleted although the hub knew them.
    deleted: set[tuple[str, str, str]] = field(default_factory=set)
    #: Codes of things that were deleted or merged anywhere.
    meddled: set[str] = field(default_factory=set)
    #: Codes of things that were merged anywhere.
    merged: set[str] = field(default_factory=set)
    #: Codes that people gave in more than one system.
    shared: set[str] = field(default_factory=set)
    tallies: list[Tally] = field(default_factory=list)
    #: Asks the store what it has kept; set by the judge.
    kept: Callable[[World], set[Scalar]] = lambda _world: set()

    def __post_init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.words = self.processes = self.events = self.things = 0
        self.late: list[tuple[str, str, Page]] = []
        self.writing: str | None = None
        self.places = {place.name: place for place in self.landscape.places}
        self.systems = {name: self._system(place) for name, place in self.places.items()}
        self.life, self.hub = self.process()
        _, self.colleague = self.process()

    def _system(self, place: Place) -> MemorySystem:
        def clock() -> datetime:
            self.now += timedelta(milliseconds=1)
            return self.now + timedelta(seconds=place.offset)

        system = MemorySystem(
            place.name, streams=dict.fromkeys(STREAMS, place.shape()), clock=clock
        )
        system.misbehave(lag=place.lag)
        return system

    def process(self) -> tuple[Life, Hub]:
        """Starts a process with a hub of its own."""
        self.processes += 1
        life, ids = Life(), random.Random(self.processes)
        store = MortalStore(self.engine, life)
        connections = {name: self._connection(name, life) for name in self.places}
        hub = Hub(
            store=store,
            connections=connections,
            entities=ENTITIES,
            policies=self.landscape.policies,
            flows=FlowSettings(),
            worker=f"worker-{self.processes}",
            clock=self._hub_clock,
            fresh_id=lambda: f"{ids.getrandbits(128):032x}",
        )
        return life, hub

    def _hub_clock(self) -> datetime:
        self.now += timedelta(milliseconds=1)
        return self.now

    def _connection(self, name: str, life: Life) -> Connection:
        place = self.places[name]
        connector = Line(MemoryConnector.of(self.systems[name], page=place.page), life)
        channels = {
            stream: Channel(name, stream, connector, mapping_of(name, stream), place.facts)
            for stream in STREAMS
        }
        return Connection(name, "memory", "both", connector, channels)

    # --- what happens ---------------------------------------------------------------------------

    def play(self, step: Step) -> None:
        """Lets one thing happen, with everything that goes wrong in it."""
        self.now += timedelta(seconds=step.pause)
        if step.verb not in _HUB_VERBS:
            self._happen(step, self.hub)
            return
        inner = step.meanwhile
        self.life.expect(step.dies, None if inner is None else (inner[0], self._aside(inner[1])))
        system = self.systems[self._name(step)]
        if step.fault:
            system.misbehave(lag=self.places[system.name].lag, script=(step.fault,), seed=step.pick)
            self.story.append(f"  (the line to {system.name} will break: {step.fault})")
        try:
            self._happen(step, self.hub)
        except KilledError:
            self.story.append(f"  the process dies at its point {step.dies}")
            self.life, self.hub = self.process()
        finally:
            self.life.expect(None, None)
            self.writing = None
            system.misbehave(lag=self.places[system.name].lag)

    def _aside(self, step: Step) -> Callable[[], None]:
        def act() -> None:
            self.story.append("  meanwhile:")
            self._happen(step, self.colleague)
            self.story.append("  (and on)")

        return act

    def _happen(self, step: Step, hub: Hub) -> None:
        try:
            getattr(self, f"_{step.verb}")(step, hub)
        except ConnectorError as error:
            self.story.append(f"  which fails: {error}")

    def _name(self, step: Step) -> str:
        return list(self.places)[step.system % len(self.places)]

    @staticmethod
    def _stream(step: Step) -> str:
        return "contacts" if step.what % 3 == 0 else "companies"

    def _some(self, name: str, stream: str, pick: int) -> str | None:
        keys = list(self.systems[name].records(stream))
        return keys[pick % len(keys)] if keys else None

    # --- people ---------------------------------------------------------------------------------

    def _word(self, path: str) -> str:
        self.words += 1
        return f"{self.words}.25" if path == "price" else f"{self.words}-AbCdefgh"

    def _create(self, step: Step, _hub: Hub) -> None:
        name, stream = self._name(step), self._stream(step)
        if len(self.systems[name].records(stream)) >= 6:
            self._edit(step, _hub)
            return
        code = self._code(name, stream, step.pick)
        payload: dict[str, Any] = {"code": code}
        if stream == "contacts":
            payload["company"] = self._some(name, "companies", step.pick)
        fields = [p for i, p in enumerate(TYPED[stream]) if step.what >> i & 1]
        for path in fields:
            _put(payload, path, self._word(path))
        key = self.systems[name].create(stream, payload)
        self.story.append(f"{name}: somebody creates {stream} {key}: {payload}")
        for path in fields:
            self._note(Spot(name, stream, key, path))

    def _code(self, name: str, stream: str, pick: int) -> str:
        """A new thing, or one that another system has and this one has not: they will meet."""
        ours = {r.get("code") for r in self.systems[name].records(stream).values()}
        others = [
            str(record["code"])
            for system in self.systems.values()
            for record in system.records(stream).values()
            if record["code"] not in ours and record["code"] not in self.meddled
        ]
        if others and pick % 3 == 0:
            code = others[pick % len(others)]
            self.shared.add(code)
            return code
        self.things += 1
        return f"{stream[:3]}{self.things}"

    def _edit(self, step: Step, _hub: Hub) -> None:
        name, stream = self._name(step), self._stream(step)
        key = self._some(name, stream, step.pick)
        if key is not None:
            paths = TYPED[stream]
            self._type(Spot(name, stream, key, paths[step.what // 3 % len(paths)]), step)

    def _quarrel(self, step: Step, hub: Hub) -> None:
        """Two people type the same field of the same thing in two systems."""
        name, stream = self._name(step), self._stream(step)
        key = self._some(name, stream, step.pick)
        if key is None:
            return
        code = self.systems[name].get(stream, key)["code"]
        path = TYPED[stream][step.what // 3 % len(TYPED[stream])]
        for other, system in self.systems.items():
            for there, record in system.records(stream).items():
                if record["code"] == code:
                    self._type(Spot(other, stream, there, path), step)

    def _type(self, spot: Spot, step: Step) -> None:
        blank = step.pick % 7 == 0 and step.verb == "edit"
        value = None if blank else self._word(spot.path)
        self._withdraw(spot)
        patch: dict[str, Any] = {}
        _put(patch, spot.path, value)
        self.systems[spot.system].edit(spot.stream, spot.key, patch)
        self.story.append(f"{spot.system}: somebody types {spot.stream} {spot.key} {patch}")
        self._note(spot)

    def _note(self, spot: Spot) -> None:
        payload = self.systems[spot.system].get(spot.stream, spot.key)
        value = canonical(spot.path, get(payload, spot.path))
        if value is None:
            return
        self.said.add(str(value))
        lockless = self.places[spot.system].facts.lock == "none"
        if not (lockless and self.writing == spot.system):
            self.typed[spot] = str(value)

    def _withdraw(self, spot: Spot) -> None:
        """Who types over his own words before anybody read them takes them back."""
        before = self.typed.get(spot)
        if before is not None and before not in self.kept(self):
            del self.typed[spot]
        elif before is not None:
            self.typed[Spot(spot.system, spot.stream, spot.key, f"{spot.path} {before}")] = before
            del self.typed[spot]

    def _withdraw_all(self, name: str, stream: str, key: str) -> None:
        for spot in [s for s in self.typed if (s.system, s.stream, s.key) == (name, stream, key)]:
            self._withdraw(spot)

    def _delete(self, step: Step, hub: Hub) -> None:
        name, stream = self._name(step), self._stream(step)
        key = self._some(name, stream, step.pick)
        if key is None:
            return
        self._withdraw_all(name, stream, key)
        self.meddled.add(self.systems[name].get(stream, key)["code"])
        self.systems[name].delete(stream, key)
        self.deleted.add((name, stream, key))
        self.story.append(f"{name}: somebody deletes {stream} {key}")

    def _merge(self, step: Step, _hub: Hub) -> None:
        name, stream = self._name(step), self._stream(step)
        system = self.systems[name]
        key, into = self._some(name, stream, step.pick), self._some(name, stream, step.what)
        if key is None or into is None or key == into:
            return
        self._withdraw_all(name, stream, key)
        self.merged |= {system.get(stream, k)["code"] for k in (key, into)}
        self.meddled |= self.merged
        system.merge(stream, key, into=into)
        for contact, record in system.records("contacts").items():
            if stream == "companies" and record.get("company") == key:
                system.edit("contacts", contact, company=into)
        self.story.append(f"{name}: somebody merges {stream} {key} into {into}")

    def _wait(self, _step: Step, _hub: Hub) -> None:
        self.now += timedelta(minutes=11)
        self.story.append("eleven minutes pass")

    def _expire(self, step: Step, _hub: Hub) -> None:
        self.systems[self._name(step)].expire_cursors()
        self.story.append(f"{self._name(step)} forgets all cursors")

    # --- the far side's messages, and old news ---------------------------------------------------

    def _nudge(self, step: Step, hub: Hub) -> None:
        name, stream = self._name(step), self._stream(step)
        keys = [row.key for row in self.systems[name].tables.rows("WHERE stream = ?", stream)]
        if not keys:
            return
        key = keys[step.pick % len(keys)]
        row = self.systems[name].row(stream, key)
        into = row.survivor if row else None
        nudge = Nudge(stream, key, f"event-{step.what % 40}", into)
        receive(hub, name, [nudge, nudge] if step.pick % 2 else [nudge])
        self.story.append(f"{name}: nudges {stream} {key}")

    def _read(self, step: Step, _hub: Hub) -> None:
        name, stream = self._name(step), self._stream(step)
        plain = MemoryConnector.of(self.systems[name], page=100)
        page = next(iter(plain.pages(stream, None)))
        self.late.append((name, stream, page))
        self.story.append(f"a page of {name}.{stream} is read, and stays on its way")

    def _apply(self, _step: Step, hub: Hub) -> None:
        if not self.late:
            return
        name, stream, page = self.late.pop(0)
        self.story.append(f"the old page of {name}.{stream} arrives")
        channel = hub.connection(name).channel(stream)
        tally = Tally(hub.fresh_id(), "late", name, stream, self.now)
        with hub.store.begin() as tx:
            # Of a record that it never heard of, nobody can tell that it is gone: a sweep will.
            heard = links_by_key(tx, name, stream, [record.key for record in page.records])
            living = self.systems[name].records(stream).keys() | heard.keys()
            page = replace(page, records=[r for r in page.records if r.key in living])
            take_in(hub, tx, channel, page=page, tally=tally, fetched=False)
        self.tallies.append(tally)

    # --- the hub --------------------------------------------------------------------------------

    def _pull(self, step: Step, hub: Hub) -> None:
        name, stream = self._name(step), self._stream(step)
        self.story.append(f"{hub.worker} pulls {name}.{stream}")
        self.tallies.append(pull(hub, name, stream))

    def _sweep(self, step: Step, hub: Hub) -> None:
        name, stream = self._name(step), self._stream(step)
        self.story.append(f"{hub.worker} sweeps {name}.{stream}")
        self.tallies.append(sweep(hub, name, stream))

    def _drain(self, step: Step, hub: Hub) -> None:
        self.story.append(f"{hub.worker} drains {self._name(step)}")
        self.tallies.append(drain(hub, self._name(step)))

    def _push(self, step: Step, hub: Hub) -> None:
        self.writing = name = self._name(step)
        self.story.append(f"{hub.worker} pushes to {name}")
        push(hub, name)
        self.writing = None

    def _derive(self, _step: Step, hub: Hub) -> None:
        derive(hub)

    def _sync(self, _step: Step, hub: Hub) -> None:
        self.story.append(f"{hub.worker} syncs")
        report = sync(hub)
        self.tallies += [t for t in report.tallies if t.kind != "push"]

    def calm(self) -> None:
        """People stop typing, faults stop, what was on its way arrives, leases run out."""
        self.story.append("all is calm")
        for name, system in self.systems.items():
            system.misbehave()
            self.places[name] = self.places[name]
        while self.late:
            self._apply(Step("apply", 0, 0, 0, 0), self.hub)
        self.now += timedelta(hours=2)


def _put(payload: dict[str, Any], path: str, value: Any) -> None:
    *parents, last = path.split(".")
    for name in parents:
        payload = payload.setdefault(name, {})
    payload[last] = value


def shrunk(steps: Sequence[Step], fails: Callable[[Sequence[Step]], bool]) -> list[Step]:
    """Returns the shortest list it can find that still fails."""
    steps = list(steps)
    size = max(1, len(steps) // 2)
    while size:
        start = 0
        while start < len(steps):
            fewer = steps[:start] + steps[start + size :]
            if fails(fewer):
                steps = fewer
            else:
                start += size
        size //= 2
    for i in range(len(steps)):
        for trouble in ("meanwhile", "dies", "fault"):
            calmer = replace(steps[i], **{trouble: None})
            if calmer != steps[i] and fails([*steps[:i], calmer, *steps[i + 1 :]]):
                steps[i] = calmer
    return steps


def drawn(seed: int, length: int) -> tuple[Landscape, list[Step]]:
    """Returns the landscape and the schedule that a seed names."""
    chance = random.Random(seed)
    return draw(chance), schedule(chance, length)
