"""The stage of a rehearsal: stand-ins in the place of all connections, and a hub between them.

Everything is in one folder and one scratch database. The user's systems are never spoken to: no
connector of theirs is opened.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from connectors.kit.faults import Chances
from connectors.memory import MemoryConnector, MemorySystem
from hub.model.policy import EntityPolicy
from hub.settings.connections import ConnectionSettings
from hub.settings.loading import Settings
from hub.simulation.acting import Company
from hub.simulation.crash_points import CrashingConnector, CrashingStore, CrashPoints
from hub.simulation.emulators import Emulator, emulators_for, tags_of
from hub.simulation.faults import of_systems
from hub.simulation.workload import Cast
from hub.store.engine import Store
from hub.store.links import Link, links_by_key
from hub.sync.context import Connection, Hub
from hub.wiring import channels_of, read_words
from mappings.canonical.values import Entity
from mappings.kit.mapping import Mapping as StreamMapping

#: When the day begins.
_MORNING = datetime(2026, 1, 5, 8, tzinfo=UTC)
#: Seconds that a call takes, and one that takes its time.
_CALL, _SLOW_CALL = 0.05, 8.0
#: Seconds that connectors look back: longer than search lags and changes share a time.
OVERLAP = 5.0
#: Seconds that a system says to wait when it is busy.
_RETRY_AFTER = 0.2
#: Seconds: longer than every lease and every pause after an error.
_LONG = 2 * 3600.0


class Clock:
    """The clock of the rehearsal: it moves when somebody says so, and a little when asked."""

    def __init__(self) -> None:
        self.now = _MORNING

    def __call__(self) -> datetime:
        self.now += timedelta(milliseconds=1)
        return self.now

    def pass_by(self, seconds: float) -> None:
        """Lets time pass."""
        self.now += timedelta(seconds=seconds)

    def wait_out(self) -> None:
        """Lets more time pass than any lease or pause lasts."""
        self.pass_by(_LONG)


class WallClock(Clock):
    """The clock on the wall: time passes by itself, and leases are given back instead."""

    def __call__(self) -> datetime:
        self.now = datetime.now(UTC)
        return self.now

    def pass_by(self, seconds: float) -> None:
        """Does nothing: time passes by itself."""

    def wait_out(self) -> None:
        """Does nothing: whoever held a lease has ended."""


@dataclass(frozen=True)
class Setup:
    """Settings, and what follows from them: read once."""

    settings: Settings
    mappings: Mapping[str, Sequence[StreamMapping]]
    entities: Mapping[str, Entity]
    policies: Mapping[str, EntityPolicy]

    @classmethod
    def of(cls, settings: Settings) -> Setup:
        """Reads mappings and policies. Raises: SettingsError."""
        return cls(settings, *read_words(settings))


class EndlessError(Exception):
    """A piece of work goes on and on: it would never come to an end."""


class FaultyConnector(CrashingConnector):
    """The line to a stand-in: calls take time, and one of them may go wrong."""

    def __init__(self, connector: MemoryConnector, life: CrashPoints, stage: Stage) -> None:
        super().__init__(connector, life)
        self._stage = stage

    def meet(self) -> None:
        """A call begins."""
        self._stage.called(self.connector.system)


@dataclass
class Trouble:
    """What goes wrong during one piece of work."""

    fault: str | None = None
    #: The system whose line breaks, and at which of its calls.
    system: str = ""
    after: int = 0


@dataclass
class Stage:
    """Stand-ins, clock and hub."""

    plot: Setup
    folder: Path
    store: Store
    seed: int
    faults: Chances
    clock: Clock = field(default_factory=Clock)
    trouble: Trouble = field(default_factory=Trouble)
    #: Records in one page.
    page: int = 100

    def __post_init__(self) -> None:
        chance = random.Random(f"{self.seed} stage")  # noqa: S311 - repeatable, not secret
        found = [m for ms in self.plot.mappings.values() for m in ms]
        tags = tags_of(self.plot.entities, found)
        emulators: dict[str, dict[str, Emulator]] = {}
        systems: dict[str, MemorySystem] = {}
        for name, one in self.plot.settings.connections.items():
            emulators[name] = emulators_for(
                name,
                self.plot.mappings[one.system],
                one.manifest.streams,
                tags=tags,
                data_faults=self.faults,
                chance=chance,
            )
            systems[name] = self._system(one, len(systems))
            for stream, emulator in emulators[name].items():
                systems[name].declare(stream, emulator.shape)
        self.company = Company(systems, emulators)
        self.processes = 0
        #: Whether faults are on.
        self.vicious = False
        self._patience = 0
        self._chance = random.Random(f"{self.seed} calls")  # noqa: S311
        self.life, self.hub = self.process()
        _, self.colleague = self.process()

    def _system(self, one: ConnectionSettings, number: int) -> MemorySystem:
        path = self.folder / f"{one.name}.system"
        system = MemorySystem(one.name, streams={}, path=path, clock=self.clock)
        # Clocks are wrong and coarse from the beginning: one that changes its ways jumps back.
        clock = {name: c for name, c in self.faults.items() if name in ("skew", "ties")}
        system.inject_faults(clock, seed=self.seed + number)
        return system

    # --- the hub --------------------------------------------------------------------------------

    def process(self) -> tuple[CrashPoints, Hub]:
        """Starts a process with a hub of its own."""
        self.processes += 1
        life, ids = CrashPoints(), random.Random(f"{self.seed} {self.processes}")  # noqa: S311
        settings = self.plot.settings
        connections = {}
        for name, one in settings.connections.items():
            speaks = MemoryConnector.of(self.company.systems[name], page=self.page, overlap=OVERLAP)
            wire = FaultyConnector(speaks, life, self)
            channels = channels_of(one, wire, self.plot.mappings[one.system])
            connections[name] = Connection(name, one.system, one.role, wire, channels)
        number = self.processes
        born = iter(range(1, 1 << 60))
        hub = Hub(
            store=CrashingStore(self.store.engine, life),
            connections=connections,
            entities=self.plot.entities,
            policies=self.plot.policies,
            flows=settings.flows,
            limit=settings.limits.limit,
            worker=f"worker-{number}",
            clock=self.clock,
            sleep=self.clock.pass_by,
            # Later ones after earlier ones, as real ones are: indexes grow at their end.
            fresh_id=lambda: f"{number:06x}{next(born):010x}{ids.getrandbits(64):016x}",
        )
        return life, hub

    def called(self, system: MemorySystem) -> None:
        """A call reaches a system: it takes time, and it may be the one that goes wrong.

        Raises: EndlessError.
        """
        self._patience -= 1
        if self._patience < 0:
            raise EndlessError(f"does not come to an end; {system.name} was called all the time")
        slow = self.planned and self._chance.random() < self.faults.get("slow", 0.0)
        if slow:
            system.fault_state.has_happened("slow")
        self.clock.pass_by(_SLOW_CALL if slow else _CALL)
        if self.trouble.fault is None or self.trouble.system != system.name:
            return
        self.trouble.after -= 1
        if self.trouble.after < 0:
            script, self.trouble.fault = (self.trouble.fault,), None
            system.faults = system.faults.model_copy(update={"script": script})

    def begin_work(self, *, whole: bool = False) -> None:
        """A piece of work (or a `whole` round) begins: it has calls as befits so many records."""
        things = sum(map(len, self.company.keys.values()))
        self._patience = 400 + 2 * things if whole else 80 + things

    def mend(self, *, fault: str | None) -> bool:
        """Ends the trouble; says whether the fault that was planned has struck."""
        system = self.company.systems.get(self.trouble.system)
        waiting = system is not None and bool(system.faults.script)
        if system is not None and waiting:
            system.faults = system.faults.model_copy(update={"script": ()})
        struck = fault is not None and self.trouble.fault is None and not waiting
        self.trouble = Trouble()
        return struck

    @property
    def planned(self) -> bool:
        """Says whether faults of the line are planned call by call: in one process."""
        return not isinstance(self.clock, WallClock)

    def inject_faults(self, *, resting: bool = False) -> None:
        """Turns the faults on, in every process; while all rest, nobody deletes anything."""
        self.vicious = True
        chances = of_systems(self.faults, planned=self.planned)
        if resting:
            chances.pop("vanishing", None)
        for number, system in enumerate(self.company.systems.values()):
            system.inject_faults(chances, seed=self.seed + number, retry_after=_RETRY_AFTER)

    def clear_faults(self) -> None:
        """Ends all faults; only what a rule forbids stays forbidden."""
        self.vicious = False
        rules = {name: chance for name, chance in self.faults.items() if name == "refused"}
        for number, system in enumerate(self.company.systems.values()):
            system.inject_faults(rules, seed=self.seed + number)

    def known(self, connection: str, stream: str, keys: Sequence[str]) -> Mapping[str, Link]:
        """Returns what the hub has of some records."""
        with self.store.read() as tx:
            return links_by_key(tx, connection, stream, keys)

    def cast(self) -> Cast:
        """Returns who can do what where."""
        makers: dict[str, list[str]] = {}
        typists: dict[str, list[str]] = {}
        desks: dict[str, list[str]] = {}
        for name, emulators in self.company.emulators.items():
            for emulator in emulators.values():
                entity = emulator.entity.name
                adopt = self.plot.policies[entity].imports
                if emulator.tag is None:
                    continue
                if emulator.typed:
                    typists.setdefault(entity, []).append(name)
                if emulator.mapping.imports and (adopt is None or name in adopt):
                    makers.setdefault(entity, []).append(name)
                    desks.setdefault(entity, []).append(name)
        return Cast(makers, typists, desks)
