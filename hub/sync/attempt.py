"""Runs one piece of work under its lock, and releases what dead or stopping processes hold.

Independent of the caller: a command, `tulay serve` or a worker.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace

from sqlalchemy import Connection as Transaction
from sqlalchemy.exc import DBAPIError

from connectors.kit.budget import bulk
from connectors.kit.errors import ConnectorError
from hub.model.rhythm import rest_after
from hub.store import leases
from hub.store import work as store_work
from hub.store.engine import trouble
from hub.store.holders import is_dead
from hub.sync.context import Hub
from hub.sync.due import Work
from hub.sync.kinds import KINDS
from hub.sync.progress import Progress, StoppedError
from hub.sync.reporting import Done

log = logging.getLogger("tulay.sync")


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
