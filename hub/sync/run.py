"""Runs whole rounds: does what is due until nothing is left, for a person who waits for it.

Decides nothing about timing: see due.py.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from connectors.kit.errors import ConnectorError
from hub.store import outbox, quarantine
from hub.store.backlog import quarantined_since
from hub.store.leases import Held
from hub.store.outbox import LEASE
from hub.store.runs import Tally
from hub.store.streams import STREAM_LEASE
from hub.sync.attempt import take_over
from hub.sync.context import Hub
from hub.sync.due import Agenda, OnRequest, Work, agenda, by_phase
from hub.sync.kinds import KINDS
from hub.sync.pauses import waiting_for_people
from hub.sync.progress import Progress, Silence
from hub.sync.reporting import Done, log_run

#: A chain deal -> order -> production, invoice -> figures needs four; more do not converge.
_MOST_ROUNDS = 8
#: Seconds between checks of leases of other processes, growing from the first to the last.
_FIRST_LOOK, _LAST_LOOK = 0.5, 10.0
#: Longer than any lease: a process that still holds one then is making no progress.
_PATIENCE = max(LEASE, STREAM_LEASE) + timedelta(minutes=1)


@dataclass
class Report:
    """The result of all rounds together."""

    rounds: int = 0
    written: int = 0
    changed: int = 0
    tallies: list[Tally] = field(default_factory=list)
    #: Connection -> why it failed.
    failed: dict[str, str] = field(default_factory=dict)
    #: Connection or connection.stream -> why it waits for a person.
    paused: dict[str, str] = field(default_factory=dict)
    #: Work that other processes have not released.
    held: tuple[Held, ...] = ()
    #: Connection -> streams that must be read before anything is written there.
    unread: dict[str, tuple[str, ...]] = field(default_factory=dict)
    #: (pull | push, connection, stream or entity) -> quarantined records that failed in this run.
    quarantined: dict[tuple[str, str, str], int] = field(default_factory=dict)
    #: Nothing was left to do at the end.
    quiet: bool = False


def sync(
    hub: Hub, *, entities: Sequence[str] | None = None, progress: Progress | None = None
) -> Report:
    """Brings all systems in sync: rounds until one has nothing to do.

    A connection that does not answer is left out and reported; the others continue. Leases of dead
    processes on this host are taken over, those of living ones are waited for.
    """
    report = Report()
    rounds, began_at = _Rounds(hub, entities, report, progress or Silence()), hub.clock()
    idle = False
    while not (idle or rounds.stuck) and report.rounds < _MOST_ROUNDS:
        idle = rounds.play()
    with hub.store.read() as tx:
        report.paused = waiting_for_people(hub, tx)
        report.quarantined = quarantined_since(tx, began_at)
    left = rounds.agenda()
    report.held, report.unread = left.held, dict(left.unread)
    report.quiet = idle and not (report.failed or report.held or report.unread)
    return report


class _Rounds:
    """The rounds of one `sync`: read, process the inbox, derive, write."""

    def __init__(
        self, hub: Hub, entities: Sequence[str] | None, report: Report, show: Progress
    ) -> None:
        self.hub, self.entities, self.report, self.show = hub, entities, report, show
        #: Names of the works done in this round.
        self.done: set[str] = set()
        #: Another process makes no progress, so waiting any longer is useless.
        self.stuck = False
        self.swept = {
            (name, stream)
            for name, connection in hub.connections.items()
            for stream, channel in connection.channels.items()
            if channel.facts.deletions == "sweep"
        }

    def agenda(self) -> Agenda:
        """Returns what is left to do in this round."""
        occasion = OnRequest(
            self.entities,
            done=self.done,
            failed=self.report.failed,
            first=self.report.rounds <= 1,
            swept=self.swept,
        )
        return agenda(self.hub, occasion)

    def play(self) -> bool:
        """Runs a round; returns True if there was nothing to do."""
        self.report.rounds += 1
        self.done.clear()
        take_over(self.hub)
        with self.hub.store.begin() as tx:
            outbox.resume_all_waiting(tx, now=self.hub.clock())
            quarantine.resume_all_waiting(tx, now=self.hub.clock())
        before = (self.report.changed, self.report.written)
        waited, patience = False, _Patience(self.hub)
        while True:
            now = self.agenda()
            works = [work for work in now.ready if work.name not in self.done]
            if works:
                for work in self._next(works):
                    self._do(work)
            elif now.held:
                waited = True
                seconds = patience.seconds(now.held)
                if seconds is None:
                    self.stuck = True
                    return False
                self._wait(now.held, seconds)
            else:
                return not waited and (self.report.changed, self.report.written) == before

    def _next(self, works: Iterable[Work]) -> list[Work]:
        """Returns the next works: all of one kind, parents before children."""
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
        began = time.monotonic()
        try:
            done = KINDS[work.kind](self.hub, work, self.show)
        except ConnectorError as error:
            self.report.failed[work.connection] = str(error)
            log_run(self.hub, Done(work, well=False, error=str(error)))
            return
        log_run(self.hub, replace(done, seconds=time.monotonic() - began))
        if done.tally is not None:
            self.report.tallies.append(done.tally)
        self.report.changed += done.changed
        self.report.written += done.written

    def _wait(self, held: Iterable[Held], seconds: float) -> None:
        """Waits briefly for other processes; what they release is done here if it is due."""
        name = "waiting for another process"
        self.show.start(name, None)
        self.hub.sleep(seconds)
        self.show.done(name)
        take_over(self.hub)
        for one in held:
            self.done -= {f"push {one.connection}", f"pull {one.connection} {one.stream}"}


class _Patience:
    """Gives up when the leases of other processes have not changed for longer than any lease."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._seen: object = None
        self._since: datetime | None = None
        self._looks = 0

    def seconds(self, held: Iterable[Held]) -> float | None:
        """Returns how long to wait before the next check; None to give up."""
        seen = {(one.connection, one.stream, one.worker, one.count) for one in held}
        now = self._hub.clock()
        if seen != self._seen or self._since is None:
            self._seen, self._since, self._looks = seen, now, 0
        self._looks += 1
        if now - self._since > _PATIENCE:
            return None
        return min(_FIRST_LOOK * 2.0 ** min(self._looks - 1, 10), _LAST_LOOK)
