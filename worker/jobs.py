"""What rq calls: names in, nothing out. The hub is opened once per process, by worker.remote."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import Event

from hub.redaction import redacted
from hub.sync.context import Hub
from hub.sync.due import Work
from worker.execute import perform


@dataclass
class JobContext:
    """What the jobs of this process work with."""

    hub: Hub | None = None
    stop: Event | None = None
    #: Told when work has ended well: there may be more.
    ended: Callable[[], None] = lambda: None


job_context = JobContext()


class WorkFailedError(Exception):
    """A job met a mistake of ours. Its words go to Redis: they have no customer data."""


def run(kind: str, connection: str, stream: str, slow: bool = False) -> None:
    """Does one piece of work; when somebody else has it, nothing."""
    if job_context.hub is None or job_context.stop is None:
        raise RuntimeError("jobs run in `tulay worker`, which opens the hub; start that")
    try:
        if perform(job_context.hub, Work(kind, connection, stream, slow), job_context.stop):
            job_context.ended()
    except Exception as error:  # noqa: BLE001 - raised again, without its words
        raise WorkFailedError(redacted(error)) from None
