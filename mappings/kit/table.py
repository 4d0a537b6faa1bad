"""A compiled mapping: what the hub gets from a mapping file. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mappings.canonical.naming import name_of
from mappings.canonical.values import Entity, Scalar, Values
from mappings.kit.items import ItemList
from mappings.kit.mapping import CustomField
from mappings.kit.paths import Draft, Give
from mappings.kit.row import Column, Columns


@dataclass(slots=True, kw_only=True)
class TableMapping:
    """A mapping file, compiled. See `mappings.kit.mapping.Mapping` for the promises."""

    system: str
    stream: str
    entity: Entity
    fingerprint: str
    imports: bool
    constants: Values
    requires: tuple[str, ...]
    actions: Mapping[str, str]
    references: Mapping[str, str]
    custom_fields: tuple[CustomField, ...]
    names: Mapping[str, str]
    declared_at: str
    columns: Columns = field(repr=False)
    lists: Mapping[str, ItemList] = field(repr=False)
    #: The values of every new record in the system.
    defaults: tuple[tuple[Give, Scalar], ...] = field(repr=False)

    def read(self, payload: Mapping[str, Any]) -> Values:
        """Translates a whole record; see the protocol. Raises: LensError."""
        values = dict(self.constants)
        self.columns.read(payload, values)
        for items in self.lists.values():
            items.read(payload, values)
        return values

    def legible(self, payload: Mapping[str, Any]) -> Values:
        """Translates the paths that can be translated; see the protocol."""
        return {**self.constants, **self.columns.legible(payload)}

    def write(
        self, values: Mapping[str, Scalar], current: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        """Translates values into a patch; see the protocol. Raises: LensError.

        Values with an unchanged meaning are left out, so the patch may be empty. So are paths that
        this mapping may not write.
        """
        draft = Draft(current)
        if current is None:
            for give, raw in self.defaults:
                give(draft, raw)
        self.columns.write(values, draft)
        for name, given in self._by_item(values).items():
            self.lists[name].write(given, draft)
        return draft.patch

    def _by_item(self, values: Mapping[str, Scalar]) -> dict[str, dict[str, dict[str, Scalar]]]:
        """Returns {list: {key: {path in the item: value}}}, of writable paths only."""
        found: dict[str, dict[str, dict[str, Scalar]]] = {}
        for path, value in values.items():
            item = _place(path)
            if item is not None and self.writable(path):
                name, key, leaf = item
                found.setdefault(name, {}).setdefault(key, {})[leaf] = value
        return found

    def _column(self, path: str) -> Column | None:
        item = _place(path)
        if item is None:
            return self.columns.by_path.get(path)
        items = self.lists.get(item[0])
        return None if items is None else items.columns.by_path.get(item[2])

    def writable(self, path: str) -> bool:
        """Returns True if the hub may write this path."""
        column = self._column(path)
        return column is not None and column.writable

    def readable(self, path: str) -> bool:
        """Returns True if edits in the remote system count: mapped, and not `mode: write`."""
        column = self._column(path)
        return column is not None and column.readable

    def mapped(self, path: str) -> bool:
        """Returns True if this mapping covers the path, as a field or as a constant."""
        return self._column(path) is not None or path in self.constants

    def describe(self, values: Mapping[str, Scalar]) -> str:
        """Returns the name of a record for people, in one line."""
        return name_of(self.entity, values)


def _place(path: str) -> tuple[str, str, str] | None:
    """Returns list, key and path in the item; None for a plain path.

    >>> _place("lines[WID[1]].quantity")
    ('lines', 'WID[1]', 'quantity')
    """
    name, bracket, rest = path.partition("[")
    if not bracket:
        return None
    key, _, leaf = rest.rpartition("].")
    return (name, key, leaf) if key or leaf else None
