"""Describes streams of the memory system: declared fields, and those its records show."""

from __future__ import annotations

import json

from connectors.kit.contract import FieldInfo, StreamSchema
from connectors.memory.patching import leaves
from connectors.memory.shapes import StreamShape
from connectors.memory.system import MemorySystem

_TYPES: dict[type, str] = {bool: "boolean", int: "integer", float: "number", list: "list"}
#: Number of records inspected for undeclared fields.
_SAMPLE = 200


def described(system: MemorySystem, stream: str) -> StreamSchema:
    """Returns the live fields of a stream. Raises: ContractError when there is no such stream."""
    shape = system.shape(stream)
    types = {} if shape.closed else _seen(system, stream)
    types |= shape.fields
    if shape.facts.once:
        types.setdefault(shape.facts.once, "text")
    return StreamSchema(stream, {name: _field(shape, name, types[name]) for name in types})


def _seen(system: MemorySystem, stream: str) -> dict[str, str]:
    rows = system.tables.rows(
        "WHERE stream = ? AND fate = 'live' ORDER BY number DESC LIMIT ?", stream, _SAMPLE
    )
    return {
        path: _TYPES.get(type(value), "text")
        for row in rows
        for path, value in leaves(json.loads(row.payload))
    }


def _field(shape: StreamShape, name: str, kind: str) -> FieldInfo:
    way, _, figure = shape.ways.get(name, "").partition(":")
    return FieldInfo(
        name=name,
        type=kind,
        required=name in shape.required,
        writable=not (shape.acts and name == shape.state),
        length=int(figure) if way == "truncate" else None,
    )
