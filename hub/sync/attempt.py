"""Runs one piece of work under its lock, and releases what dead or stopping processes hold.

Independent of the caller: a command, `tulay serve` or a worker.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

from sqlalchemy import Connection as Transaction
from sqlalchemy.exc import DBAPIError

from connectors.kit.budget import bulk
from connectors.kit.errors import ConnectorError
from hub.model.rhythm import rest_after
from hub.store import leases, quarantine
from hub.store import work as store_work
from hub.store.engine import trouble
from hub.store.holders import is_dead
from hub.store.runs import Tally, forget_runs
from hub.sync.context import Hub
from hub.sync.due import Work
from hub.sync.flows import age, derive
from hub.sync.ingest.inbox import process_inbox
from hub.sync.ingest.pull import pull
from hub.sync.ingest.sweep import sweep
from hub.sync.progress import Progress, StoppedError
from hub.sync.push.push import push

log = logging.getLogger("tulay.sync")

#: How long uneventful runs are kept, and all others.
_QUIET_RUNS, _ALL_RUNS = timedelta(days=2), timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Done:
    """The result of a piece of work."""

    work: Work
    tally: Tally | None = None
    #: Golden records that were created or changed, and records that were written.
    changed: int = 0
    written: int = 0
    #: False if another process has the work, it was stopped, or it failed with `error`.
    well: bool = True
    error: str | None = None
    #: Duration of the work.
    seconds: float = 0.0


def _pull(hub: Hub, work: Work, progress: Progress) -> Done:
    return _counted(work, pull(hub, work.connection, work.stream, progress=progress))


def _sweep(hub: Hub, work: Work, progress: Progress) -> Done:
    return _counted(work, sweep(hub, work.connection, work.stream, progress=progress))


def _inbox(hub: Hub, work: Work, progress: Progress) -> Done:
    return _counted(work, process_inbox(hub, work.connection, progress=progress))


def _push(hub: Hub, work: Work, progress: Progress) -> Done:
    return _counted(work, push(hub, work.connection, progress=progress))


def _derive(hub: Hub, work: Work, _: Progress) -> Done:
    return Done(work, changed=derive(hub))


def _tidy(hub: Hub, work: Work, _: Progress) -> Done:
    age(hub)
    now = hub.clock()
    with hub.store.begin() as tx:
        quarantine.retry_refused(tx, now=now)
        forget_runs(tx, quiet=now - _QUIET_RUNS, all_before=now - _ALL_RUNS)
    return Done(work)


def _counted(work: Work, tally: Tally) -> Done:
    return Done(work, tally, tally.changed, tally.written)


KINDS: dict[str, Callable[[Hub, Work, Progress], Done]] = {
    "pull": _pull,
    "sweep": _sweep,
    "inbox": _inbox,
    "push": _push,
    "derive": _derive,
    "tidy": _tidy,
}


def attempt(hub: Hub, work: Work, progress: Progress) -> Done:
    """Runs a piece of work unless another process has it, and releases it.

    Failed work is retried after a growing pause, which is stored in the database.

    Raises: DBAPIError if the work could not be released; any programming error.
    """
    if not _take(hub, work):
        return Done(work, well=False)
    moving, began = _Moving(progress), time.monotonic()
    try:
        # Slow work is not urgent: it leaves a share of every rate limit to live changes.
        with bulk(work.slow):
            done = KINDS[work.kind](hub, work, moving)
    except StoppedError:
        break_off(hub, work, "the worker was told to stop; the next run continues from there")
        return Done(work, well=False)
    except (ConnectorError, DBAPIError) as error:
        _failed(hub, work, moved=moving.moved)
        said = str(error) if isinstance(error, ConnectorError) else trouble(error)
        return Done(work, well=False, error=said)
    except BaseException:
        # A programming error or a job time-out: record the failure, then let it surface.
        _failed(hub, work, moved=False)
        raise
    _give_back(hub, work)
    return replace(done, seconds=time.monotonic() - began)


def _take(hub: Hub, work: Work) -> bool:
    with hub.store.begin() as tx:
        return store_work.take(tx, work.name, worker=hub.worker, now=hub.clock())


def _give_back(hub: Hub, work: Work) -> None:
    with hub.store.begin() as tx:
        store_work.done(tx, work.name, worker=hub.worker, now=hub.clock())


class _Moving:
    """Forwards progress, and records whether a page or batch was completed."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        #: A failure after some progress does not count as one more in a row.
        self.moved = False

    def start(self, name: str, total: int | None) -> None:
        """Forwards the call."""
        self._progress.start(name, total)

    def advance(self, name: str, count: int) -> None:
        """Forwards the call."""
        self.moved = True
        self._progress.advance(name, count)

    def done(self, name: str) -> None:
        """Forwards the call."""
        self._progress.done(name)


def break_off(hub: Hub, work: Work, reason: str) -> None:
    """Releases interrupted work, so that the next process continues it."""
    with hub.store.begin() as tx:
        _let_go(tx, hub, work, reason)
        store_work.unfinished(tx, work.name, worker=hub.worker)


def _failed(hub: Hub, work: Work, *, moved: bool) -> None:
    with hub.store.begin() as tx:
        _let_go(tx, hub, work, "it was interrupted; the next run continues from there")
        # A sweep always starts from the beginning, so partial progress does not count.
        onward = moved and work.kind != "sweep"
        failures = 1 if onward else store_work.states(tx)[work.name].failures + 1
        due_at = hub.clock() + rest_after(failures)
        store_work.failed(tx, work.name, worker=hub.worker, failures=failures, due_at=due_at)


def _let_go(tx: Transaction, hub: Hub, work: Work, reason: str) -> None:
    """Releases what the work holds: an abandoned lease would be renewed for ever."""
    if work.stream:
        leases.end_runs(tx, work.connection, work.stream, now=hub.clock(), reason=reason)
    if work.stream or work.kind == "push":
        leases.let_go(tx, hub.worker, work.connection, work.stream)


def take_over(hub: Hub) -> None:
    """Releases the leases of processes that died on this host; other leases must expire."""
    with hub.store.read() as tx:
        dead = [name for name in leases.holders(tx) if name != hub.worker and is_dead(name)]
    for name in dead:
        with hub.store.begin() as tx:
            leases.release(
                tx, name, now=hub.clock(), reason="the process died; the next run continues"
            )
        log.warning("took over the work of %s, which died", name, extra={"holder": name})


def give_back(hub: Hub) -> None:
    """Releases the leases of this process, which is ending."""
    try:
        with hub.store.begin() as tx:
            leases.release(tx, hub.worker, now=hub.clock(), reason="the worker was stopped")
    except DBAPIError as error:
        log.warning(
            "could not release leases; they will expire: %s",
            trouble(error),
            extra={"error_kind": type(error).__name__},
        )
