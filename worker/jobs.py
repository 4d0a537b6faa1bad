"""What rq calls: names in, nothing out. The hub is opened once per process, by worker.remote."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import Event

from hub.mistakes import told
from hub.sync.context import Hub
from hub.sync.due import Work
from worker.perform import perform


@dataclass
class Desk:
    """What the jobs of this process work with."""

    hub: Hub | None = None
    stop: Event | None = None
    #: Told when work has ended well: there may be more.
    ended: Callable[[], None] = lambda: None


desk = Desk()


class MistakeError(Exception):
    """A job met a mistake of ours. Its words go to Redis: they have no customer data."""


def run(kind: str, connection: str, stream: str, slow: bool = False) -> None:
    """Does one piece of work; when somebody else has it, nothing."""
    if desk.hub is None or desk.stop is None:
        raise RuntimeError("jobs run in `tulay worker`, which opens the hub; start that")
    try:
        if perform(desk.hub, Work(kind, connection, stream, slow), desk.stop):
            desk.ended()
    except Exception as error:  # noqa: BLE001 - raised again, without its words
        raise MistakeError(told(error)) from None
