"""Checks of the systems at the end of every simulation: records created twice, repeated names,
needless writes.

Looks at the systems only, never at the workload or the hub's store.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from connectors.memory import MemorySystem
from connectors.memory.system import Written

Name = TypeVar("Name", bound=Hashable)


@dataclass(frozen=True, slots=True)
class DuplicateRecords:
    """Live records of one stream that carry the same hub id."""

    connection: str
    stream: str
    external_id: str
    number: int
    #: Separated by commas.
    keys: str

    def __str__(self) -> str:
        return (
            f"{self.connection} {self.stream} has {self.number} records of one hub id"
            f" {self.external_id}: {self.keys}"
        )


def made_twice(
    systems: Mapping[str, MemorySystem], streams: Iterable[str]
) -> Iterator[DuplicateRecords]:
    """Yields the records that the hub created more than once."""
    for stream in streams:
        for name, system in systems.items():
            for external_id, number, keys in system.tables.twice(stream):
                yield DuplicateRecords(name, stream, external_id, number, keys)


def repeated(names: Iterable[Name]) -> dict[Name, int]:
    """Returns the names that occur more than once, and how often.

    >>> repeated(["acme", "globex", "acme"])
    {'acme': 2}
    """
    return {name: times for name, times in Counter(names).items() if times > 1}


def forget_writes(systems: Mapping[str, MemorySystem]) -> None:
    """Clears the write logs: every write from now on is an echo."""
    for system in systems.values():
        system.forget_writes()


def echoes(systems: Mapping[str, MemorySystem]) -> list[tuple[str, Written]]:
    """Returns (connection, write) for every needless write."""
    return [(name, line) for name, system in systems.items() for line in system.writes]
