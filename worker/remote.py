"""Work over rq: a scheduler queues what is due, workers on any host do it. Redis may be flushed."""

from __future__ import annotations

import hashlib
import logging
import os
import signal
import uuid
from collections.abc import Sequence
from threading import Event, Thread, current_thread, main_thread
from types import FrameType
from typing import Any

from redis.exceptions import RedisError
from rq import Queue, SimpleWorker
from rq.exceptions import InvalidJobOperation, NoSuchJobError, StopRequested
from rq.job import Job
from rq.serializers import JSONSerializer
from sqlalchemy.exc import DBAPIError

from hub.store.engine import trouble
from hub.sync.attempt import give_back, take_over
from hub.sync.context import Hub
from hub.sync.due import BySchedule, Rhythm, Work, agenda
from worker.execute import finish_interrupted_runs, keep_leases
from worker.jobs import job_context, run
from worker.queues import LANES, connect, lane_of, listen, queue, tell, worker_name
from worker.signals import NUMBERS, Stop

log = logging.getLogger("tulay.worker")

#: Seconds between two checks for work if nothing ends, and the minimum between any two.
TICK, BREATH = 1.0, 0.1
#: Seconds between two heartbeats.
HEARTBEAT = 20
#: Seconds until a server that did not answer is tried again.
PAUSE = 5.0
_GRACE = 20
_ENTRY = f"{run.__module__}.{run.__name__}"


def enqueue(works: Sequence[Work], redis: Any) -> int:
    """Queues work that is not queued yet; returns its number. Queueing twice is harmless."""
    queues = {lane.name: queue(lane, redis) for lane in LANES}
    queued = {job_id.partition("-")[0] for q in queues.values() for job_id in q.job_ids}
    added = 0
    for work in works:
        mark = hashlib.sha256(work.name.encode()).hexdigest()[:20]
        if mark in queued:
            continue
        lane = queues[lane_of(work)]
        lane.enqueue(
            run,
            args=(work.kind, work.connection, work.stream, work.slow),
            # The name of the queue is part of the id: see `sweep_up`.
            job_id=f"{mark}-{lane.name}-{uuid.uuid4().hex[:8]}",
            result_ttl=0,
            failure_ttl=3600,
            description=work.name,
        )
        added += 1
    return added


def schedule(hub: Hub, rhythm: Rhythm, redis_url: str, stop: Event) -> None:
    """Queues what is due until told to stop. If Redis is unavailable, it waits and continues."""
    redis, due = connect(redis_url), BySchedule(rhythm)
    # `listen` blocks for a moment without news; a stop in the meantime takes effect after that.
    while not stop.wait(min(BREATH, TICK)):
        try:
            listen(redis, TICK)
            take_over(hub)
            enqueue(agenda(hub, due).ready, redis)
        except DBAPIError as error:
            log.warning("cannot look for work now: %s", trouble(error), extra=_kind(error))
            stop.wait(PAUSE)
        except RedisError as error:
            log.warning(
                "cannot queue work now: Redis does not answer: %s",
                type(error).__name__,
                extra=_kind(error),
            )
            stop.wait(PAUSE)
    redis.close()


class LeasedWorker(SimpleWorker):
    """Runs jobs in this process, so that the hub stays open; stops between two pages."""

    #: Seconds between two attempts to reach Redis: rq would let them grow.
    max_connection_wait_time = 5.0
    stopping: Stop
    #: True between two jobs, where an interruption loses nothing.
    idle = False

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        """Ends the current job at its next page or batch, then the worker; does not call Redis."""
        self.stopping.tell(signum)
        self._stop_requested = True
        # Raised inside logging, it would be swallowed with a traceback; then `heartbeat` raises it.
        if self.idle and not _is_logging(frame):
            raise StopRequested

    def heartbeat(self, *args: Any, **options: Any) -> None:
        """Sends a heartbeat. Raises: StopRequested between two jobs, if told to stop."""
        # The heartbeat thread calls this as well, and must not end.
        if self.idle and self._stop_requested and current_thread() is main_thread():
            raise StopRequested
        super().heartbeat(*args, **options)

    def _install_signal_handlers(self) -> None:
        for number in NUMBERS:
            signal.signal(number, self.request_stop)

    def dequeue_job_and_maintain_ttl(
        self, timeout: int | None, max_idle_time: int | None = None
    ) -> tuple[Job, Queue] | None:
        """Waits for a job. Raises: StopRequested."""
        self.idle = True
        try:
            if self._stop_requested:
                raise StopRequested
            return super().dequeue_job_and_maintain_ttl(timeout, max_idle_time)
        finally:
            self.idle = False

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Runs Tulay's own job only: other users of Redis must not choose what runs here."""
        if job.func_name != _ENTRY:
            log.error("refused a job that is not Tulay's; check who else writes to this Redis")
            job.delete()
            return
        super().execute_job(job, queue)

    def subscribe(self) -> None:
        """Does nothing: commands from Redis are not accepted, signals end the worker."""

    def unsubscribe(self) -> None:
        """Does nothing."""

    def handle_exception(self, job: Job, *exc_info: Any) -> None:
        """Reports programming errors; a lost or unreachable Redis at the end of a job is none."""
        if isinstance(exc_info[1], RedisError | InvalidJobOperation | NoSuchJobError):
            log.warning("a job has ended, but Redis does not know it any more")
        else:
            super().handle_exception(job, *exc_info)

    def get_heartbeat_ttl(self, job: Job) -> int:
        """Returns the seconds until Redis forgets the worker without a heartbeat."""
        return HEARTBEAT * 4


def _is_logging(frame: FrameType | None) -> bool:
    """Returns True if a log line is being written in this frame."""
    while frame is not None:
        if frame.f_globals.get("__name__") == "logging":
            return True
        frame = frame.f_back
    return False


class _InOneLine(logging.Filter):
    """Shortens errors of Redis to one line: they are no programming errors."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Shortens the record."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, RedisError):
            record.msg, record.args = "Redis does not answer: %s", (type(error).__name__,)
            record.exc_info = None
        return True


_in_one_line = _InOneLine()


def work(hub: Hub, redis_url: str, stop: Stop, *, burst: bool = False) -> None:
    """Runs queued work until told to stop (`burst`: until nothing is queued).

    rq gives up when Redis becomes unavailable; then a new worker starts when it is back.
    """
    logging.getLogger("rq.worker").addFilter(_in_one_line)
    redis = connect(redis_url)
    job_context.hub, job_context.stop, job_context.ended = hub, stop, lambda: _tell(redis)
    try:
        while not stop.is_set():
            try:
                _work(hub, redis, stop, burst=burst)
            except RedisError as error:
                log.warning("Redis does not answer: %s", type(error).__name__, extra=_kind(error))
            if burst:
                return
            stop.wait(PAUSE)
    finally:
        give_back(hub)
        job_context.hub = job_context.stop = None
        job_context.ended = lambda: None
        redis.close()


def _kind(error: Exception) -> dict[str, str]:
    return {"error_kind": type(error).__name__}


def _tell(redis: Any) -> None:
    try:
        tell(redis)
    except RedisError as error:
        log.info(
            "could not notify the scheduler, which checks by itself: %s",
            type(error).__name__,
            extra=_kind(error),
        )


def _work(hub: Hub, redis: Any, stop: Stop, *, burst: bool) -> None:
    """Runs one rq worker from start to end."""
    worker = LeasedWorker(
        [queue(lane, redis) for lane in LANES],
        # Names of rq workers must be unique; ours starts with the holder of the leases.
        name=worker_name(hub.worker.replace(":", "-") + f"-{uuid.uuid4().hex[:4]}"),
        connection=redis,
        serializer=JSONSerializer,
    )
    worker.stopping = stop
    ended = Event()
    beat = Thread(target=_beat, args=(hub, worker, ended, stop), name="tulay-beat", daemon=True)
    beat.start()
    try:
        worker.work(burst=burst, with_scheduler=False, logging_level="WARNING")
    finally:
        ended.set()
        beat.join(timeout=5)


def _beat(hub: Hub, worker: LeasedWorker, ended: Event, stop: Event) -> None:
    """Renews leases and sends heartbeats; after a stop, ends the process in bounded time."""
    seconds, late = 0, 0
    while not ended.wait(1.0):
        seconds += 1
        late += stop.is_set()
        try:
            finish_interrupted_runs(hub)
            if seconds % HEARTBEAT == 0:
                keep_leases(hub)
                worker.heartbeat(HEARTBEAT * 4)
        except DBAPIError as error:
            log.warning("no heartbeat: %s", trouble(error), extra=_kind(error))
        except RedisError as error:
            log.warning(
                "no heartbeat: Redis does not answer: %s",
                type(error).__name__,
                extra=_kind(error),
            )
        if late > _GRACE:
            # Its leases are released by the next process that notices its death.
            log.warning("the current work does not finish; leaving it to the next worker")
            logging.shutdown()
            os._exit(0)
