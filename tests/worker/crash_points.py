"""The crash points of a process: each commit, each call to a system.

Nothing of this is in the product: `watch` wraps the real store and the real connectors in a test's
process, which then logs each point that it passes, and kills itself at the chosen one.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection as Transaction

from connectors.kit.contract import Create, Page, Write
from connectors.memory import MemoryConnector
from hub.store.engine import Store

#: Modules whose functions are use cases, as the stack shows them.
_USE_CASES = ("hub.sync.", "hub.store.rate_limits", "worker.execute")
#: Frames of the stack that name no step.
_SILENT = {"store_page", "<lambda>", "transact", "Batch.ingest", "Batch.ingest.<locals>.work"}


class Points:
    """Logs points, and dies at one of them."""

    def __init__(self, met: Path, *, dies_at: str = "", nth: int = 1) -> None:
        self._met = os.open(met, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._dies_at, self._left = dies_at, nth
        #: What was last written to a system: create | update.
        self.last = ""

    def reach(self, name: str) -> None:
        """Passes a point; kills the process if it is the chosen one."""
        os.write(self._met, f"{name}\n".encode())
        if name == self._dies_at:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


def _step_name(default: str) -> str:
    """Returns the name of the step: the innermost function of a use case on the stack."""
    frame = sys._getframe(2)
    while frame is not None:
        module, name = str(frame.f_globals.get("__name__", "")), frame.f_code.co_qualname
        if module.startswith(_USE_CASES) and name not in _SILENT:
            return f"{module.rpartition('.')[2]}.{name}".replace(".<locals>", "")
        frame = frame.f_back  # type: ignore[assignment]
    return default


def watch(points: Points) -> None:
    """Makes this process pass points from now on."""
    begin = Store.begin

    @contextmanager
    def watched(store: Store, *, durable: bool = False) -> Iterator[Transaction]:
        host = _step_name("start")
        if host == "sending.intend":
            points.last = "create" if durable else "update"
        if host in ("sending.intend", "sending.read_back"):
            host = f"{host}, {points.last}"
        with begin(store, durable=durable) as tx:
            yield tx
            points.reach(f"{host}: before the commit")
        points.reach(f"{host}: committed")

    Store.begin = watched  # type: ignore[method-assign]
    for name in ("fetch", "find", "verify"):
        _call(name, points)
    _reading("pages", points)
    _reading("keys", points)
    write = MemoryConnector.write

    def written(one: MemoryConnector, stream: str, writes: Sequence[Write]) -> Any:
        what = "create" if isinstance(writes[0], Create) else type(writes[0]).__name__.lower()
        points.reach(f"{what}: about to be written there")
        outcomes = write(one, stream, writes)
        points.reach(f"{what}: written there, not answered")
        return outcomes

    MemoryConnector.write = written  # type: ignore[method-assign]


def _call(name: str, points: Points) -> None:
    real: Callable[..., Any] = getattr(MemoryConnector, name)

    def called(one: MemoryConnector, *args: Any) -> Any:
        answer = real(one, *args)
        points.reach(f"{_step_name('receive')}: {name}")
        return answer

    setattr(MemoryConnector, name, called)


def _reading(name: str, points: Points) -> None:
    real: Callable[..., Iterator[Page]] = getattr(MemoryConnector, name)

    def reading(one: MemoryConnector, *args: Any) -> Iterator[Page]:
        for page in real(one, *args):
            points.reach(f"{_step_name('?')}: {name}")
            yield page

    setattr(MemoryConnector, name, reading)
