"""The streams of a memory system and their shapes, kept in its file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from connectors.kit.errors import ContractError
from connectors.kit.manifest import StreamFacts
from connectors.memory.shapes import StreamShape
from connectors.memory.storage_tables import Tables

#: Streams as they are declared: names, or names with their facts or whole shapes.
Streams = Mapping[str, StreamShape | StreamFacts] | Iterable[str]

_ORDER_ACTS = {
    "quote": {"draft": "quoted"},
    "confirm": {"quoted": "confirmed"},
    "process": {"confirmed": "processing"},
    "complete": {"processing": "done"},
    "cancel": {"draft": "cancelled", "quoted": "cancelled"},
}


def default_shape(stream: str, facts: StreamFacts | None = None) -> StreamShape:
    """Returns the default shape of a stream: it can do everything."""
    facts = facts or StreamFacts(
        title=stream,
        create=True,
        update=True,
        delete=True,
        lock="native",
        once="once",
        deletions="pages",
    )
    acts = {name: way for name, way in _ORDER_ACTS.items() if name in facts.actions}
    return StreamShape(facts=facts, acts=acts)


class ShapeStore:
    """Stream -> shape, the same in every process; `system` is for messages."""

    def __init__(self, tables: Tables, system: str) -> None:
        self._tables = tables
        self._system = system

    def all(self) -> dict[str, StreamShape]:
        """Returns every stream with its shape."""
        return {name: _shape(text) for name, text in self._tables.notes("shape ").items()}

    def of(self, stream: str) -> StreamShape:
        """Returns the shape of a stream. Raises: ContractError when there is none."""
        text = self._tables.note(f"shape {stream}")
        if text is None:
            known = ", ".join(self.all())
            raise ContractError(f"{self._system} has no stream {stream!r}; it has {known}")
        return _shape(text)

    def declare(self, stream: str, shape: StreamShape | None = None, **changes: Any) -> StreamShape:
        """Adds a stream or changes its shape."""
        if shape is None:
            known = self._tables.note(f"shape {stream}") is not None
            shape = self.of(stream) if known else default_shape(stream)
        whole = StreamShape.model_validate({**dict(shape), **changes})
        self._tables.remember(f"shape {stream}", whole.model_dump_json())
        return whole

    def declare_all(self, streams: Streams) -> None:
        """Adds streams or replaces their shapes."""
        named = streams if isinstance(streams, Mapping) else dict.fromkeys(streams)
        for stream, given in named.items():
            shape = given if isinstance(given, StreamShape) else default_shape(stream, given)
            self.declare(stream, shape)


@lru_cache(maxsize=512)
def _shape(text: str) -> StreamShape:
    """Returns the shape that a note holds; read often, hardly ever changed."""
    return StreamShape.model_validate_json(text)
