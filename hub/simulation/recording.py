"""Writes into the history what users do, and whether the hub had read what they replaced."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from connectors.memory.storage_tables import Row
from hub.simulation.change_history import History, HistoryEvent, TypedValue
from hub.simulation.company_systems import Company, happened_at
from hub.simulation.emulators import Emulator
from hub.simulation.workload import Step
from hub.store.links import Link
from mappings.canonical.values import Values

#: (connection, stream, keys) -> what the hub has of these records.
Known = Callable[[str, str, Sequence[str]], Mapping[str, Link]]


class Recorder:
    """Records each step; steps up to `first` create the initial data."""

    def __init__(self, company: Company, history: History, known: Known, *, first: int) -> None:
        self._company, self._history, self._known = company, history, known
        self._first = first
        self._links: dict[tuple[str, str, str], Link | None] = {}
        self._count = 0
        self._narration: list[str] = []
        #: Called for each typed value: (line of the history, value, seconds since the epoch).
        self.listeners: list[Callable[[int, TypedValue, float], None]] = []

    def take_count(self) -> int:
        """Returns the number of changes since the last call."""
        count, self._count = self._count, 0
        return count

    def take_narration(self) -> list[str]:
        """Returns a description of each step since the last call; used for short histories only."""
        narration, self._narration = self._narration, []
        return narration

    def population_ends(self, number: int) -> None:
        """Later steps count as changes of the day."""
        self._first = number

    def begin(self, steps: Iterable[Step]) -> None:
        """Reads what the hub knows of the records that these steps are about."""
        self._narration = []
        wanted: dict[tuple[str, str], list[str]] = {}
        for step in steps:
            emulator = self._company.emulator(step.side, step.entity)
            key = self._company.key(step.side, step.entity, step.subject)
            if emulator is not None and key is not None and step.verb != "create":
                wanted.setdefault((step.side, emulator.stream), []).append(key)
        self._links = {}
        for (side, stream), keys in wanted.items():
            found = self._known(side, stream, keys)
            self._links |= {(side, stream, key): found.get(key) for key in keys}

    def note(
        self,
        emulator: Emulator,
        step: Step,
        row: Row,
        *,
        subject: str,
        values: Values,
        before: Mapping[str, Any],
    ) -> None:
        """Records a change, and each value typed with it."""
        number, at = step.number - self._first, happened_at(self._company.systems[step.side], row)
        self._history.act(
            HistoryEvent(number, at, step.verb, subject, step.side, emulator.stream, row.key)
        )
        self._count += 1
        said = ", ".join(f"{p} = {'blank' if v is None else v}" for p, v in values.items())
        self._narration.append(
            f"{step.side}: {step.verb} {emulator.stream} {row.key} ({subject}): {said}"
        )
        link = self._links.get((step.side, emulator.stream, row.key))
        for path, value in values.items():
            if emulator.mapping.references.get(path) or "[" in path or not _counts(emulator, path):
                continue
            old = emulator.at(before, path) if before else None
            read = old is None or (link is not None and link.state.seen_at(path) == old)
            typed = TypedValue(
                *(number, subject, step.side, emulator.stream, row.key, path),
                value=emulator.shows(path, value),
                unread=not read,
                unique=path in emulator.typed and value is not None,
            )
            line = self._history.typed(typed)
            for listener in self.listeners:
                listener(line, typed, at)

    def note_end(self, verb: str, emulator: Emulator, step: Step, *, row: Row, ended: Row) -> None:
        """Records the end of a record: `row` is how it was, `ended` carries the time."""
        at = happened_at(self._company.systems[step.side], ended)
        link = self._links.get((step.side, emulator.stream, row.key))
        read = link is not None and link.version == str(row.version)
        number, newest = step.number - self._first, self._company.systems[step.side].tables.newest
        said = verb if read else f"{verb} unread"
        self._count += 1
        what = f" into {step.other}" if verb == "merge" else ""
        self._narration.append(
            f"{step.side}: {verb} {emulator.stream} {row.key} ({step.subject}){what}"
        )
        where = (step.side, emulator.stream, row.key)
        self._history.act(
            HistoryEvent(number, at, said, step.subject, *where, newest(emulator.stream))
        )


def _counts(emulator: Emulator, path: str) -> bool:
    """Returns True if the hub's mapping reads this field, so that a value typed into it counts."""
    column = emulator.spoken.columns.by_path.get(path)
    return column is not None and emulator.mapping.mapped(path)
