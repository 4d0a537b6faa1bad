"""Runs one piece of work in a process that may be told to stop, and renews its leases."""

from __future__ import annotations

import logging
from threading import Event

from sqlalchemy.exc import DBAPIError

from hub.store import leases
from hub.store.engine import trouble
from hub.sync.attempt import attempt, break_off
from hub.sync.context import Hub
from hub.sync.due import Work
from hub.sync.progress import StoppedError
from hub.sync.reporting import log_run, place

log = logging.getLogger("tulay.worker")


class Stopping:
    """Progress that is not shown, and that ends the work between two pages or batches."""

    def __init__(self, stop: Event) -> None:
        self._stop = stop

    def start(self, name: str, total: int | None) -> None:
        """Does nothing."""

    def advance(self, name: str, count: int) -> None:
        """Raises: StoppedError when the process is told to end."""
        if self._stop.is_set():
            log.info("%s: stopped; the next worker continues", name, extra={"work": name})
            raise StoppedError(name)

    def done(self, name: str) -> None:
        """Does nothing."""


#: (worker, work) that this process could not release, because the database did not answer.
_owed: list[tuple[str, Work]] = []


def perform(hub: Hub, work: Work, stop: Event) -> bool:
    """Runs a piece of work unless another process has it; returns True if it succeeded.

    Failures are logged and retried after a growing pause, which is stored in the database.
    """
    try:
        done = attempt(hub, work, Stopping(stop))
    except DBAPIError as error:
        # Leases of a living process are renewed, so the work must be released as soon as possible.
        _owed.append((hub.worker, work))
        log.warning("%s: %s", work.name, trouble(error), extra=place(work))
        return False
    log_run(hub, done)
    return done.well


def finish_interrupted_runs(hub: Hub) -> None:
    """Releases interrupted work that could not be released before."""
    for worker, work in [debt for debt in _owed if debt[0] == hub.worker]:
        break_off(hub, work, "the database did not answer; the next run continues from there")
        _owed.remove((worker, work))


def keep_leases(hub: Hub) -> None:
    """Renews the leases of this process."""
    with hub.store.begin() as tx:
        leases.renew(tx, hub.worker, now=hub.clock())
