"""The position of a reader of the memory system: cursors, and which rows come next.

A full read goes by row number, an increment by time of change. Nothing here yields records.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import timedelta

from connectors.kit.errors import CursorExpiredError
from connectors.memory.storage_tables import Row, as_text
from connectors.memory.system import MemorySystem


@dataclass(frozen=True, slots=True)
class Place:
    """A position in a stream, as stored in a cursor."""

    epoch: str
    #: Increments: what changed at this time or later comes next.
    since: str
    #: Of what changed at exactly `since`, rows up to this number are done.
    number: int = 0
    #: In the middle of a full read: rows up to this number are done.
    full: int | None = None

    def text(self) -> str:
        """Returns the cursor."""
        return json.dumps(asdict(self), separators=(",", ":"))


def place(system: MemorySystem, stream: str, cursor: str) -> Place:
    """Reads a cursor. Raises: CursorExpiredError when it is too old or not one of ours."""
    try:
        found = Place(**json.loads(cursor))
    except (TypeError, ValueError) as error:
        raise _expired(system, stream) from error
    if found.epoch != system.epoch:
        raise _expired(system, stream)
    return found


def _expired(system: MemorySystem, stream: str) -> CursorExpiredError:
    message = f"{system.name} no longer knows this cursor of {stream}; read the stream again"
    return CursorExpiredError(message)


class Reader:
    """Finds the next rows of one stream, a few at a time."""

    def __init__(self, system: MemorySystem, stream: str, *, size: int, overlap: float) -> None:
        self._system = system
        self._stream = stream
        self._size = size
        #: What a later read must read again: changes may become visible late.
        self.horizon = as_text(system.fault_state.moment() - timedelta(seconds=overlap))
        self._until = system.now()

    def all_after(self, number: int, until: int) -> tuple[list[Row], bool]:
        """Returns live rows after a row number, and whether these were the last."""
        where = "WHERE stream = ? AND fate = 'live' AND number > ? AND number <= ? ORDER BY number"
        return self._some(where, self._stream, number, until)

    def shown(self, rows: list[Row]) -> list[Row]:
        """Returns those of some rows that are not hidden from us."""
        if not self._system.faults.hidden:
            return rows
        return [row for row in rows if not self._system.fault_state.hides(self._stream, row.key)]

    def last_number(self) -> int:
        """Returns the highest row number."""
        last = self._system.tables.rows(
            "WHERE stream = ? ORDER BY number DESC LIMIT 1", self._stream
        )
        return last[0].number if last else 0

    def changed(self, since: str, number: int) -> tuple[list[Row], bool]:
        """Returns rows in any state that changed after a position, oldest first."""
        lag = timedelta(seconds=self._system.faults.lag)
        until = min(self._until, as_text(self._system.fault_state.moment() - lag))
        if lag and number == 0:
            self._note_late(max(since, until))
        where = (
            "WHERE stream = ? AND (modified_at, number) > (?, ?) AND modified_at <= ? "
            "ORDER BY modified_at, number"
        )
        return self._some(where, self._stream, since, number, until)

    def _note_late(self, since: str) -> None:
        where = "WHERE stream = ? AND modified_at > ? AND modified_at <= ? LIMIT 1"
        if self._system.tables.rows(where, self._stream, since, self._until):
            self._system.fault_state.has_happened("lag")

    def after(self, row: Row) -> Place:
        """Returns the position from which a later read continues when this row was the last."""
        if row.modified_at < self.horizon:
            return Place(self._system.epoch, row.modified_at, row.number)
        return Place(self._system.epoch, self.horizon)

    def _some(self, where: str, *values: object) -> tuple[list[Row], bool]:
        rows = self._system.tables.rows(f"{where} LIMIT ?", *values, self._size + 1)
        return rows[: self._size], len(rows) <= self._size
