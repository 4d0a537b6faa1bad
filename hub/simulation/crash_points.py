"""A process that may die at any commit, and before or after any call to a system.

Everything in it is real; only its crash points are watched, and others may act at them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import Connection as Transaction
from sqlalchemy import Engine

from connectors.kit.contract import Outcome, Page, Record, Write
from connectors.kit.errors import ConnectorError
from connectors.memory import MemoryConnector
from hub.store.engine import Store

Answer = TypeVar("Answer")


class KilledError(BaseException):
    """The process has died here: nothing in it may catch this."""


class CrashPoints:
    """The crash points of one process, at which it can be interrupted or killed."""

    def __init__(self) -> None:
        self.dead = False
        self.passed = 0
        self.dies: int | None = None
        self.meanwhile: tuple[int, Callable[[], None]] | None = None

    def expect(self, dies: int | None, meanwhile: tuple[int, Callable[[], None]] | None) -> None:
        """Sets what happens during the next use case."""
        self.passed, self.dies, self.meanwhile = 0, dies, meanwhile

    def point(self, *, open_to_others: bool = True) -> None:
        """Passes a point at which the process may be interrupted. Raises: KilledError."""
        if self.dead:
            raise KilledError
        self.passed += 1
        if self.dies is not None and self.passed > self.dies:
            self.dead = True
            raise KilledError
        if open_to_others and self.meanwhile is not None and self.passed > self.meanwhile[0]:
            _, act = self.meanwhile
            self.meanwhile = None
            act()


class CrashingStore(Store):
    """The real store of a process that may die before or after any commit."""

    def __init__(self, engine: Engine, crash_points: CrashPoints) -> None:
        super().__init__(engine)
        self.crash_points = crash_points

    @contextmanager
    def begin(self, *, durable: bool = False) -> Iterator[Transaction]:
        self.crash_points.point()
        with super().begin(durable=durable) as tx:
            yield tx
            self.crash_points.point(open_to_others=False)  # dying here rolls the transaction back
        self.crash_points.point()


class CrashingConnector:
    """The memory connector of a process that may die."""

    def __init__(self, connector: MemoryConnector, crash_points: CrashPoints) -> None:
        self.connector, self.crash_points = connector, crash_points

    def meet(self) -> None:
        """Called when a call begins; for subclasses."""

    def _call(self, method: Callable[..., Answer], *args: Any) -> Answer:
        self.crash_points.point()
        self.meet()
        answer = method(*args)
        self.crash_points.point()
        return answer

    def pages(self, stream: str, since: str | None) -> Iterator[Page]:
        """Reads all pages at once: later ones are out of date by the time they are ingested."""
        self.crash_points.point()
        self.meet()
        found: list[Page | ConnectorError] = []
        try:
            for page in self.connector.pages(stream, since):
                found.append(page)
                self.crash_points.point()
                self.meet()
        except ConnectorError as error:
            found.append(error)
        return _as_pages(found)

    def keys(self, stream: str) -> Iterator[Sequence[str]]:
        self.meet()
        for portion in self.connector.keys(stream):
            self.crash_points.point()
            self.meet()
            yield portion

    def fetch(self, stream: str, keys: Sequence[str]) -> Page:
        return self._call(self.connector.fetch, stream, keys)

    def find(self, stream: str, external_ids: Sequence[str]) -> Mapping[str, Record]:
        return self._call(self.connector.find, stream, external_ids)

    def write(self, stream: str, writes: Sequence[Write]) -> Sequence[Outcome]:
        return self._call(self.connector.write, stream, writes)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connector, name)


def _as_pages(found: Sequence[Page | ConnectorError]) -> Iterator[Page]:
    for one in found:
        if isinstance(one, ConnectorError):
            raise one
        yield one
