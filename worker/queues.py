"""The queues of rq: names, order and time limits. They carry names of work and may be lost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer

from hub.sync.due import Work


@dataclass(frozen=True, slots=True)
class Lane:
    """Work of one urgency. In one process, each lane has its own thread."""

    name: str
    #: Seconds after which a job is interrupted; what it has stored remains.
    timeout: int


#: In the order in which a worker empties them, from the most to the least urgent.
LANES = (Lane("live", 15 * 60), Lane("pull", 60 * 60), Lane("bulk", 12 * 60 * 60))

#: Kind of work -> lane.
_LANE_OF = {"inbox": "live", "push": "live", "derive": "live", "tidy": "live"} | {
    "pull": "pull",
    "sweep": "bulk",
}


def lane_of(work: Work) -> str:
    """Returns the lane of a piece of work; the first read of a stream is in `bulk`, too.

    >>> lane_of(Work("pull", "crm", "companies")), lane_of(Work("pull", "crm", "deals", slow=True))
    ('pull', 'bulk')
    """
    return "bulk" if work.slow else _LANE_OF[work.kind]


#: Prefix of the queue names; a rehearsal uses its own.
_OURS = "tulay"
_names = {"prefix": _OURS}


def call_queues(prefix: str) -> None:
    """Sets the prefix of the queues of this process."""
    _names["prefix"] = prefix


def worker_name(name: str) -> str:
    """Returns the name of an rq worker, with the prefix of its queues unless that is the default.

    >>> worker_name("host-12")
    'host-12'
    """
    prefix = _names["prefix"]
    return name if prefix == _OURS else f"{prefix}-{name}"


def connect(url: str) -> Any:
    """Opens Redis with time-outs, so that no call waits for ever."""
    return Redis.from_url(
        url, socket_connect_timeout=5, socket_keepalive=True, health_check_interval=30
    )


def tell(redis: Any) -> None:
    """Notifies the scheduler that work has ended. A lost notification is harmless."""
    with redis.pipeline() as pipe:
        pipe.lpush(_news(), "1").ltrim(_news(), 0, 0).expire(_news(), 60)
        pipe.execute()


def listen(redis: Any, seconds: float) -> None:
    """Waits for a notification, at most for a number of seconds."""
    redis.blpop([_news()], timeout=seconds)


def _news() -> str:
    return f"{_names['prefix']}-news"


def sweep_up(redis: Any, prefix: str) -> None:
    """Deletes everything that queues with this prefix and their killed workers left in Redis."""
    for names in ("rq:workers", "rq:queues"):
        for name in redis.smembers(names):
            if prefix in name.decode():
                redis.srem(names, name)
    # Keys of workers, queues and jobs contain the prefix. What a killed worker left, or a living
    # one wrote about a job after a flush, is often incomplete, so rq's own functions do not work.
    for key in redis.scan_iter(f"rq:*{prefix}*"):
        redis.delete(key)
    redis.delete(f"{prefix}-news")


def queue(lane: Lane, redis: Any) -> Queue:
    """Returns a queue. Its jobs are JSON, never pickles, which could run arbitrary code."""
    return Queue(
        f"{_names['prefix']}-{lane.name}",
        connection=redis,
        serializer=JSONSerializer,
        default_timeout=lane.timeout,
    )
