"""What happens to the records of an account, told to those who listen: webhooks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from connectors.hubspot.twin.stored_record import Record, Source
from connectors.kit.twin import Clock


@dataclass(frozen=True, slots=True)
class Event:
    """Something happened to a record; webhooks tell the world."""

    #: creation | propertyChange | deletion | restore | merge | associationChange
    action: str
    record: Record
    at: int
    source: Source
    details: Mapping[str, Any] = field(default_factory=dict)


class Events:
    """Passes events on to all listeners."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.listeners: list[Callable[[Event], None]] = []

    def tell(self, action: str, record: Record, source: Source, **details: Any) -> None:
        """Tells every listener that something happened to a record just now."""
        if self.listeners:
            event = Event(action, record, self._clock.ms(), source, details)
            for listener in self.listeners:
                listener(event)

    def tell_link(
        self,
        one: Record,
        other: Record,
        source: Source,
        *,
        primary: bool = False,
        removed: bool = False,
    ) -> None:
        """Tells from both sides that a link was made or removed."""
        for here, there in ((one, other), (other, one)):
            name = f"{here.kind.facts.singular}_TO_{there.kind.facts.singular}".upper()
            self.tell(
                "associationChange",
                here,
                source,
                associationType=name,
                fromObjectId=here.id,
                toObjectId=there.id,
                isPrimaryAssociation=primary,
                associationRemoved=removed,
            )
