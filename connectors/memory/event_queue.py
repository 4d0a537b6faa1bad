"""The events that a memory system still has to deliver to the receiver of its webhooks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

from connectors.kit.contract import Request
from connectors.kit.faults import journeys
from connectors.memory.fault_state import FaultState
from connectors.memory.storage_tables import Row, Tables, as_text
from connectors.memory.webhooks import Event, posted


class EventQueue:
    """Records every change once a receiver has subscribed."""

    def __init__(self, tables: Tables, state: FaultState) -> None:
        self._tables = tables
        self._state = state

    def subscribe(self) -> None:
        """From now on every change is recorded for `deliveries`."""
        self._tables.remember("subscribed", "yes")

    def recorder(self, stream: str) -> Callable[[Row], None] | None:
        """Returns what records the changes of a stream; None without a subscription."""
        if not self._tables.note("subscribed"):
            return None

        def record(row: Row) -> None:
            number, now = self._tables.next("event"), self._state.moment()
            state = self._state
            for wait in journeys(state.faults.chances, state.roll, state.has_happened):
                due_at = as_text(now + timedelta(seconds=wait))
                self._tables.tell(number, row, stream=stream, due_at=due_at)

        return record

    def deliveries(
        self, *, secret: str, url: str = "memory://hook", size: int = 100
    ) -> Iterator[Request]:
        """Returns what is due, as signed deliveries of up to `size` events.

        What faults delay becomes due by the system's clock.
        """
        while found := self._tables.told(as_text(self._state.moment()), size):
            events = [Event(*one) for one in found]
            yield posted(events, secret=secret, at=self._state.clock(), url=url)
