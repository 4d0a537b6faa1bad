"""Does one piece of work: takes it, does it, gives it back. Twice at the same time is once."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from threading import Event

from sqlalchemy import Connection as Transaction
from sqlalchemy.exc import DBAPIError

from connectors.kit.budget import bulk
from connectors.kit.errors import ConnectorError
from hub.store import leases, outbox
from hub.store import work as store
from hub.store.engine import trouble
from hub.store.holders import is_dead
from hub.store.runs import forget_runs
from hub.sync.derive import age, derive
from hub.sync.drain import drain
from hub.sync.hub import Hub
from hub.sync.pull import pull, sweep
from hub.sync.push import push
from worker.dispatch import Work
from worker.schedule import pause

log = logging.getLogger("tulay.worker")

_QUIET_RUNS = timedelta(days=2)
_ALL_RUNS = timedelta(days=90)


class StoppedError(Exception):
    """The process shall end: the page or batch is stored, the rest is done by whoever is next."""


class Stopping:
    """Progress that nobody looks at, and that ends the work between two pages or batches."""

    def __init__(self, stop: Event) -> None:
        self._stop = stop
        #: Whether a page or batch was done: what failed after it has not failed in a row.
        self.moved = False

    def start(self, name: str, total: int | None) -> None:
        """Says nothing."""

    def advance(self, name: str, count: int) -> None:
        """Raises: StoppedError when the process shall end."""
        self.moved = True
        if self._stop.is_set():
            raise StoppedError(name)

    def done(self, name: str) -> None:
        """Says nothing."""


def _pull(hub: Hub, work: Work, stopping: Stopping) -> None:
    pull(hub, work.connection, work.stream, progress=stopping)


def _sweep(hub: Hub, work: Work, stopping: Stopping) -> None:
    sweep(hub, work.connection, work.stream, progress=stopping)


def _drain(hub: Hub, work: Work, stopping: Stopping) -> None:
    drain(hub, work.connection, progress=stopping)


def _push(hub: Hub, work: Work, stopping: Stopping) -> None:
    push(hub, work.connection, progress=stopping)


def _derive(hub: Hub, _: Work, __: Stopping) -> None:
    derive(hub)


def _tidy(hub: Hub, _: Work, __: Stopping) -> None:
    age(hub)
    now = hub.clock()
    with hub.store.begin() as tx:
        outbox.retry_refused(tx, now=now)
        forget_runs(tx, quiet=now - _QUIET_RUNS, all_before=now - _ALL_RUNS)


_KINDS: dict[str, Callable[[Hub, Work, Stopping], None]] = {
    "pull": _pull,
    "sweep": _sweep,
    "drain": _drain,
    "push": _push,
    "derive": _derive,
    "tidy": _tidy,
}


#: Work that this process could not give back, because the database did not answer: who, what.
_owed: list[tuple[str, Work]] = []


def perform(hub: Hub, work: Work, stop: Event) -> bool:
    """Does a piece of work unless somebody else has it; says whether it ended well.

    What goes wrong is logged and tried again after a growing pause; the database knows when.
    """
    try:
        return _take(hub, work) and _do(hub, work, Stopping(stop))
    except DBAPIError as error:
        # Our leases stay ours as long as we live: they must be given back as soon as it can be.
        _owed.append((hub.worker, work))
        log.warning("%s: %s", work.name, trouble(error))
        return False


def _take(hub: Hub, work: Work) -> bool:
    with hub.store.begin() as tx:
        return store.take(tx, work.name, worker=hub.worker, now=hub.clock())


def _do(hub: Hub, work: Work, stopping: Stopping) -> bool:
    try:
        # Nobody waits for slow work: it leaves a share of every rate limit to live changes.
        with bulk(work.slow):
            _KINDS[work.kind](hub, work, stopping)
    except StoppedError:
        log.info("%s: stopped; the next worker goes on", work.name)
        _broken_off(hub, work, "the worker was told to stop; the next run goes on from there")
    except (ConnectorError, DBAPIError) as error:
        shown = error if isinstance(error, ConnectorError) else trouble(error)
        log.warning("%s: %s", work.name, shown)
        _failed(hub, work, moved=stopping.moved)
    except BaseException:
        # A mistake of ours, or a job's time is up: it must rest as well, then it may show itself.
        _failed(hub, work, moved=False)
        raise
    else:
        _done(hub, work)
        return True
    return False


def _done(hub: Hub, work: Work) -> None:
    with hub.store.begin() as tx:
        store.done(tx, work.name, worker=hub.worker, now=hub.clock())


def _broken_off(hub: Hub, work: Work, reason: str) -> None:
    with hub.store.begin() as tx:
        _let_go(tx, hub, work, reason)
        store.unfinished(tx, work.name, worker=hub.worker)


def _failed(hub: Hub, work: Work, *, moved: bool) -> None:
    with hub.store.begin() as tx:
        _let_go(tx, hub, work, "it was broken off; the next run goes on from there")
        # A sweep begins anew each time: that it had come far does not help it.
        onward = moved and work.kind != "sweep"
        failures = 1 if onward else store.states(tx)[work.name].failures + 1
        due_at = hub.clock() + pause(failures)
        store.failed(tx, work.name, worker=hub.worker, failures=failures, due_at=due_at)


def _let_go(tx: Transaction, hub: Hub, work: Work, reason: str) -> None:
    """Ends what the work has left open: leases that nobody uses would be prolonged for ever."""
    if work.stream:
        leases.end_runs(tx, work.connection, work.stream, now=hub.clock(), reason=reason)
    if work.stream or work.kind == "push":
        leases.let_go(tx, hub.worker, work.connection, work.stream)


def settle_debts(hub: Hub) -> None:
    """Gives back the work that could not be given back when it broke off."""
    for worker, work in [debt for debt in _owed if debt[0] == hub.worker]:
        _broken_off(hub, work, "the database did not answer; the next run goes on from there")
        _owed.remove((worker, work))


def keep_leases(hub: Hub) -> None:
    """Prolongs the leases of this process."""
    with hub.store.begin() as tx:
        leases.renew(tx, hub.worker, now=hub.clock())


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
    """Frees the leases of this process, which ends; whoever sees that it is gone can do so, too."""
    try:
        with hub.store.begin() as tx:
            leases.release(tx, hub.worker, now=hub.clock(), reason="the worker was stopped")
    except DBAPIError as error:
        log.warning("leases are left to whoever comes next: %s", trouble(error))
