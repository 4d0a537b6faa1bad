"""What happens to records while their pages are read: some change, some vanish for a while."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from connectors.kit.errors import RecordMissingError, RecordRejectedError
from connectors.memory.fault_state import FaultState
from connectors.memory.storage_tables import Row, Tables
from connectors.memory.writing import RowWriter


class PageFaults:
    """The faults `moving` and `vanishing`; `pen` opens the writer of a stream's rows."""

    def __init__(self, tables: Tables, state: FaultState, pen: Callable[[str], RowWriter]) -> None:
        self._tables = tables
        self._state = state
        self._pen = pen

    def turn_page(self, stream: str, *, last: bool) -> None:
        """Applies what happens between two pages of a read, and after the last one."""
        if not {"moving", "vanishing"} & {*self._state.faults.chances}:
            return
        with self._tables.transaction():
            self.bring_back()
            if last:
                return
            if self._state.strikes("moving") and (row := self._anyone(stream)):
                self._pen(stream).touch(row.key)
            if self._state.strikes("vanishing") and (row := self._anyone(stream)):
                self._pen(stream).delete(row.key)
                self._tables.remember(f"away {stream}", row.key)
                self._tables.remember(f"vanished {stream} {row.key}", "yes")

    def bring_back(self) -> None:
        """Restores the records that vanished. In a transaction of the caller's."""
        for stream, key in self._tables.notes("away ").items():
            if key:
                self._tables.remember(f"away {stream}", "")
                # another record has taken its unique value, or a user was faster
                with suppress(RecordRejectedError, RecordMissingError):
                    self._pen(stream).restore(key)

    def vanished(self) -> list[tuple[str, str]]:
        """Returns stream and key of every record that has vanished once."""
        found = [name.partition(" ") for name in self._tables.notes("vanished ")]
        return [(stream, key) for stream, _, key in found]

    def _anyone(self, stream: str) -> Row | None:
        where = "WHERE stream = ? AND fate = 'live'"
        count = self._tables.count(where, stream)
        offset = int(self._state.roll("who") * count)
        found = self._tables.rows(f"{where} ORDER BY number LIMIT 1 OFFSET ?", stream, offset)
        return found[0] if found else None
