"""Progress reports of long use cases; the command line draws them."""

from __future__ import annotations

from typing import Protocol


class StoppedError(Exception):
    """The process is stopping: the current page or batch is stored, another run does the rest."""


class Progress(Protocol):
    """Receives progress of named pieces of work; must be quick and must not fail.

    `advance` may raise StoppedError, which ends the work between two pages or batches.
    """

    def start(self, name: str, total: int | None) -> None:
        """A piece of work begins; `total` is the number of its records, if known."""
        ...

    def advance(self, name: str, count: int) -> None:
        """`count` more records are done."""
        ...

    def done(self, name: str) -> None:
        """The piece of work has ended."""
        ...


class Silence:
    """Progress that is not shown."""

    def start(self, name: str, total: int | None) -> None:
        """Does nothing."""

    def advance(self, name: str, count: int) -> None:
        """Does nothing."""

    def done(self, name: str) -> None:
        """Does nothing."""
