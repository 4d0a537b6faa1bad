"""SIGTERM and SIGINT: the first one tells a process to end in order, the second ends it at once."""

from __future__ import annotations

import os
import signal
from queue import SimpleQueue
from threading import Event, Thread
from types import FrameType
from typing import Any, Self

#: The signals that end a process.
NUMBERS = (signal.SIGTERM, signal.SIGINT)


class Stop(Event):
    """An event that tells the process to end; signals set it within the `with` block.

    A handler must not set an event itself: it would wait for a lock that the interrupted thread may
    hold in `wait`, and the process would hang for ever. Putting into a SimpleQueue never waits.
    """

    def __init__(self) -> None:
        super().__init__()
        self._told: SimpleQueue[bool] = SimpleQueue()
        self._signalled = False
        self._setter = Thread(target=self._set_when_told, name="tulay-stop", daemon=True)
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        self._setter.start()
        self._before = {number: signal.signal(number, self.tell) for number in NUMBERS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._told.put(False)
        self._setter.join()

    def tell(self, signum: int, _: FrameType | None = None) -> None:
        """Handles a signal without waiting. The second one ends the process at once."""
        if self._signalled:
            os._exit(128 + signum)
        self._signalled = True
        self._told.put(True)

    def _set_when_told(self) -> None:
        while self._told.get():
            self.set()
