"""A rehearsal with real processes: a scheduler and workers on emulators, killed at random.

People type in this process, as fast as the hub can read. Queues have a separate prefix, the
database is temporary, and all started processes are ended.
"""

from __future__ import annotations

import json
import logging
import os
import random
import signal
import sys
import tempfile
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from hub.settings import Settings, load_settings
from hub.settings.shape import BudgetSettings, Schedules
from hub.simulation.certificate import Certificate
from hub.simulation.change_history import History
from hub.simulation.checker import check_history
from hub.simulation.faults import ALONE, TOGETHER
from hub.simulation.findings import Finding
from hub.simulation.in_process import certified, narration
from hub.simulation.operations import exceed_change_limit
from hub.simulation.perform import SimulationResult, SimulationSpec, day_of, end, page_of
from hub.simulation.play import Play
from hub.simulation.rest import rest
from hub.simulation.stage import Stage, WallClock
from hub.simulation.workload import Workload
from hub.store import leases, outbox
from hub.store.engine import open_store
from hub.store.migrate import migrate
from hub.store.scratch import scratch_database
from hub.store.streams import all_streams, save_stream, stream_state
from worker.queues import call_queues, connect, sweep_up
from worker.supervise import Child

#: Intervals between reads of a stream and between sweeps; seconds between kills, from and to.
_PULL, _SWEEP, _KILL = "1s", "60s", (4.0, 12.0)
#: Minimum and maximum number of steps per burst, so that a small day does not only wait for reads.
_BURST = (25, 500)
#: Bursts that people may be ahead of the hub; number of entries that may be due.
_AHEAD, _DUE = 3, 4000
#: Seconds in which the hub must finish all work after people have stopped typing.
_PATIENCE = 300.0
#: How a process reports a programming error in its log.
_DEFECT = "this is a bug in Tulay"


@dataclass
class Company:
    """The processes."""

    folder: Path
    sidecar: Path
    workers: int
    #: Prefix of its queues; empty without Redis.
    queues: str
    redis_url: str | None
    children: list[Child] = field(default_factory=list)

    def __post_init__(self) -> None:
        names = [f"worker {n + 1}" for n in range(self.workers)]
        names += [] if self.redis_url is None else ["scheduler"]
        # -P: a folder called `worker` in the current directory must not shadow this package.
        entry = [sys.executable, "-P", "-m", "worker.simulation", str(self.sidecar)]
        self.children = [Child(name, [*entry, name.split()[0]]) for name in names]

    def watch(self) -> None:
        """Starts processes that do not run; killed ones restart at once."""
        for child in self.children:
            child.deaths = 0
            child.watch(time.monotonic())

    def kill_one(self, chance: random.Random) -> str:
        """Kills a random process without warning."""
        child = chance.choice(self.children)
        child.tell(signal.SIGKILL)
        return child.name

    def forget(self) -> None:
        """Deletes everything of this rehearsal from Redis."""
        if self.redis_url is not None:
            redis = connect(self.redis_url)
            sweep_up(redis, self.queues)
            redis.close()

    def end(self) -> None:
        """Ends all processes, in order if possible."""
        for child in self.children:
            child.tell(signal.SIGTERM)
        until = time.monotonic() + 40
        for child in self.children:
            if not child.wait(until - time.monotonic()):
                child.tell(signal.SIGKILL)
                child.wait(5)

    def defects(self) -> list[str]:
        """Returns the programming errors that the processes have logged."""
        log = self.folder / "log"
        lines = log.read_text(encoding="utf-8").splitlines() if log.is_file() else []
        return [line for line in lines if _DEFECT in line]


def rehearse(
    spec: SimulationSpec,
    *,
    workers: int,
    database: str | None,
    redis_url: str | None,
    advance: Callable[[int], None] = lambda _count: None,
) -> Certificate:
    """Runs a simulation with real processes and returns its certificate."""
    environment()
    spec = spec.without(ALONE if redis_url else ALONE | TOGETHER)
    # Processes are meant to end here.
    logging.getLogger("tulay.serve").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory(prefix="tulay-rehearsal-") as name:
        folder = Path(name)
        with (
            scratch_database(database, folder) as url,
            _queues(redis_url) as prefix,
            closing(open_store(url)) as scratch,
            History(folder / "history") as history,
        ):
            migrate(scratch)
            sidecar = folder / "rehearsal.json"
            sidecar.touch(mode=0o600)
            sidecar.write_text(
                json.dumps(
                    {
                        "config": str(spec.setup.settings.path),
                        "database": url,
                        "redis_url": redis_url,
                        "queues": prefix,
                        "folder": str(folder),
                        "page": page_of(spec),
                    }
                ),
                encoding="utf-8",
            )
            company = Company(folder, sidecar, workers, prefix, redis_url)
            stage = Stage(
                spec.setup,
                folder,
                scratch,
                spec.seed,
                spec.faults,
                WallClock(),
                page=page_of(spec),
            )
            done = _perform(spec, Play(stage, history), company=company, advance=advance)
            kind = "SQLite" if scratch.embedded else "PostgreSQL"
            said = "Redis" if redis_url else "no Redis"
            certificate = certified(spec, done.play, done, database=kind, queues=said)
            certificate.workers = workers
            certificate.story = narration(done.play, done.check_result.findings)
            return certificate


@contextmanager
def _queues(redis_url: str | None) -> Iterator[str]:
    """Yields an unused prefix for queues, and deletes them at the end."""
    prefix = f"tulay-rehearsal-{uuid.uuid4().hex[:8]}"
    try:
        yield prefix
    finally:
        if redis_url is not None:
            redis = connect(redis_url)
            sweep_up(redis, prefix)
            redis.close()


def _perform(
    spec: SimulationSpec, play: Play, *, company: Company, advance: Callable[[int], None]
) -> SimulationResult:
    began, stage = time.monotonic(), play.stage
    day = day_of(spec, stage)
    play.populate(day.population())
    rest(play)
    play.day_begins()
    try:
        _Day(spec, play, day, company, advance).work()
        play.day_ends()
        stage.clear_faults()
        _wait_for_quiet(play, company)
        if "surprise" in spec.faults:
            exceed_change_limit(play, spec.seed, _Sweeper(play, company))
            _wait_for_quiet(play, company)
    finally:
        company.end()
    play.findings += [Finding("P6", line) for line in company.defects()]
    _free_leases(play)
    end(play)
    return SimulationResult(play, check_history(play), 0, time.monotonic() - began)


@dataclass
class _Sweeper:
    """Makes the processes sweep a stream now, and waits until they have swept or paused it."""

    play: Play
    company: Company

    def __call__(self, connection: str, stream: str) -> None:
        hub = self.play.stage.hub
        with hub.store.begin() as tx:
            save_stream(tx, connection, stream, swept_at=None)
        until = time.monotonic() + _PATIENCE
        while time.monotonic() < until:
            self.company.watch()
            with hub.store.read() as tx:
                state = stream_state(tx, connection, stream)
            if state.paused_at is not None or state.swept_at is not None:
                return
            time.sleep(0.1)


@dataclass
class _Day:
    """The working day: people type, results are checked, processes are killed."""

    spec: SimulationSpec
    play: Play
    day: Workload
    company: Company
    advance: Callable[[int], None]

    def work(self) -> None:
        """Ends when the requested number of changes was made."""
        chance = random.Random(f"{self.spec.seed} processes")  # noqa: S311 - repeatable
        steps = self.day.steps()
        size = max(_BURST[0], min(self.spec.changes // 40, _BURST[1]))
        typed: deque[datetime] = deque(maxlen=_AHEAD)
        strike_at = time.monotonic() + 3.0
        while self.play.changes < self.spec.changes:
            self.company.watch()
            if time.monotonic() > strike_at:
                self._strike(chance)
                strike_at = time.monotonic() + chance.uniform(*_KILL)
            if self._too_far_ahead(typed):
                self._look()
                time.sleep(0.1)
                continue
            before = self.play.changes
            self.play.type_and_tell([next(steps) for _ in range(size)], chance)
            typed.append(self.play.stage.clock())
            self.advance(self.play.changes - before)
            self._look()

    def _strike(self, chance: random.Random) -> None:
        faults = self.spec.faults
        if chance.random() < faults.get("flush", 0.0):
            self.company.forget()
            self.play.struck["flush"] += 1
        if "kill" in faults:
            self.company.kill_one(chance)
            self.play.struck["kill"] += 1

    def _look(self) -> None:
        self.play.watch.look()
        self.play.decide()

    def _too_far_ahead(self, typed: deque[datetime]) -> bool:
        """Returns True if the hub has not read earlier bursts yet, or has too much work due."""
        with self.play.stage.store.read() as tx:
            read = [state.read_at for state in all_streams(tx).values()]
            if len(typed) == _AHEAD and any(at is None or at < typed[0] for at in read):
                return True
            return sum(outbox.due_counts(tx, now=self.play.stage.clock())) > _DUE


def _wait_for_quiet(play: Play, company: Company) -> None:
    """Gives the processes time to do what is due; the last rounds show what they leave."""
    until = time.monotonic() + _PATIENCE
    home = play.stage.clock()
    while time.monotonic() < until:
        company.watch()
        play.watch.look()
        play.decide(most=0.0)
        with play.stage.store.read() as tx:
            read = [state.read_at for state in all_streams(tx).values()]
            due = sum(outbox.due_counts(tx, now=play.stage.clock()))
        if not due and all(at is not None and at > home for at in read):
            return
        time.sleep(0.3)


def _free_leases(play: Play) -> None:
    """Releases all leases: no process is left that could hold one."""
    hub = play.stage.hub
    with hub.store.begin() as tx:
        for holder in leases.holders(tx):
            leases.release(tx, holder, now=hub.clock(), reason="the rehearsal ended its process")


def settings_of(sidecar: Mapping[str, Any]) -> Settings:
    """Returns the settings of a process: the user's, with emulators in place of all systems."""
    settings = load_settings(sidecar["config"], rehearsal=True)
    redis_url = sidecar["redis_url"]
    connections = {
        name: replace(
            one,
            played_by=(
                "memory",
                {
                    "system": name,
                    "path": str(Path(sidecar["folder"]) / f"{name}.system"),
                    "page": sidecar["page"],
                },
            ),
            # No real limit applies; the certificate reports the calls made.
            budget=BudgetSettings(requests=1_000_000, per_seconds=1.0),
        )
        for name, one in settings.connections.items()
    }
    return replace(
        settings,
        database=sidecar["database"],
        redis_url=None if redis_url is None else SecretStr(redis_url),
        connections=connections,
        schedules=Schedules.model_validate({"pull": _PULL, "sweep": _SWEEP}),
    )


def main() -> None:
    """Runs one process of a rehearsal, until it or its parent is ended."""
    from worker.service import CHILDREN, end_with_parent

    path, role = sys.argv[1:]
    sidecar = json.loads(Path(path).read_text(encoding="utf-8"))
    log = Path(sidecar["folder"]) / "log"
    logging.basicConfig(filename=log, level=logging.ERROR, format="%(asctime)s %(message)s")
    end_with_parent()
    call_queues(sidecar["queues"])
    CHILDREN[role](settings_of(sidecar))


def environment() -> None:
    """Lets child processes import these packages from any directory."""
    options = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, options))


if __name__ == "__main__":
    main()
