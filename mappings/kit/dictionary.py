"""The data dictionary: entities, their fields, and which stream of which system maps each.

Pure. It describes mappings for people and decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from mappings.canonical.values import Entity, Field
from mappings.kit.mapping import Mapping as StreamMapping

#: How a stream maps a field; `constant`: all its records have the same value.
Mode = Literal["both", "read", "write", "constant"]


@dataclass(frozen=True, slots=True)
class MappedBy:
    """A stream that maps a field, and how."""

    system: str
    stream: str
    mode: Mode

    def __str__(self) -> str:
        """Returns the text for people.

        >>> str(MappedBy("erp", "parties", "both")), str(MappedBy("erp", "parties", "read"))
        ('erp parties', 'erp parties (read)')
        """
        mode = "" if self.mode == "both" else f" ({self.mode})"
        return f"{self.system} {self.stream}{mode}"


@dataclass(frozen=True, slots=True)
class FieldEntry:
    """A field of an entity. Fields of list items have paths such as `lines[].quantity`."""

    path: str
    kind: str
    help: str
    #: Allowed values of an enum.
    options: tuple[str, ...]
    #: The entity that a reference points to.
    entity: str | None
    mapped_by: tuple[MappedBy, ...]

    @property
    def shown_kind(self) -> str:
        """The kind for people; of a reference with its entity."""
        return f"{self.kind} to {self.entity}" if self.entity else self.kind


@dataclass(frozen=True, slots=True)
class EntityEntry:
    """An entity with its fields."""

    name: str
    #: Sets of paths that identify a record, strongest first.
    match: tuple[tuple[str, ...], ...]
    fields: tuple[FieldEntry, ...]


def dictionary(
    entities: Mapping[str, Entity], mappings: Mapping[str, Iterable[StreamMapping]]
) -> list[EntityEntry]:
    """Returns an entry for each entity; `mappings` are those of each system."""
    streams = [mapping for found in mappings.values() for mapping in found]
    return [
        EntityEntry(
            name,
            entity.match,
            tuple(
                _entry(path, field, [one for one in streams if one.entity.name == name])
                for path, field in _fields(entity)
            ),
        )
        for name, entity in entities.items()
    ]


def _fields(entity: Entity) -> Iterator[tuple[str, Field]]:
    yield from entity.fields.items()
    for name, items in entity.lists.items():
        yield from ((f"{name}[].{path}", field) for path, field in items.items())


def _entry(path: str, field: Field, streams: Iterable[StreamMapping]) -> FieldEntry:
    mapped = tuple(
        MappedBy(one.system, one.stream, _mode(one, path)) for one in streams if one.mapped(path)
    )
    return FieldEntry(path, field.kind, field.help, field.options, field.entity, mapped)


def _mode(mapping: StreamMapping, path: str) -> Mode:
    if path in mapping.constants:
        return "constant"
    if not mapping.writable(path):
        return "read"
    return "both" if mapping.readable(path) else "write"
