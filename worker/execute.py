"""Does one piece of work in a process that may be told to stop, and keeps its leases meanwhile."""

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
from hub.sync.reporting import facts, summary

log = logging.getLogger("tulay.worker")


class Stopping:
    """Progress that nobody looks at, and that ends the work between two pages or batches."""

    def __init__(self, stop: Event) -> None:
        self._stop = stop

    def start(self, name: str, total: int | None) -> None:
        """Says nothing."""

    def advance(self, name: str, count: int) -> None:
        """Raises: StoppedError when the process shall end."""
        if self._stop.is_set():
            log.info("%s: stopped; the next worker goes on", name)
            raise StoppedError(name)

    def done(self, name: str) -> None:
        """Says nothing."""


#: Work that this process could not give back, because the database did not answer: who, what.
_owed: list[tuple[str, Work]] = []


def perform(hub: Hub, work: Work, stop: Event) -> bool:
    """Does a piece of work unless another process has it; returns True if it ended well.

    What goes wrong is logged and tried again after a growing pause; the database knows when.
    """
    try:
        done = attempt(hub, work, Stopping(stop))
    except DBAPIError as error:
        # Our leases stay ours as long as we live: they must be given back as soon as it can be.
        _owed.append((hub.worker, work))
        log.warning("%s: %s", work.name, trouble(error))
        return False
    if done.error is not None:
        log.warning("%s: %s", work.name, done.error)
    said = summary(done)
    if said is not None:
        log.info(said, extra=facts(done))
    return done.well


def finish_interrupted_runs(hub: Hub) -> None:
    """Gives back the work that could not be given back when it broke off."""
    for worker, work in [debt for debt in _owed if debt[0] == hub.worker]:
        break_off(hub, work, "the database did not answer; the next run goes on from there")
        _owed.remove((worker, work))


def keep_leases(hub: Hub) -> None:
    """Prolongs the leases of this process."""
    with hub.store.begin() as tx:
        leases.renew(tx, hub.worker, now=hub.clock())
