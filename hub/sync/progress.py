"""How a long use case tells what it is doing; the command line draws it."""

from __future__ import annotations

from typing import Protocol


class StoppedError(Exception):
    """The process shall end: the page or batch is stored, the rest is done by the next one."""


class Progress(Protocol):
    """Told about named pieces of work; must be quick and must not fail.

    `advance` may raise StoppedError, which ends the work between two pages or batches.
    """

    def start(self, name: str, total: int | None) -> None:
        """A piece of work begins; `total` records when known."""
        ...

    def advance(self, name: str, count: int) -> None:
        """So many more records are done."""
        ...

    def done(self, name: str) -> None:
        """The piece of work is over."""
        ...


class Silence:
    """Progress nobody looks at."""

    def start(self, name: str, total: int | None) -> None:
        """Says nothing."""

    def advance(self, name: str, count: int) -> None:
        """Says nothing."""

    def done(self, name: str) -> None:
        """Says nothing."""
