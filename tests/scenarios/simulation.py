"""Runs a real hub between simulated systems: users type, calls fail, processes die.

The same schedule always gives the same history. Checking the outcome is left to verdict.py.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine

from connectors.kit.contract import Notification, Page
from connectors.kit.errors import ConnectorError
from connectors.memory import MemoryConnector, MemorySystem
from connectors.memory.patching import get
from hub.flows.settings import FlowSettings
from hub.simulation.crash_points import CrashingConnector, CrashingStore, CrashPoints, KilledError
from hub.store.links import links_by_key
from hub.store.runs import Tally
from hub.sync.context import Channel, Connection, Hub
from hub.sync.flows import derive
from hub.sync.ingest.inbox import process_inbox
from hub.sync.ingest.page import ingest
from hub.sync.ingest.pull import pull
from hub.sync.ingest.read_record import Origin
from hub.sync.ingest.sweep import sweep
from hub.sync.ingest.webhooks import receive
from hub.sync.push.push import push
from hub.sync.run import Report, sync
from mappings.canonical.values import Scalar
from tests.scenarios.landscape import (
    Landscape,
    SystemSpec,
    canonical,
    mapping_of,
)
from tests.scenarios.schedule import HUB_VERBS, Step


@dataclass(frozen=True)
class FieldRef:
    """A field of a record of a system."""

    system: str
    stream: str
    key: str
    path: str


@dataclass
class World:
    """Systems, users and a hub, and everything that was ever typed."""

    landscape: Landscape
    engine: Engine
    #: The narration, for display.
    story: list[str] = field(default_factory=list)
    #: Texts that must not be lost, with the place where they were typed.
    typed: dict[FieldRef, str] = field(default_factory=dict)
    #: All that was ever typed in this form.
    said: set[str] = field(default_factory=set)
    #: (system, stream, key) of records that users deleted although the hub knew them.
    deleted: set[tuple[str, str, str]] = field(default_factory=set)
    #: Codes of subjects that were deleted or merged anywhere.
    meddled: set[str] = field(default_factory=set)
    #: Codes of subjects that were merged anywhere.
    merged: set[str] = field(default_factory=set)
    #: (system, stream, key) of records that users created.
    created_by_users: set[tuple[str, str, str]] = field(default_factory=set)
    #: Codes that users gave in more than one system.
    shared: set[str] = field(default_factory=set)
    #: Paths whose values are not unique texts.
    untyped: frozenset[str] = frozenset(("code", "company"))
    tallies: list[Tally] = field(default_factory=list)
    #: Returns what the store has kept; set by the checker.
    kept: Callable[[World], set[Scalar]] = lambda _world: set()

    def __post_init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.words = self.processes = self.events = self.subjects = 0
        self.late: list[tuple[str, str, Page]] = []
        self.writing: str | None = None
        self.specs = {spec.name: spec for spec in self.landscape.specs}
        self.systems = {name: self._system(spec) for name, spec in self.specs.items()}
        self.crash_points, self.hub = self.process()
        _, self.colleague = self.process()
        self._acts = self.acts()

    def acts(self) -> dict[str, Callable[[Step, Hub], None]]:
        """Returns verb -> what it does."""
        return {
            "create": self._create,
            "edit": self._edit,
            "quarrel": self._quarrel,
            "delete": self._delete,
            "merge": self._merge,
            "wait": self._wait,
            "expire": self._expire,
            "nudge": self._notification,
            "read": self._read,
            "apply": self._apply,
            "pull": self._pull,
            "sweep": self._sweep,
            "inbox": self._inbox,
            "push": self._push,
            "derive": self._derive,
            "sync": self._sync,
        }

    def _system(self, spec: SystemSpec) -> MemorySystem:
        def clock() -> datetime:
            self.now += timedelta(milliseconds=1)
            return self.now + timedelta(seconds=spec.offset)

        system = MemorySystem(
            spec.name, streams={s: spec.shape(s) for s in self.landscape.streams}, clock=clock
        )
        system.inject_faults(lag=spec.lag)
        return system

    def process(self) -> tuple[CrashPoints, Hub]:
        """Starts a process with a hub of its own."""
        self.processes += 1
        crash_points, ids = CrashPoints(), random.Random(self.processes)
        store = CrashingStore(self.engine, crash_points)
        connections = {name: self._connection(name, crash_points) for name in self.specs}
        hub = Hub(
            store=store,
            connections=connections,
            entities=self.landscape.entities,
            policies=self.landscape.policies,
            flows=FlowSettings(),
            limit=self.landscape.limit,
            worker=f"worker-{self.processes}",
            clock=self._hub_clock,
            sleep=self._pass_by,
            fresh_id=lambda: f"{ids.getrandbits(128):032x}",
        )
        return crash_points, hub

    def _hub_clock(self) -> datetime:
        self.now += timedelta(milliseconds=1)
        return self.now

    def _pass_by(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def _connection(self, name: str, crash_points: CrashPoints) -> Connection:
        spec = self.specs[name]
        connector = CrashingConnector(
            MemoryConnector.of(self.systems[name], page=spec.page), crash_points
        )
        channels = {
            stream: Channel(name, stream, connector, self.mapping(name, stream), spec.facts)
            for stream in self.landscape.streams
        }
        return Connection(name, "memory", "both", connector, channels)

    def mapping(self, name: str, stream: str) -> Any:
        """Returns the hub's mapping of a stream."""
        return mapping_of(name, stream)

    # --- what happens ---------------------------------------------------------------------------

    def play(self, step: Step) -> None:
        """Performs one event, with everything that goes wrong in it."""
        self.now += timedelta(seconds=step.pause)
        if step.verb not in HUB_VERBS:
            self._happen(step, self.hub)
            return
        inner = step.meanwhile
        self.crash_points.expect(
            step.dies, None if inner is None else (inner[0], self._aside(inner[1]))
        )
        system = self.systems[self._name(step)]
        if step.fault:
            system.inject_faults(
                lag=self.specs[system.name].lag, script=(step.fault,), seed=step.pick
            )
            self.story.append(f"  ({system.name} will fail: {step.fault})")
        try:
            self._happen(step, self.hub)
        except KilledError:
            self.story.append(f"  the process dies at its crash point {step.dies}")
            self.crash_points, self.hub = self.process()
        finally:
            self.crash_points.expect(None, None)
            self.writing = None
            system.inject_faults(lag=self.specs[system.name].lag)

    def _aside(self, step: Step) -> Callable[[], None]:
        def act() -> None:
            self.story.append("  meanwhile:")
            self._happen(step, self.colleague)
            self.story.append("  (and on)")

        return act

    def _happen(self, step: Step, hub: Hub) -> None:
        try:
            self._acts[step.verb](step, hub)
        except ConnectorError as error:
            self.story.append(f"  which fails: {error}")

    def _name(self, step: Step) -> str:
        return list(self.specs)[step.system % len(self.specs)]

    def _stream(self, step: Step) -> str:
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
        if stream != "companies":
            payload["company"] = self._some(name, "companies", step.pick)
        fields = self._filled_in(stream, step)
        for path in fields:
            self._put(payload, path, self._word(path))
        key = self.systems[name].create(stream, payload)
        self.created_by_users.add((name, stream, key))
        self.story.append(f"{name}: a user creates {stream} {key}: {payload}")
        for path in fields:
            self._note(FieldRef(name, stream, key, path))

    def _filled_in(self, stream: str, step: Step) -> list[str]:
        """Returns what a user fills in to create a record."""
        return [p for i, p in enumerate(self.landscape.typed[stream]) if step.what >> i & 1]

    def _code(self, name: str, stream: str, pick: int) -> str:
        """A new subject, or one that another system has and this one has not: the hub will match
        them."""
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
        self.subjects += 1
        return f"{stream[:3]}{self.subjects}"

    def _edit(self, step: Step, _hub: Hub) -> None:
        name, stream = self._name(step), self._stream(step)
        key = self._some(name, stream, step.pick)
        if key is not None:
            self._type(FieldRef(name, stream, key, self._path(stream, step)), step)

    def _path(self, stream: str, step: Step) -> str:
        paths = self.landscape.typed[stream]
        return paths[step.what // 3 % len(paths)]

    def _quarrel(self, step: Step, hub: Hub) -> None:
        """Two users type into the same field of the same subject in two systems."""
        name, stream = self._name(step), self._stream(step)
        key = self._some(name, stream, step.pick)
        if key is None:
            return
        code = self.systems[name].get(stream, key)["code"]
        path = self._path(stream, step)
        for other, system in self.systems.items():
            for there, record in system.records(stream).items():
                if record["code"] == code:
                    self._type(FieldRef(other, stream, there, path), step)

    def _type(self, field_ref: FieldRef, step: Step) -> None:
        blank = step.pick % 7 == 0 and step.verb == "edit"
        value = None if blank else self._word(field_ref.path)
        self._withdraw(field_ref)
        patch: dict[str, Any] = {}
        self._put(patch, field_ref.path, value)
        self.systems[field_ref.system].edit(field_ref.stream, field_ref.key, patch)
        self.story.append(
            f"{field_ref.system}: a user types {field_ref.stream} {field_ref.key} {patch}"
        )
        self._note(field_ref)

    def _note(self, field_ref: FieldRef) -> None:
        value = self.shown(field_ref)
        if value is None:
            return
        self.said.add(str(value))
        lockless = self.specs[field_ref.system].facts.lock == "none"
        if self.known_to_hub(field_ref) and not (lockless and self.writing == field_ref.system):
            self.typed[field_ref] = str(value)

    def shown(self, field_ref: FieldRef) -> Scalar:
        """Returns what a field of a system shows, in canonical form."""
        payload = self.systems[field_ref.system].get(field_ref.stream, field_ref.key)
        return canonical(field_ref.path, get(payload, field_ref.path))

    def known_to_hub(self, _field_ref: FieldRef) -> bool:
        """Returns True if the hub reads this field at all."""
        return True

    def _withdraw(self, field_ref: FieldRef) -> None:
        """A user who overwrites a value that the hub has not read takes it back."""
        before = self.typed.get(field_ref)
        if before is not None and before not in self.kept(self):
            del self.typed[field_ref]
        elif before is not None:
            self.typed[
                FieldRef(
                    field_ref.system, field_ref.stream, field_ref.key, f"{field_ref.path} {before}"
                )
            ] = before
            del self.typed[field_ref]

    def _withdraw_all(self, name: str, stream: str, key: str) -> None:
        for field_ref in [
            s for s in self.typed if (s.system, s.stream, s.key) == (name, stream, key)
        ]:
            self._withdraw(field_ref)

    def _delete(self, step: Step, hub: Hub) -> None:
        name, stream = self._name(step), self._stream(step)
        key = self._some(name, stream, step.pick)
        if key is None:
            return
        self._withdraw_all(name, stream, key)
        self.meddled.add(self.systems[name].get(stream, key)["code"])
        self.systems[name].delete(stream, key)
        self.deleted.add((name, stream, key))
        self.story.append(f"{name}: a user deletes {stream} {key}")

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
        if stream == "companies":
            self._adopt_children(name, {key}, into)
        self.story.append(f"{name}: a user merges {stream} {key} into {into}")

    def _adopt_children(self, name: str, parents: set[str], into: str) -> None:
        """References to merged companies move to the survivor, as systems do."""
        system = self.systems[name]
        for stream in self.landscape.streams:
            for child, record in system.records(stream).items():
                if record.get("company") in parents:
                    system.edit(stream, child, company=into)

    def _wait(self, _step: Step, _hub: Hub) -> None:
        self.now += timedelta(minutes=11)
        self.story.append("eleven minutes pass")

    def _expire(self, step: Step, _hub: Hub) -> None:
        self.systems[self._name(step)].expire_cursors()
        self.story.append(f"{self._name(step)} forgets all cursors")

    # --- the far side's messages, and old news ---------------------------------------------------

    def _notification(self, step: Step, hub: Hub) -> None:
        name, stream = self._name(step), self._stream(step)
        keys = [row.key for row in self.systems[name].tables.rows("WHERE stream = ?", stream)]
        if not keys:
            return
        key = keys[step.pick % len(keys)]
        row = self.systems[name].row(stream, key)
        into = row.survivor if row else None
        notification = Notification(stream, key, f"event-{step.what % 40}", into)
        receive(hub, name, [notification, notification] if step.pick % 2 else [notification])
        self.story.append(f"{name}: a notification of {stream} {key}")

    def _read(self, step: Step, _hub: Hub) -> None:
        name, stream = self._name(step), self._stream(step)
        plain = MemoryConnector.of(self.systems[name], page=100)
        page = next(iter(plain.pages(stream, None)))
        self.late.append((name, stream, page))
        self.story.append(f"a page of {name}.{stream} is read, and ingested later")

    def _apply(self, _step: Step, hub: Hub) -> None:
        if not self.late:
            return
        name, stream, page = self.late.pop(0)
        self.story.append(f"the old page of {name}.{stream} is ingested")
        channel = hub.connection(name).channel(stream)
        tally = Tally(hub.fresh_id(), "late", name, stream, self.now)
        with hub.store.begin() as tx:
            # A page cannot tell that a record unknown to the hub is gone: a sweep will.
            known_to_hub = links_by_key(tx, name, stream, [record.key for record in page.records])
            living = self.systems[name].records(stream).keys() | known_to_hub.keys()
            page = replace(page, records=[r for r in page.records if r.key in living])
            ingest(hub, tx, channel, page=page, tally=tally, origin=Origin.LISTED)
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

    def _inbox(self, step: Step, hub: Hub) -> None:
        self.story.append(f"{hub.worker} processes the inbox of {self._name(step)}")
        self.tallies.append(process_inbox(hub, self._name(step)))

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

    def finish(self) -> None:
        """Users stop typing, faults stop, delayed messages arrive, leases expire."""
        self.story.append("all faults have ended")
        for system in self.systems.values():
            system.inject_faults()
        while self.late:
            self._apply(Step("apply", 0, 0, 0, 0), self.hub)
        self.now += timedelta(hours=2)

    def rest(self) -> Report:
        """One round without faults."""
        return sync(self.hub)

    def _put(self, payload: dict[str, Any], path: str, value: Any) -> None:
        *parents, last = path.split(".")
        for name in parents:
            payload = payload.setdefault(name, {})
        payload[last] = value

    def also_wrong(self) -> Iterable[str]:
        """Yields what else breaks a promise at the end of this kind of world."""
        return ()
