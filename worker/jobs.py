"""The job that rq runs: names in, nothing out. worker.remote opens the hub once per process."""

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
    """The context of the jobs in this process."""

    hub: Hub | None = None
    stop: Event | None = None
    #: Called when work has succeeded, because it may have made more work due.
    ended: Callable[[], None] = lambda: None


job_context = JobContext()


class WorkFailedError(Exception):
    """A job met a programming error. Its text goes to Redis, so that it has no customer data."""


def run(kind: str, connection: str, stream: str, slow: bool = False) -> None:
    """Runs one piece of work, unless another process has it."""
    if job_context.hub is None or job_context.stop is None:
        raise RuntimeError("jobs run in `tulay worker`, which opens the hub; start that")
    try:
        if perform(job_context.hub, Work(kind, connection, stream, slow), job_context.stop):
            job_context.ended()
    except Exception as error:  # noqa: BLE001 - raised again, without its text
        raise WorkFailedError(redacted(error)) from None
