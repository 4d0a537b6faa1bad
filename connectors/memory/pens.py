"""Opens writers of rows: with the shape, the faults and the time of this moment."""

from __future__ import annotations

from datetime import UTC, datetime

from connectors.memory.event_queue import EventQueue
from connectors.memory.fault_state import FaultState
from connectors.memory.shape_store import ShapeStore
from connectors.memory.storage_tables import Tables, as_text
from connectors.memory.writing import RowWriter


class Pens:
    """The writers of all streams of one system."""

    def __init__(
        self, tables: Tables, shapes: ShapeStore, state: FaultState, *, events: EventQueue
    ) -> None:
        self._tables = tables
        self._shapes = shapes
        self._state = state
        self._events = events

    def of(self, stream: str) -> RowWriter:
        """Returns the writer of a stream's rows; the caller opens the transaction."""
        faults, at = self._state.faults, self._state.moment()
        if faults.ties:
            at = datetime.fromtimestamp(at.timestamp() // faults.ties * faults.ties, UTC)
        return RowWriter(
            self._tables,
            stream=stream,
            shape=self._shapes.of(stream),
            now=as_text(at),
            faults=faults,
            tell=self._events.recorder(stream),
        )
