"""The webhooks of a simulation: about some changes only; faults delay, repeat or drop them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from connectors.kit.contract import Notification
from connectors.kit.faults import journeys
from hub.simulation.acting import TypedWord
from hub.simulation.stage import Stage
from hub.sync.ingest.webhooks import receive

#: Share of the changes in systems with webhooks that a webhook reports.
_NOTIFIED = 0.15


class WebhookTraffic:
    """Notifications on their way; `note_fault` is called with each fault that strikes."""

    def __init__(self, stage: Stage, note_fault: Callable[[str], None]) -> None:
        self._stage, self._note_fault = stage, note_fault
        #: (due at, connection, notification)
        self._delayed: list[tuple[datetime, str, Notification]] = []
        self._events = 0

    def send(self, done: Iterable[TypedWord], luck: random.Random) -> None:
        """Sends webhooks about some changes of users, and delivers what is due."""
        for spoken in done:
            name, stream = spoken.emulator.connection, spoken.emulator.stream
            if not self._stage.setup.settings.connections[name].manifest.webhooks:
                continue
            if luck.random() > _NOTIFIED:
                continue
            self._events += 1
            notification = Notification(stream, spoken.key, f"event-{self._events}")
            waits = journeys(self._stage.faults, lambda _name: luck.random(), self._note_fault)
            now = self._stage.clock()
            self._delayed += [(now + timedelta(seconds=wait), name, notification) for wait in waits]
        self.deliver()

    def deliver(self, *, everything: bool = False) -> None:
        """Delivers the webhooks that are due, in order of arrival."""
        now = self._stage.clock()
        by_system: dict[str, list[Notification]] = {}
        later: list[tuple[datetime, str, Notification]] = []
        for due, name, notification in sorted(self._delayed, key=lambda one: one[0]):
            if everything or due <= now:
                by_system.setdefault(name, []).append(notification)
            else:
                later.append((due, name, notification))
        self._delayed = later
        for name, notifications in by_system.items():
            receive(self._stage.hub, name, notifications)
