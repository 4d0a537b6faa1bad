"""Plays scenes in one process on a simulated clock: users type, calls fail, processes die.

Narrates what happens if a listener is given; the checker decides whether it was right.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import ClassVar

from sqlalchemy.exc import SQLAlchemyError

from connectors.kit.contract import Notification, Page
from connectors.kit.errors import ConnectorError
from connectors.kit.faults import journeys
from connectors.memory import MemoryConnector
from connectors.memory.reading import Place
from connectors.memory.storage_tables import as_text
from hub.errors import DecisionError, HubError
from hub.simulation.acting import TypedWord, WorkloadRunner
from hub.simulation.arrivals import ArrivalWatch
from hub.simulation.change_history import History
from hub.simulation.crash_points import KilledError
from hub.simulation.hidden_records import Sweep, exceed_change_limit
from hub.simulation.scenes import Op, Scene
from hub.simulation.stage import EndlessError, Stage, Trouble
from hub.simulation.workload import Step
from hub.store import leases
from hub.store.conflicts import list_conflicts
from hub.store.connections import connection_states, save_connection
from hub.store.links import links_by_key
from hub.store.runs import Tally
from hub.store.streams import all_streams, save_stream
from hub.sync.context import Hub
from hub.sync.flows import derive
from hub.sync.ingest.inbox import process_inbox
from hub.sync.ingest.page import ingest
from hub.sync.ingest.pull import pull
from hub.sync.ingest.read_record import Origin
from hub.sync.ingest.sweep import sweep
from hub.sync.ingest.webhooks import receive
from hub.sync.operate.resolve import resolve_conflict
from hub.sync.push.push import push
from mappings.kit.errors import MappingError

#: Errors that a defect of the hub may raise.
DEFECTS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    HubError,
    LookupError,
    MappingError,
    RuntimeError,
    SQLAlchemyError,
    TypeError,
    ValueError,
)
#: Share of the changes in systems with webhooks that a webhook reports.
_NOTIFIED = 0.15
#: Seconds after which a failed write is repeated.
_PAUSE = 60.0


@dataclass(frozen=True, slots=True)
class Finding:
    """A broken promise."""

    #: P1 to P12
    promise: str
    #: What is wrong, for display.
    what: str
    #: The subjects it is about.
    subjects: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """The same for all findings of one kind, whatever the record."""
        words = [w for w in self.what.split() if not any(c.isdigit() or c in "'\"" for c in w)]
        return f"{self.promise} {' '.join(words[:6])}"


@dataclass
class Play:
    """One simulation in one process."""

    stage: Stage
    history: History
    #: Called with a line about each event; None: no listener.
    tell: Callable[[str], None] | None = None
    findings: list[Finding] = field(default_factory=list)
    #: Injected faults: name -> how often.
    struck: Counter[str] = field(default_factory=Counter)
    #: Runs that paused because they would have exceeded the change limit.
    surprises: int = 0
    decisions: int = 0
    #: Writes in rounds in which nothing had changed.
    echoes: int = 0
    #: A job would never have ended: there is no point in continuing.
    endless: bool = False

    def __post_init__(self) -> None:
        stage = self.stage
        self.users = WorkloadRunner(stage.company, self.history, stage.known, first=1 << 60)
        self.watch = ArrivalWatch(stage.company, self.history, stage.setup.policies)
        self.users.recorder.listeners.append(self.watch.typed)
        self.late: list[tuple[str, str, Page]] = []
        #: (due at, connection, notifications)
        self.delayed: list[tuple[datetime, str, Notification]] = []
        self.events = self.changes = 0
        #: Seconds of the day on the simulated clock.
        self.length = 0.0
        self._began = stage.clock.now
        self.writing: str | None = None

    def day_begins(self) -> None:
        """Starts the day: the initial data is synced, and later changes count."""
        self._began = self.stage.clock.now
        self.struck.clear()
        for system in self.stage.company.systems.values():
            system.forget_calls()
            system.fault_state.forget_happened()
        self.stage.inject_faults()

    def day_ends(self) -> None:
        """Ends the day: records its length and delivers the last webhooks."""
        self._deliver(everything=True)
        self.length = (self.stage.clock.now - self._began).total_seconds()

    def say(self, text: str) -> None:
        """Calls the listener."""
        if self.tell is not None:
            self.tell(text)

    # --- people ---------------------------------------------------------------------------------

    def populate(self, steps: Iterable[Step]) -> int:
        """Creates the initial data; returns the number of its last step."""
        portion: list[Step] = []
        last = 0
        for step in steps:
            portion.append(step)
            last = step.number
            if len(portion) == 500:
                self._type(portion, aside=False)
                portion = []
        self._type(portion, aside=False)
        self.users.recorder.population_ends(last)
        self.changes = 0
        return last

    def _type(self, steps: Iterable[Step], *, aside: bool) -> list[TypedWord]:
        done: list[TypedWord] = []
        steps = list(steps)
        for step in steps:
            self.stage.clock.pass_by(step.pause)
        done = self.users.carry_out(steps, closed=self.writing)
        self.changes += self.users.recorder.take_count()
        if self.tell is not None:
            for line in self.users.recorder.take_narration():
                self.say(f"  meanwhile: {line}" if aside else line)
        return done

    def type_and_tell(self, steps: Iterable[Step], luck: random.Random) -> None:
        """Carries out steps of users; their systems send webhooks about some of them."""
        self._send_webhooks(self._type(steps, aside=False), luck)

    def scene(self, scene: Scene) -> None:
        """Plays one scene."""
        done = self._type(scene.steps, aside=False)
        self._send_webhooks(done, random.Random(scene.luck))  # noqa: S311 - repeatable
        for op in scene.ops:
            self.perform(op)
        self.watch.look()
        self.decide()

    def _send_webhooks(self, done: Iterable[TypedWord], luck: random.Random) -> None:
        for spoken in done:
            name, stream = spoken.emulator.connection, spoken.emulator.stream
            if not self.stage.setup.settings.connections[name].manifest.webhooks:
                continue
            if luck.random() > _NOTIFIED:
                continue
            self.events += 1
            notification = Notification(stream, spoken.key, f"event-{self.events}")
            waits = journeys(self.stage.faults, lambda _name: luck.random(), self._has_struck)
            now = self.stage.clock()
            self.delayed += [(now + timedelta(seconds=wait), name, notification) for wait in waits]
        self._deliver()

    def _has_struck(self, fault: str) -> None:
        self.struck[fault] += 1

    def _deliver(self, *, everything: bool = False) -> None:
        """Delivers the webhooks that are due, in order of arrival."""
        now = self.stage.clock()
        by_system: dict[str, list[Notification]] = {}
        later: list[tuple[datetime, str, Notification]] = []
        for due, name, notification in sorted(self.delayed, key=lambda one: one[0]):
            if everything or due <= now:
                by_system.setdefault(name, []).append(notification)
            else:
                later.append((due, name, notification))
        self.delayed = later
        for name, notifications in by_system.items():
            receive(self.stage.hub, name, notifications)

    # --- the hub --------------------------------------------------------------------------------

    def perform(self, op: Op) -> None:
        """Does one job, with everything that goes wrong in it."""
        stage = self.stage
        where = " ".join(part for part in (op.connection, op.stream) if part)
        self.say(f"{stage.hub.worker}: {op.kind} {where}".rstrip())
        stage.trouble = Trouble(op.fault, op.connection, op.after)
        inner = None
        if op.meanwhile is not None:
            at, steps = op.meanwhile
            inner = (at, lambda: self._aside(steps))
        stage.begin_job()
        stage.crash_points.expect(op.dies, inner)
        self.writing = op.connection if op.kind in ("push", "again") else None
        try:
            self._WORK[op.kind](self, stage.hub, op)
        except KilledError:
            self.struck["kill"] += 1
            self.say(f"  {stage.hub.worker} is killed at its crash point {op.dies}")
            self._rise(found_dead=op.found_dead)
        except ConnectorError as error:
            self.say(f"  which fails: {error}")
        except EndlessError as error:
            self.endless = True
            self.findings.append(Finding("P3", f"{op.kind} {where} {error}"))
            self._rise(found_dead=True)
        except DEFECTS as error:
            self.findings.append(broke_down(op.kind, error))
            self._rise(found_dead=True)
        finally:
            if stage.end_trouble(fault=op.fault):
                self.struck[op.fault_name] += 1
            stage.crash_points.expect(None, None)
            self.writing = None

    def _aside(self, steps: Iterable[Step]) -> None:
        self._type(steps, aside=True)

    def _rise(self, *, found_dead: bool) -> None:
        """Starts another process in place of the dead one."""
        dead = self.stage.hub.worker
        self.stage.crash_points, self.stage.hub = self.stage.process()
        if found_dead:
            hub = self.stage.hub
            with hub.store.begin() as tx:
                leases.release(tx, dead, now=hub.clock(), reason="the process died")

    def count(self, tally: Tally) -> None:
        if not tally.adds_up:
            what = (
                f"the counts of a {tally.kind} of {tally.connection} {tally.stream} do not add up"
            )
            self.findings.append(Finding("P10", what))

    def _pull(self, hub: Hub, op: Op) -> None:
        self.count(pull(hub, op.connection, op.stream))

    def _sweep(self, hub: Hub, op: Op) -> None:
        self.count(sweep(hub, op.connection, op.stream))

    def _inbox(self, hub: Hub, op: Op) -> None:
        self.count(process_inbox(hub, op.connection))

    def _push(self, hub: Hub, op: Op) -> None:
        push(hub, op.connection)

    def _again(self, hub: Hub, op: Op) -> None:
        """Pushes again when all pauses after errors are over, before anything is read."""
        self.stage.clock.pass_by(_PAUSE)
        push(hub, op.connection)

    def _derive(self, hub: Hub, _: Op) -> None:
        derive(hub)

    def _surprise(self, hub: Hub, op: Op) -> None:
        """Hides records from one sweep, as if a permission were lost."""

        def look(name: str, stream: str) -> None:
            self.count(sweep(hub, name, stream))

        self.exceed_change_limit(op.after, look)

    def exceed_change_limit(self, pick: int, sweep: Sweep) -> None:
        """Exceeds the change limit if a stream is large enough."""
        found = exceed_change_limit(self.stage, pick, sweep)
        if found is not None:
            self.struck["surprise"] += 1
            self.findings += [Finding("P9", what) for what in found]

    def _delay(self, hub: Hub, op: Op) -> None:
        """Reads a page and keeps it back."""
        system = self.stage.company.systems[op.connection]
        since = system.fault_state.moment() - timedelta(minutes=10)
        cursor = Place(system.epoch, as_text(since)).text()
        pages = MemoryConnector.of(system).pages(op.stream, cursor)
        self.late.append((op.connection, op.stream, next(iter(pages))))

    def _arrive(self, hub: Hub, _: Op) -> None:
        """Ingests a page that was read some time ago."""
        if not self.late:
            return
        self.struck["stale"] += 1
        name, stream, page = self.late.pop(0)
        self.say(f"  an old page of {name} {stream} is ingested")
        channel = hub.connection(name).channel(stream)
        tally = Tally(hub.fresh_id(), "late", name, stream, hub.clock())
        system = self.stage.company.systems[name]
        with hub.store.begin() as tx:
            # A page cannot tell that a record unknown to the hub is gone: a sweep will.
            known = links_by_key(tx, name, stream, [record.key for record in page.records])
            kept = [
                record
                for record in page.records
                if record.key in known
                or ((row := system.row(stream, record.key)) is not None and row.fate == "live")
            ]
            ingest(
                hub,
                tx,
                channel,
                page=replace(page, records=kept),
                tally=tally,
                origin=Origin.LISTED,
            )
        self.count(tally)

    #: Kind of job -> how it is done.
    _WORK: ClassVar[Mapping[str, Callable[[Play, Hub, Op], None]]] = {
        "pull": _pull,
        "sweep": _sweep,
        "inbox": _inbox,
        "push": _push,
        "again": _again,
        "derive": _derive,
        "surprise": _surprise,
        "delay": _delay,
        "arrive": _arrive,
    }

    # --- those who are asked --------------------------------------------------------------------

    def decide(self, *, most: float = 0.8) -> None:
        """Lets a person resume what is paused and decide most conflicts."""
        self.surprises += accept_changes(self.stage.hub)
        hub = self.stage.hub
        with hub.store.read() as tx:
            waiting = list_conflicts(tx)
        for number, row in enumerate(waiting):
            if number >= len(waiting) * most:
                break
            try:
                resolve_conflict(hub, row.id, "ours" if row.id % 2 else "theirs")
                self.decisions += 1
            except DecisionError:
                continue  # decided along with another one, or its record is gone


def accept_changes(hub: Hub) -> int:
    """Resumes every paused stream and connection; returns how many there were."""
    free = {"paused_at": None, "reason": None}
    with hub.store.begin() as tx:
        paused = [name for name, state in all_streams(tx).items() if state.paused_at is not None]
        for connection, stream in paused:
            save_stream(tx, connection, stream, **free, accepted=1)
        for name, known in connection_states(tx).items():
            if known.paused_at is not None:
                save_connection(tx, name, **free)
    return len(paused)


def broke_down(kind: str, error: BaseException) -> Finding:
    """Returns the finding that a job ended in an error it should never raise."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    position = f"{trace.tb_frame.f_code.co_name}:{trace.tb_lineno}" if trace is not None else ""
    return Finding("P6", f"{kind} broke down: {type(error).__name__} in {position}: {error}")
