"""The stage of a simulation: emulators in place of all connections, and a hub between them.

Everything is in one folder and one scratch database. The user's systems are never called: none of
their connectors is opened.
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
from hub.settings.connection_settings import ConnectionSettings
from hub.settings.loading import Settings
from hub.simulation.company_systems import Company
from hub.simulation.crash_points import CrashingConnector, CrashingStore, CrashPoints
from hub.simulation.emulators import Emulator, emulators_for, tags_of
from hub.simulation.faults import of_systems
from hub.simulation.workload import Roles
from hub.store.engine import Store
from hub.store.links import Link, links_by_key
from hub.sync.context import Connection, Hub
from hub.wiring import channels_of, read_words
from mappings.canonical.values import Entity
from mappings.kit.mapping import Mapping as StreamMapping

#: When the day begins.
_MORNING = datetime(2026, 1, 5, 8, tzinfo=UTC)
#: Seconds that a call takes, and a slow one.
_CALL, _SLOW_CALL = 0.05, 8.0
#: Seconds that connectors look back: more than a search lag, and than changes with equal times
#: span.
OVERLAP = 5.0
#: Seconds to wait that a busy system asks for.
_RETRY_AFTER = 0.2
#: Seconds: longer than every lease and every pause after an error.
_LONG = 2 * 3600.0


class Clock:
    """The simulated clock: advances on request, and a little with every reading."""

    def __init__(self) -> None:
        self.now = _MORNING

    def __call__(self) -> datetime:
        self.now += timedelta(milliseconds=1)
        return self.now

    def pass_by(self, seconds: float) -> None:
        """Lets time pass."""
        self.now += timedelta(seconds=seconds)

    def wait_out(self) -> None:
        """Lets more time pass than any lease or pause takes."""
        self.pass_by(_LONG)


class WallClock(Clock):
    """The wall clock: time passes by itself, and leases are released instead."""

    def __call__(self) -> datetime:
        self.now = datetime.now(UTC)
        return self.now

    def pass_by(self, seconds: float) -> None:
        """Does nothing: time passes by itself."""

    def wait_out(self) -> None:
        """Does nothing: the process that held a lease has ended."""


@dataclass(frozen=True)
class Setup:
    """The settings and what follows from them, read once."""

    settings: Settings
    mappings: Mapping[str, Sequence[StreamMapping]]
    entities: Mapping[str, Entity]
    policies: Mapping[str, EntityPolicy]

    @classmethod
    def of(cls, settings: Settings) -> Setup:
        """Reads mappings and policies. Raises: SettingsError."""
        return cls(settings, *read_words(settings))


class EndlessError(Exception):
    """A job would never end."""


class FaultyConnector(CrashingConnector):
    """A connector of an emulator whose calls take time, and one of which may fail."""

    def __init__(self, connector: MemoryConnector, crash_points: CrashPoints, stage: Stage) -> None:
        super().__init__(connector, crash_points)
        self._stage = stage

    def meet(self) -> None:
        """A call begins."""
        self._stage.called(self.connector.system)


@dataclass
class Trouble:
    """What goes wrong during one job."""

    fault: str | None = None
    #: The system that fails, and the number of calls before it does.
    system: str = ""
    after: int = 0


@dataclass
class Stage:
    """Emulators, clock and hub."""

    setup: Setup
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
        found = [m for ms in self.setup.mappings.values() for m in ms]
        tags = tags_of(self.setup.entities, found)
        emulators: dict[str, dict[str, Emulator]] = {}
        systems: dict[str, MemorySystem] = {}
        for name, one in self.setup.settings.connections.items():
            emulators[name] = emulators_for(
                name,
                self.setup.mappings[one.system],
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
        self.faults_on = False
        self._patience = 0
        self._chance = random.Random(f"{self.seed} calls")  # noqa: S311
        self.crash_points, self.hub = self.process()
        _, self.colleague = self.process()

    def _system(self, one: ConnectionSettings, number: int) -> MemorySystem:
        path = self.folder / f"{one.name}.system"
        system = MemorySystem(one.name, streams={}, path=path, clock=self.clock)
        # Clocks are wrong and coarse from the start: one that became so later would jump back.
        clock = {name: c for name, c in self.faults.items() if name in ("skew", "ties")}
        system.inject_faults(clock, seed=self.seed + number)
        return system

    # --- the hub --------------------------------------------------------------------------------

    def process(self) -> tuple[CrashPoints, Hub]:
        """Starts a process with its own hub."""
        self.processes += 1
        crash_points, ids = CrashPoints(), random.Random(f"{self.seed} {self.processes}")  # noqa: S311
        settings = self.setup.settings
        connections = {}
        for name, one in settings.connections.items():
            memory = MemoryConnector.of(self.company.systems[name], page=self.page, overlap=OVERLAP)
            connector = FaultyConnector(memory, crash_points, self)
            channels = channels_of(one, connector, self.setup.mappings[one.system])
            connections[name] = Connection(name, one.system, one.role, connector, channels)
        number = self.processes
        born = iter(range(1, 1 << 60))
        hub = Hub(
            store=CrashingStore(self.store.engine, crash_points),
            connections=connections,
            entities=self.setup.entities,
            policies=self.setup.policies,
            flows=settings.flows,
            limit=settings.limits.limit,
            worker=f"worker-{number}",
            clock=self.clock,
            sleep=self.clock.pass_by,
            # Ids rise over time, as real ones do: indexes grow at their end.
            fresh_id=lambda: f"{number:06x}{next(born):010x}{ids.getrandbits(64):016x}",
        )
        return crash_points, hub

    def called(self, system: MemorySystem) -> None:
        """Accounts for a call to a system: it takes time, and may be the one that fails.

        Raises: EndlessError.
        """
        self._patience -= 1
        if self._patience < 0:
            raise EndlessError(f"does not end; {system.name} is called again and again")
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

    def begin_job(self, *, whole: bool = False) -> None:
        """Begins a job (or a `whole` round), whose calls are limited by the number of records."""
        subjects = sum(map(len, self.company.keys.values()))
        self._patience = 400 + 2 * subjects if whole else 80 + subjects

    def end_trouble(self, *, fault: str | None) -> bool:
        """Ends the trouble; returns True if the planned fault has struck."""
        system = self.company.systems.get(self.trouble.system)
        waiting = system is not None and bool(system.faults.script)
        if system is not None and waiting:
            system.faults = system.faults.model_copy(update={"script": ()})
        struck = fault is not None and self.trouble.fault is None and not waiting
        self.trouble = Trouble()
        return struck

    @property
    def planned(self) -> bool:
        """Returns True if faults of calls are planned call by call, as in one process."""
        return not isinstance(self.clock, WallClock)

    def inject_faults(self, *, resting: bool = False) -> None:
        """Turns the faults on in every process; in a break no user deletes anything."""
        self.faults_on = True
        chances = of_systems(self.faults, planned=self.planned)
        if resting:
            chances.pop("vanishing", None)
        for number, system in enumerate(self.company.systems.values()):
            system.inject_faults(chances, seed=self.seed + number, retry_after=_RETRY_AFTER)

    def clear_faults(self) -> None:
        """Ends all faults; only what a rule refuses stays refused."""
        self.faults_on = False
        rules = {name: chance for name, chance in self.faults.items() if name == "refused"}
        for number, system in enumerate(self.company.systems.values()):
            system.inject_faults(rules, seed=self.seed + number)

    def known(self, connection: str, stream: str, keys: Sequence[str]) -> Mapping[str, Link]:
        """Returns the hub's links of some records."""
        with self.store.read() as tx:
            return links_by_key(tx, connection, stream, keys)

    def roles(self) -> Roles:
        """Returns what users can do in which connection."""
        creators: dict[str, list[str]] = {}
        editors: dict[str, list[str]] = {}
        desks: dict[str, list[str]] = {}
        for name, emulators in self.company.emulators.items():
            for emulator in emulators.values():
                entity = emulator.entity.name
                adopt = self.setup.policies[entity].imports
                if emulator.tag is None:
                    continue
                if emulator.typed:
                    editors.setdefault(entity, []).append(name)
                if emulator.mapping.imports and (adopt is None or name in adopt):
                    creators.setdefault(entity, []).append(name)
                    desks.setdefault(entity, []).append(name)
        return Roles(creators, editors, desks)
