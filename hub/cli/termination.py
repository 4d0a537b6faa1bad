"""SIGTERM during a command: what it has started must not outlive it.

The handler that was there before is restored: a command may be one of many in its process.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

OnSignal = Callable[[int, FrameType | None], Any]


@contextmanager
def on_sigterm(handler: OnSignal = signal.default_int_handler) -> Iterator[None]:
    """Handles SIGTERM in this block; by default as Ctrl-C."""
    before = signal.signal(signal.SIGTERM, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def end_quietly(_signal: int, _frame: FrameType | None) -> None:
    """Ends the process in order, with success. Raises: SystemExit."""
    sys.exit(0)
