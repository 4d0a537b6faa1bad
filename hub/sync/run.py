"""Does what is due: one piece of work for whoever asks, and whole rounds until nothing is due.

Decides nothing about when: that is due.py. Nothing here knows whether it runs in a command, in
`tulay serve` or in a worker.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Connection as Transaction
from sqlalchemy.exc import DBAPIError

from connectors.kit.budget import bulk
from connectors.kit.errors import ConnectorError
from hub.model.rhythm import rest_after
from hub.store import leases, letters, queues
from hub.store import progress as store
from hub.store import work as store_work
from hub.store.engine import trouble
from hub.store.holders import is_dead
from hub.store.leases import Held
from hub.store.progress import Tally
from hub.sync.derive import age, derive
from hub.sync.drain import drain
from hub.sync.due import Agenda, OnRequest, Work, agenda, by_phase
from hub.sync.hub import Hub
from hub.sync.progress import Progress, Silence, StoppedError
from hub.sync.pull import pull, sweep
from hub.sync.push import push

log = logging.getLogger("tulay.sync")

#: A chain deal -> order -> production, invoice -> figures needs four; more means no convergence.
_MOST_ROUNDS = 8
#: How long runs are kept in which nothing happened, and all others.
_QUIET_RUNS, _ALL_RUNS = timedelta(days=2), timedelta(days=90)
#: Seconds between two looks at what other processes hold.
_LOOK = 1.0
#: Nobody who makes any headway keeps the same records longer.
_PATIENCE = queues.LEASE + timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a piece of work."""

    work: Work
    tally: Tally | None = None
    #: Golden records that were made or changed, and records that were written.
    changed: int = 0
    written: int = 0
    #: It ended well; otherwise somebody else has it, it was stopped, or `error` says why.
    well: bool = True
    error: str | None = None


# --- one piece of work -------------------------------------------------------------------------


def _pull(hub: Hub, work: Work, progress: Progress) -> Done:
    return _counted(work, pull(hub, work.connection, work.stream, progress=progress))


def _sweep(hub: Hub, work: Work, progress: Progress) -> Done:
    return _counted(work, sweep(hub, work.connection, work.stream, progress=progress))


def _drain(hub: Hub, work: Work, progress: Progress) -> Done:
    return _counted(work, drain(hub, work.connection, progress=progress))


def _push(hub: Hub, work: Work, progress: Progress) -> Done:
    return _counted(work, push(hub, work.connection, progress=progress))


def _derive(hub: Hub, work: Work, _: Progress) -> Done:
    return Done(work, changed=derive(hub))


def _tidy(hub: Hub, work: Work, _: Progress) -> Done:
    age(hub)
    now = hub.clock()
    with hub.store.begin() as tx:
        queues.retry_refused(tx, now=now)
        store_work.forget_runs(tx, quiet=now - _QUIET_RUNS, all_before=now - _ALL_RUNS)
    return Done(work)


def _counted(work: Work, tally: Tally) -> Done:
    return Done(work, tally, tally.changed, tally.written)


KINDS: dict[str, Callable[[Hub, Work, Progress], Done]] = {
    "pull": _pull,
    "sweep": _sweep,
    "drain": _drain,
    "push": _push,
    "derive": _derive,
    "tidy": _tidy,
}


def attempt(hub: Hub, work: Work, progress: Progress) -> Done:
    """Does a piece of work unless another process has it, and gives it back.

    What goes wrong is tried again after a growing pause; the database knows when.

    Raises: DBAPIError when it could not be given back; whatever is a mistake of ours.
    """
    if not _take(hub, work):
        return Done(work, well=False)
    moving = _Moving(progress)
    try:
        # Nobody waits for slow work: it leaves a share of every rate limit to live changes.
        with bulk(work.slow):
            done = KINDS[work.kind](hub, work, moving)
    except StoppedError:
        break_off(hub, work, "the worker was told to stop; the next run goes on from there")
        return Done(work, well=False)
    except (ConnectorError, DBAPIError) as error:
        _failed(hub, work, moved=moving.moved)
        said = str(error) if isinstance(error, ConnectorError) else trouble(error)
        return Done(work, well=False, error=said)
    except BaseException:
        # A mistake of ours, or a job's time is up: it must rest as well, then it may show itself.
        _failed(hub, work, moved=False)
        raise
    _give_back(hub, work)
    return done


def _take(hub: Hub, work: Work) -> bool:
    with hub.store.begin() as tx:
        return store_work.take(tx, work.name, worker=hub.worker, now=hub.clock())


def _give_back(hub: Hub, work: Work) -> None:
    with hub.store.begin() as tx:
        store_work.done(tx, work.name, worker=hub.worker, now=hub.clock())


class _Moving:
    """Passes progress on, and notes whether a page or batch was done."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        #: What failed after a page or batch was done has not failed in a row.
        self.moved = False

    def start(self, name: str, total: int | None) -> None:
        """Passes it on."""
        self._progress.start(name, total)

    def advance(self, name: str, count: int) -> None:
        """Passes it on."""
        self.moved = True
        self._progress.advance(name, count)

    def done(self, name: str) -> None:
        """Passes it on."""
        self._progress.done(name)


def break_off(hub: Hub, work: Work, reason: str) -> None:
    """Gives back work that was broken off: the next process goes on with it."""
    with hub.store.begin() as tx:
        _let_go(tx, hub, work, reason)
        store_work.unfinished(tx, work.name, worker=hub.worker)


def _failed(hub: Hub, work: Work, *, moved: bool) -> None:
    with hub.store.begin() as tx:
        _let_go(tx, hub, work, "it was broken off; the next run goes on from there")
        # A sweep begins again each time: that it had come far does not help it.
        onward = moved and work.kind != "sweep"
        failures = 1 if onward else store_work.states(tx)[work.name].failures + 1
        due_at = hub.clock() + rest_after(failures)
        store_work.failed(tx, work.name, worker=hub.worker, failures=failures, due_at=due_at)


def _let_go(tx: Transaction, hub: Hub, work: Work, reason: str) -> None:
    """Ends what the work has left open: leases that nobody uses would be prolonged for ever."""
    if work.stream:
        leases.end_runs(tx, work.connection, work.stream, now=hub.clock(), reason=reason)
    if work.stream or work.kind == "push":
        leases.let_go(tx, hub.worker, work.connection, work.stream)


def take_over(hub: Hub) -> None:
    """Frees the leases of processes that died on this host; all others must run out."""
    with hub.store.read() as tx:
        dead = [name for name in leases.holders(tx) if name != hub.worker and is_dead(name)]
    for name in dead:
        with hub.store.begin() as tx:
            leases.release(
                tx, name, now=hub.clock(), reason="the process died; the next run goes on"
            )
        log.warning("took over from %s, which died", name)


def give_back(hub: Hub) -> None:
    """Frees the leases of this process, which ends; others see that it is gone, too."""
    try:
        with hub.store.begin() as tx:
            leases.release(tx, hub.worker, now=hub.clock(), reason="the worker was stopped")
    except DBAPIError as error:
        log.warning("leases are left to whoever comes next: %s", trouble(error))


# --- whole rounds ------------------------------------------------------------------------------


@dataclass
class Report:
    """What happened in all rounds together."""

    rounds: int = 0
    written: int = 0
    changed: int = 0
    tallies: list[Tally] = field(default_factory=list)
    #: Connection -> why it could not be spoken to.
    failed: dict[str, str] = field(default_factory=dict)
    #: Connection or connection.stream -> why it waits for a person.
    paused: dict[str, str] = field(default_factory=dict)
    #: What other processes would not let go of.
    held: tuple[Held, ...] = ()
    #: Connection -> streams that must be read before anything is written there.
    unread: dict[str, tuple[str, ...]] = field(default_factory=dict)
    #: Nothing was left to do at the end.
    quiet: bool = False


def sync(
    hub: Hub, *, entities: Sequence[str] | None = None, progress: Progress | None = None
) -> Report:
    """Brings all sides together: rounds until one has nothing to do.

    A connection that does not answer is left out and reported; the others go on. What a dead
    process of this host held is taken over, what a living one holds is waited for.
    """
    report = Report()
    rounds = _Rounds(hub, entities, report, progress or Silence())
    idle = False
    while not idle and report.rounds < _MOST_ROUNDS:
        idle = rounds.play()
    with hub.store.read() as tx:
        report.paused = _paused(hub, tx)
    left = rounds.agenda()
    report.held, report.unread = left.held, dict(left.unread)
    report.quiet = idle and not (report.failed or report.held or report.unread)
    return report


class _Rounds:
    """Rounds of one `sync`: read all, look at what was asked for, derive, write."""

    def __init__(
        self, hub: Hub, entities: Sequence[str] | None, report: Report, show: Progress
    ) -> None:
        self.hub, self.entities, self.report, self.show = hub, entities, report, show
        #: Names of the works that this round has done.
        self.done: set[str] = set()
        self.swept = {
            (name, stream)
            for name, connection in hub.connections.items()
            for stream, channel in connection.channels.items()
            if channel.facts.deletions == "sweep"
        }

    def agenda(self) -> Agenda:
        """Returns what this round has still to do."""
        occasion = OnRequest(
            self.entities,
            done=self.done,
            failed=self.report.failed,
            first=self.report.rounds <= 1,
            swept=self.swept,
        )
        return agenda(self.hub, occasion, self.hub.clock())

    def play(self) -> bool:
        """Plays a round; returns True if there was nothing to do."""
        self.report.rounds += 1
        self.done.clear()
        take_over(self.hub)
        with self.hub.store.begin() as tx:
            queues.wake_all(tx, now=self.hub.clock())
            letters.wake_all(tx, now=self.hub.clock())
        before = (self.report.changed, self.report.written)
        waited, patience = False, _Patience(self.hub)
        while True:
            now = self.agenda()
            works = [work for work in now.ready if work.name not in self.done]
            if works:
                for work in self._next(works):
                    self._do(work)
            elif now.held and patience.left(now.held):
                waited = True
                self._wait(now.held)
            else:
                return not waited and (self.report.changed, self.report.written) == before

    def _next(self, works: Iterable[Work]) -> list[Work]:
        """Returns the works that come first: of one kind, parents before children."""
        order = list(self.hub.entities)

        def rank(work: Work) -> int:
            if not work.stream:
                return 0
            channel = self.hub.connections[work.connection].channels[work.stream]
            return order.index(channel.entity.name)

        first, *rest = by_phase(works)
        return sorted((work for work in (first, *rest) if work.kind == first.kind), key=rank)

    def _do(self, work: Work) -> None:
        self.done.add(work.name)
        if work.connection in self.report.failed:
            return
        try:
            done = KINDS[work.kind](self.hub, work, self.show)
        except ConnectorError as error:
            self.report.failed[work.connection] = str(error)
            return
        if done.tally is not None:
            self.report.tallies.append(done.tally)
        self.report.changed += done.changed
        self.report.written += done.written

    def _wait(self, held: Iterable[Held]) -> None:
        """Waits a moment for other processes; what they let go of is done here if it is due."""
        name = "waiting for another process"
        self.show.start(name, None)
        self.hub.sleep(_LOOK)
        self.show.done(name)
        take_over(self.hub)
        for one in held:
            self.done -= {f"push {one.connection}", f"pull {one.connection} {one.stream}"}


class _Patience:
    """Ends when other processes have held the same for longer than anybody who makes headway."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._seen: object = None
        self._since: datetime | None = None

    def left(self, held: Iterable[Held]) -> bool:
        """Returns True if it is worth waiting on."""
        seen, now = (
            {(one.connection, one.stream, one.worker, one.count) for one in held},
            self._hub.clock(),
        )
        if seen != self._seen or self._since is None:
            self._seen, self._since = seen, now
        return now - self._since < _PATIENCE


def _paused(hub: Hub, tx: Transaction) -> dict[str, str]:
    found = {
        name: str(state["reason"])
        for name, state in store.connection_states(tx).items()
        if state["paused_at"] is not None and name in hub.connections
    }
    for row in store.all_streams(tx):
        if row["paused_at"] is not None and row["connection"] in hub.connections:
            found[f"{row['connection']}.{row['stream']}"] = str(row["reason"])
    return found
