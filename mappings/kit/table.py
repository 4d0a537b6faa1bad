"""A compiled mapping: columns that read and write one stream; what the hub gets from a file.

Pure and fast: everything that can be decided once was decided by `compiling`. A value that cannot
be translated becomes a LensError that names the path and never the value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mappings.canonical.values import Entity, Scalar, Values
from mappings.kit import regional
from mappings.kit.errors import LensError
from mappings.kit.lens import Get, Lens
from mappings.kit.mapping import CustomField
from mappings.kit.paths import Draft, Give, Path, Take

#: What a payload of unexpected shape, or an untranslatable value, raises on its way.
_SURPRISES = (ValueError, TypeError, AttributeError, KeyError)
_SUFFIX = re.compile(r"(.+)#(?:[2-9]|[1-9]\d+)")


@dataclass(frozen=True, slots=True)
class Region:
    """Where a record's country is found, for values that depend on it."""

    take: Take | None
    default: str | None

    def of(self, *payloads: Mapping[str, Any]) -> str | None:
        """Returns the country code in the first payload that has one."""
        if self.take is not None:
            for payload in payloads:
                raw = self.take(payload)
                try:
                    found = regional.country(raw) if raw is not None else None
                except ValueError:
                    found = None
                if found is not None:
                    return found
        return self.default


@dataclass(frozen=True, slots=True)
class Column:
    """One canonical path and its field over there."""

    path: str
    #: As errors name it: `lines[].quantity`.
    shown: str
    field: Path
    lens: Lens
    #: The lens's `get` with the policy for unknown values.
    get: Get
    take: Take
    give: Give
    region: Region | None
    writable: bool
    readable: bool

    def meaning(self, raw: Any, country: str | None) -> Scalar:
        """Returns the canonical value of a raw one. Raises: ValueError."""
        if raw is None:
            return None
        return self.get(raw, country) if self.region else self.get(raw)

    def refused(self, error: Exception) -> LensError:
        """Returns the error for this column; an unexpected shape is told apart."""
        if isinstance(error, ValueError):
            return LensError(str(error), path=self.shown)
        return LensError(
            f"{self.field.text} has a shape the mapping does not expect", path=self.shown
        )


class Columns:
    """All columns of a record, or of a list's items."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self.by_path = {column.path: column for column in columns}
        self._simple = [(c.path, c.take, c.get) for c in columns if c.region is None]
        self._regional = [(c.path, c.take, c.get, c.region) for c in columns if c.region]
        #: Field over there -> the columns that share it as parts.
        self._shared: dict[str, list[Column]] = {}
        for column in columns:
            if column.lens.join is not None:
                self._shared.setdefault(column.field.text, []).append(column)

    def read(self, payload: Mapping[str, Any], into: Values, prefix: str = "") -> None:
        """Adds every path's value to `into`. Raises: LensError."""
        path = ""
        try:
            for path, take, get in self._simple:
                raw = take(payload)
                into[prefix + path] = None if raw is None else get(raw)
            for path, take, get, region in self._regional:
                raw = take(payload)
                into[prefix + path] = None if raw is None else get(raw, region.of(payload))
        except _SURPRISES as error:
            raise self.by_path[path].refused(error) from error

    def write(self, values: Mapping[str, Scalar], draft: Draft) -> None:
        """Adds what the given paths need to the draft. Raises: LensError.

        Countries go first: they are what phones and tax numbers are read by.
        """
        given = [c for c in self.by_path.values() if c.path in values and c.writable]
        for column in sorted(given, key=lambda c: c.region is not None):
            if column.lens.join is None:
                self._put(column, values[column.path], draft)
        for columns in self._shared.values():
            if any(c in columns for c in given):
                self._put_parts(columns, values, draft)

    def _put(self, column: Column, value: Scalar, draft: Draft) -> None:
        current = draft.current or {}
        try:
            country = column.region.of(draft.patch, current) if column.region else None
            raw = column.take(current)
            if not _means(column, raw, country, value):
                column.give(draft, column.lens.put(value, raw))
        except _SURPRISES as error:
            raise column.refused(error) from error

    def _put_parts(self, columns: list[Column], values: Mapping[str, Scalar], draft: Draft) -> None:
        """Writes columns that share one field: what is not given stays as it is."""
        raw = columns[0].take(draft.current or {})
        now = {c.lens.part: c.meaning(raw, None) for c in columns}
        wanted = {
            c.lens.part: values[c.path] if c.path in values and c.writable else now[c.lens.part]
            for c in columns
        }
        join = columns[0].lens.join
        if wanted != now and join is not None:
            columns[0].give(draft, join(wanted))


def _means(column: Column, raw: Any, country: str | None, value: Scalar) -> bool:
    """Says whether a raw value has this meaning; one that cannot be read has not."""
    try:
        return column.meaning(raw, country) == value
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class ItemList:
    """A list whose items have a natural key: `lines[KEY].quantity`."""

    name: str
    field: Path
    take: Take
    #: Readings of an item; the first that is filled is its key. The id is the last resort.
    keys: tuple[Take, ...]
    #: Writes the key into a new item that would not get it by its columns.
    give_key: Give | None
    columns: Columns
    #: Paths without which an item is no item: all but texts.
    vital: tuple[str, ...]

    def keyed(self, payload: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yields key and item; a key that comes again gets `#2`, `#3`."""
        seen: dict[str, int] = {}
        for item in self.take(payload) or ():
            key = self._key(item)
            if key is None:
                key = str(item["id"])
            seen[key] = count = seen.get(key, 0) + 1
            yield (key if count == 1 else f"{key}#{count}"), item

    def _key(self, item: Mapping[str, Any]) -> str | None:
        for take in self.keys:
            raw = take(item)
            key = " ".join(str(raw).split())[:80] if raw is not None else ""
            if key:
                return key
        return None

    def read(self, payload: Mapping[str, Any], into: Values) -> None:
        """Adds the paths of all items to `into`. Raises: LensError."""
        try:
            items = list(self.keyed(payload))
        except _SURPRISES as error:
            raise self._refused() from error
        for key, item in items:
            self.columns.read(item, into, f"{self.name}[{key}].")

    def write(self, given: Mapping[str, Mapping[str, Scalar]], draft: Draft) -> None:
        """Adds patches of the items with the given keys: changed, new or removed ones."""
        try:
            current = dict(self.keyed(draft.current or {}))
        except _SURPRISES as error:
            raise self._refused() from error
        patches = [self._patch(key, given, current) for key in given]
        if any(patches):
            place = draft.inside(self.field.head[:-1])
            place.setdefault(self.field.head[-1], []).extend(patch for patch in patches if patch)

    def _patch(
        self,
        key: str,
        given: Mapping[str, Mapping[str, Scalar]],
        current: Mapping[str, Mapping[str, Any]],
    ) -> dict[str, Any]:
        values, item = given[key], current.get(key)
        draft = Draft(item)
        if item is None:
            return self._created(key, values, draft, taken=current.keys() | given.keys())
        if item.get("id") is None:
            raise self._refused()
        if self._removed(values, item):
            return {"id": item["id"], "remove": True}
        self.columns.write(values, draft)
        return {"id": item["id"], **draft.patch} if draft.patch else {}

    def _created(
        self, key: str, values: Mapping[str, Scalar], draft: Draft, *, taken: set[str]
    ) -> dict[str, Any]:
        self.columns.write(values, draft)
        if not draft.patch:
            return {}
        again = _SUFFIX.fullmatch(key)
        plain = again[1] if again and again[1] in taken else key
        if self.give_key is not None and self._key(draft.patch) != plain:
            self.give_key(draft, plain)
        return draft.patch

    def _removed(self, values: Mapping[str, Scalar], item: Mapping[str, Any]) -> bool:
        """Says whether nothing vital is left of an item: texts alone do not keep a line."""
        if any(value is not None for value in values.values()):
            return False
        now: Values = {}
        self.columns.read(item, now)
        now.update(values)
        return all(now[path] is None for path in self.vital)

    def _refused(self) -> LensError:
        return LensError(
            f"{self.field.text} should be a list of items with an id", path=f"{self.name}[]"
        )


@dataclass(slots=True, kw_only=True)
class TableMapping:
    """A mapping file, compiled. See `mappings.kit.mapping.Mapping` for the promises."""

    system: str
    stream: str
    entity: Entity
    fingerprint: str
    adopt: bool
    constants: Values
    requires: tuple[str, ...]
    acts: Mapping[str, str]
    references: Mapping[str, str]
    custom_fields: tuple[CustomField, ...]
    names: Mapping[str, int]
    columns: Columns = field(repr=False)
    lists: Mapping[str, ItemList] = field(repr=False)
    #: What every new record gets over there.
    preset: tuple[tuple[Give, Scalar], ...] = field(repr=False)

    def read(self, payload: Mapping[str, Any]) -> Values:
        """Translates a whole record; see the protocol. Raises: LensError."""
        values = dict(self.constants)
        self.columns.read(payload, values)
        for items in self.lists.values():
            items.read(payload, values)
        return values

    def write(
        self, values: Mapping[str, Scalar], current: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        """Translates values into a patch; see the protocol. Raises: LensError.

        What means the same over there already is left out, so the patch may be empty. Paths that
        this mapping may not write are left out, too.
        """
        draft = Draft(current)
        if current is None:
            for give, raw in self.preset:
                give(draft, raw)
        self.columns.write(values, draft)
        for name, given in self._by_item(values).items():
            self.lists[name].write(given, draft)
        return draft.patch

    def _by_item(self, values: Mapping[str, Scalar]) -> dict[str, dict[str, dict[str, Scalar]]]:
        """Returns list -> key -> path in the item -> value, of writable paths only."""
        found: dict[str, dict[str, dict[str, Scalar]]] = {}
        for path, value in values.items():
            place = _place(path)
            if place is not None and self.writable(path):
                name, key, leaf = place
                found.setdefault(name, {}).setdefault(key, {})[leaf] = value
        return found

    def _column(self, path: str) -> Column | None:
        place = _place(path)
        if place is None:
            return self.columns.by_path.get(path)
        items = self.lists.get(place[0])
        return None if items is None else items.columns.by_path.get(place[2])

    def writable(self, path: str) -> bool:
        """Says whether the hub may write this path over there."""
        column = self._column(path)
        return column is not None and column.writable

    def readable(self, path: str) -> bool:
        """Says whether what is typed over there counts: mapped, and not `mode: write`."""
        column = self._column(path)
        return column is not None and column.readable

    def mapped(self, path: str) -> bool:
        """Says whether this mapping covers the path, as a field or as a constant."""
        return self._column(path) is not None or path in self.constants

    def describe(self, values: Mapping[str, Scalar]) -> str:
        """Names a record for people, in one line."""
        paths = [self.entity.title]
        if "first_name" in self.entity.fields:
            paths.insert(0, "first_name")
        title = " ".join(str(values[path]) for path in paths if values.get(path))
        if not title:
            known = (values.get(path) for group in self.entity.match for path in group)
            title = next((str(value) for value in known if value), f"{self.entity.name} (no name)")
        return " ".join(title.split())


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
