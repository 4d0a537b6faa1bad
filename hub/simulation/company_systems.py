"""The systems of the invented company, and which record of each its users know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from connectors.memory import MemorySystem
from connectors.memory.storage_tables import Row
from hub.simulation.emulators import Emulator


@dataclass
class Company:
    """All emulators, and the record of each subject in each of them."""

    systems: Mapping[str, MemorySystem]
    #: connection -> stream -> emulator
    emulators: Mapping[str, Mapping[str, Emulator]]
    #: (connection, entity) -> subject -> key
    keys: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)
    #: Subjects that users created in more than one system, deleted, or merged.
    shared: set[str] = field(default_factory=set)
    disturbed: set[str] = field(default_factory=set)
    merged: set[str] = field(default_factory=set)

    def emulator(self, connection: str, entity: str) -> Emulator | None:
        """Returns the emulator of an entity in a connection."""
        for emulator in self.emulators.get(connection, {}).values():
            if emulator.entity.name == entity and emulator.tag is not None:
                return emulator
        return None

    def key(self, connection: str, entity: str, subject: str) -> str | None:
        """Returns the key of a subject if users can find it there."""
        return self.keys.get((connection, entity), {}).get(subject)

    def add_record(self, connection: str, entity: str, subject: str, key: str) -> None:
        """Adds a subject's record; users keep using the first one."""
        self.keys.setdefault((connection, entity), {}).setdefault(subject, key)

    def remove_record(self, connection: str, entity: str, subject: str) -> None:
        """Removes a subject: users no longer find it."""
        self.keys.get((connection, entity), {}).pop(subject, None)


def happened_at(system: MemorySystem, row: Row) -> float:
    """Returns when a row changed, in seconds since the epoch, by a correct clock."""
    return datetime.fromisoformat(row.modified_at).timestamp() - system.faults.skew
