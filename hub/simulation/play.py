"""Plays scenes in one process on a simulated clock: users type, calls fail, processes die.

Narrates what happens if a listener is given; the checker decides whether it was right.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from connectors.kit.errors import ConnectorError
from hub.simulation.acting import TypedWord, WorkloadRunner
from hub.simulation.arrivals import ArrivalWatch
from hub.simulation.change_history import History
from hub.simulation.crash_points import KilledError
from hub.simulation.decisions import accept_changes, decide_conflicts
from hub.simulation.findings import DEFECTS, Finding, broke_down
from hub.simulation.late_pages import LatePages
from hub.simulation.operations import JOBS
from hub.simulation.scenes import Op, Scene
from hub.simulation.stage import EndlessError, Stage, Trouble
from hub.simulation.webhook_traffic import WebhookTraffic
from hub.simulation.workload import Step
from hub.store import leases


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
        self.late = LatePages(stage)
        self._webhooks = WebhookTraffic(stage, self._note_fault)
        self.changes = 0
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
        self._webhooks.deliver(everything=True)
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
        self._webhooks.send(self._type(steps, aside=False), luck)

    def scene(self, scene: Scene) -> None:
        """Plays one scene."""
        done = self._type(scene.steps, aside=False)
        self._webhooks.send(done, random.Random(scene.luck))  # noqa: S311 - repeatable
        for op in scene.ops:
            self.perform(op)
        self.watch.look()
        self.decide()

    def _note_fault(self, fault: str) -> None:
        self.struck[fault] += 1

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
            JOBS[op.kind](self, op)
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

    # --- those who are asked --------------------------------------------------------------------

    def decide(self, *, most: float = 0.8) -> None:
        """Lets a person resume what is paused and decide most conflicts."""
        self.surprises += accept_changes(self.stage.hub)
        self.decisions += decide_conflicts(self.stage.hub, most=most)
