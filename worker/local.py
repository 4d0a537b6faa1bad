"""Work without Redis: one loop finds what is due, one thread per lane runs it."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from queue import Empty, SimpleQueue
from threading import Event, Lock, Thread

from sqlalchemy.exc import DBAPIError

from hub.store.engine import trouble
from hub.sync.attempt import give_back, take_over
from hub.sync.context import Hub
from hub.sync.due import BySchedule, Rhythm, Work, agenda
from hub.sync.reporting import place
from worker.execute import finish_interrupted_runs, keep_leases, perform
from worker.queues import LANES, lane_of

log = logging.getLogger("tulay.worker")

#: Seconds between two checks for work if nothing ends, and the minimum between any two.
TICK, BREATH = 1.0, 0.1
#: Seconds between two renewals of leases.
HEARTBEAT = 20.0
#: Seconds until a database that did not answer is tried again.
PAUSE = 5.0
#: Seconds that pages and batches may take to finish.
GRACE = 20.0


class Lanes:
    """Threads that run work; the same work is never in two of them."""

    def __init__(self, hub: Hub, stop: Event) -> None:
        self._hub = hub
        self._stop = stop
        self._queues: dict[str, SimpleQueue[Work]] = {lane.name: SimpleQueue() for lane in LANES}
        self._names: set[str] = set()
        self._lock = Lock()
        #: Set when work has ended, because it may have made more work due.
        self.ended = Event()
        self._threads = [
            Thread(target=self._run, args=(name,), name=f"tulay-{name}", daemon=True)
            for name in self._queues
        ]
        for thread in self._threads:
            thread.start()

    def offer(self, works: Iterable[Work]) -> None:
        """Queues work that is neither queued nor running."""
        for work in works:
            with self._lock:
                if work.name in self._names:
                    continue
                self._names.add(work.name)
            self._queues[lane_of(work)].put(work)

    @property
    def idle(self) -> bool:
        """True if nothing is queued or running."""
        with self._lock:
            return not self._names

    def join(self, seconds: float) -> bool:
        """Waits for the threads to end; returns True if all did."""
        until = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(timeout=max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _run(self, name: str) -> None:
        while not self._stop.is_set():
            try:
                work = self._queues[name].get(timeout=0.2)
            except Empty:
                continue
            try:
                perform(self._hub, work, self._stop)
            except Exception:
                log.exception(
                    "%s: this is a bug in Tulay or a connector", work.name, extra=place(work)
                )
            finally:
                with self._lock:
                    self._names.discard(work.name)
                self.ended.set()


def loop(hub: Hub, rhythm: Rhythm, stop: Event, *, burst: bool = False) -> bool:
    """Runs what is due until told to stop (`burst`: until nothing is due).

    Returns False if some work is still running, in which case the process should end at once.
    """
    lanes, due = Lanes(hub, stop), BySchedule(rhythm)
    beat = 0.0
    while not stop.is_set():
        try:
            finish_interrupted_runs(hub)
            if time.monotonic() - beat > HEARTBEAT:
                keep_leases(hub)
                beat = time.monotonic()
            take_over(hub)
            works = agenda(hub, due).ready
            lanes.offer(works)
            if burst and not works and lanes.idle:
                stop.set()
        except DBAPIError as error:
            log.warning(
                "cannot look for work now: %s",
                trouble(error),
                extra={"error_kind": type(error).__name__},
            )
            stop.wait(PAUSE)
        _rest(lanes, stop, 0.05 if burst else TICK)
    home = lanes.join(GRACE)
    if home:
        give_back(hub)
    else:
        log.warning("some work has not finished; the next worker takes it over")
    return home


def _rest(lanes: Lanes, stop: Event, seconds: float) -> None:
    """Waits for a number of seconds, until work has ended, or until told to stop."""
    until = time.monotonic() + seconds
    while not stop.wait(min(BREATH, seconds)):
        if lanes.ended.is_set() or time.monotonic() >= until:
            lanes.ended.clear()
            return
