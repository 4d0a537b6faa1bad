"""What rq calls: names in, nothing out. The hub is opened once per process, by worker.remote."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Event

from hub.sync.hub import Hub
from worker.dispatch import Work
from worker.perform import perform


@dataclass
class Desk:
    """What the jobs of this process work with."""

    hub: Hub | None = None
    stop: Event | None = None


desk = Desk()


def run(kind: str, connection: str, stream: str, slow: bool = False) -> None:
    """Does one piece of work; when somebody else has it, nothing."""
    if desk.hub is None or desk.stop is None:
        raise RuntimeError("jobs run in `tulay worker`, which opens the hub; start that")
    perform(desk.hub, Work(kind, connection, stream, slow), desk.stop)
