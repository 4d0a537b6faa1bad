"""Loads the mappings of systems, the shipped ones and the user's, compiled and checked together.

Reads only YAML files. Loads all systems of a configuration at once, because a `custom.` path that
one of them declares belongs to the entity of all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from mappings.canonical.entities import ENTITIES
from mappings.kit import files
from mappings.kit.compiling import compiled, extended, known
from mappings.kit.errors import MappingFileError
from mappings.kit.file_schema import mapping_schema
from mappings.kit.mapping import Mapping
from mappings.kit.table import TableMapping

__all__ = ["load", "load_all", "mapping_schema", "shipped"]


def load_all(systems: Iterable[str], extra: Sequence[Path] = ()) -> dict[str, list[Mapping]]:
    """Returns the mappings of each system, parents before children; entities are shared.

    `extra` are folders of the user, `<folder>/<system>/<file>.yaml`; later ones have precedence.

    Raises: MappingFileError.
    """
    streams = {system: files.streams(system, extra) for system in dict.fromkeys(systems)}
    entities = extended(ENTITIES, streams)
    order = list(entities)
    loaded: dict[str, list[Mapping]] = {}
    for system, found in streams.items():
        if not found:
            places = ", ".join(str(folder / system) for folder in (files.OURS, *extra))
            hint = files.nearest(system, shipped())
            message = (
                f"no mapping files in {places}{hint}; write one per stream, see mappings/README.md"
            )
            raise MappingFileError(message, path=files.OURS / system)
        about = known(system, found, entities)
        made: list[TableMapping] = [compiled(stream, about) for stream in found.values()]
        loaded[system] = sorted(made, key=lambda m: order.index(m.entity.name))
    return loaded


def load(system: str, *, extra: Sequence[Path] = ()) -> list[Mapping]:
    """Returns the mappings of one system. Raises: MappingFileError."""
    return load_all([system], extra)[system]


def shipped() -> list[str]:
    """Returns the systems that Tulay ships mappings for."""
    return sorted({path.parent.name for path in files.OURS.glob("*/*.yaml")})
