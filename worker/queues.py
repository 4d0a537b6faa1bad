"""The queues of rq: names, order and time limits. They carry names of work; losing them is fine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer

from hub.sync.due import Work


@dataclass(frozen=True, slots=True)
class Lane:
    """Work of one kind of haste. In one process, each lane has a thread of its own."""

    name: str
    #: Seconds after which a job is broken off; what it has stored stays.
    timeout: int


#: In the order in which a worker empties them: people wait for the first, nobody for the last.
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


#: What the names of our queues begin with; a rehearsal takes names of its own.
_OURS = "tulay"
_names = {"prefix": _OURS}


def call_queues(prefix: str) -> None:
    """Gives the queues of this process other names."""
    _names["prefix"] = prefix


def worker_name(name: str) -> str:
    """Returns the name of an rq worker: it tells those with other queues apart.

    >>> worker_name("host-12")
    'host-12'
    """
    prefix = _names["prefix"]
    return name if prefix == _OURS else f"{prefix}-{name}"


def connect(url: str) -> Any:
    """Opens Redis. No call waits for ever."""
    return Redis.from_url(
        url, socket_connect_timeout=5, socket_keepalive=True, health_check_interval=30
    )


def tell(redis: Any) -> None:
    """Tells the scheduler that work has ended, which may have made more. Losing it is fine."""
    with redis.pipeline() as pipe:
        pipe.lpush(_news(), "1").ltrim(_news(), 0, 0).expire(_news(), 60)
        pipe.execute()


def listen(redis: Any, seconds: float) -> None:
    """Waits until somebody tells, but not longer than so many seconds."""
    redis.blpop([_news()], timeout=seconds)


def _news() -> str:
    return f"{_names['prefix']}-news"


def sweep_up(redis: Any, prefix: str) -> None:
    """Deletes everything that queues of this name, and their killed workers, have left in Redis."""
    for names in ("rq:workers", "rq:queues"):
        for name in redis.smembers(names):
            if prefix in name.decode():
                redis.srem(names, name)
    # Keys of workers, queues and jobs have it in their names: what a killed worker has left, or
    # what a living one wrote of a job after a flush, is often not whole enough to be asked.
    for key in redis.scan_iter(f"rq:*{prefix}*"):
        redis.delete(key)
    redis.delete(f"{prefix}-news")


def queue(lane: Lane, redis: Any) -> Queue:
    """Returns a queue. Its jobs are JSON, never pickles, which could be any code."""
    return Queue(
        f"{_names['prefix']}-{lane.name}",
        connection=redis,
        serializer=JSONSerializer,
        default_timeout=lane.timeout,
    )
