"""The columns of a record or of a list's items: each a canonical path and its field in the system.

Pure and fast: `columns` decides in advance whatever it can. A value that cannot be translated
becomes a LensError that names the path and never the value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mappings.canonical.values import Scalar, Values
from mappings.kit import regional
from mappings.kit.errors import LensError
from mappings.kit.lens import Get, Lens, UnlistedError
from mappings.kit.paths import Draft, Give, Path, Take

#: Exceptions raised by a payload of unexpected shape, or an untranslatable value.
SURPRISES = (ValueError, TypeError, AttributeError, KeyError)


_NOTHING: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Region:
    """The source of a record's country, for values that depend on it."""

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
    """One canonical path and its field in the system."""

    path: str
    #: The path in error messages: `lines[].quantity`.
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
        """Returns the error for this column; an unexpected shape has its own message."""
        if isinstance(error, UnlistedError):
            return LensError(f"{self.field.text} {error}", path=self.shown, value=error.value)
        if isinstance(error, ValueError):
            return LensError(str(error), path=self.shown)
        return LensError(
            f"{self.field.text} has a shape that the mapping does not expect", path=self.shown
        )


class Columns:
    """All columns of a record, or of a list's items."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self.by_path = {column.path: column for column in columns}
        simple = [c for c in columns if c.region is None]
        self._branches = _branches([c for c in simple if _flat(c.field)])
        self._simple = [(c.path, c.take, c.get) for c in simple if not _flat(c.field)]
        self._regional = [(c.path, c.take, c.get, c.region) for c in columns if c.region]
        #: Countries come first, because phones and tax numbers depend on them.
        self._writing = sorted(
            (c for c in columns if c.writable and c.lens.join is None), key=lambda c: bool(c.region)
        )
        #: Field of the system -> the columns that are parts of it.
        self._shared: dict[str, list[Column]] = {}
        for column in columns:
            if column.lens.join is not None:
                self._shared.setdefault(column.field.text, []).append(column)

    def read(self, payload: Mapping[str, Any], into: Values, prefix: str = "") -> None:
        """Adds every path's value to `into`. Raises: LensError."""
        path = next(iter(self.by_path), "")
        try:
            for name, leaves in self._branches:
                branch = payload.get(name) or _NOTHING
                for path, leaf, get in leaves:
                    raw = branch.get(leaf)
                    into[prefix + path] = None if raw is None else get(raw)
            for path, take, get in self._simple:
                raw = take(payload)
                into[prefix + path] = None if raw is None else get(raw)
            for path, take, get, region in self._regional:
                raw = take(payload)
                into[prefix + path] = None if raw is None else get(raw, region.of(payload))
        except SURPRISES as error:
            raise self.by_path[path].refused(error) from error

    def legible(self, payload: Mapping[str, Any]) -> Values:
        """Returns the values of the paths that can be translated."""
        found: Values = {}
        for path, column in self.by_path.items():
            try:
                country = column.region.of(payload) if column.region else None
                found[path] = column.meaning(column.take(payload), country)
            except SURPRISES:
                continue  # the caller already knows that the record cannot be read
        return found

    def write(self, values: Mapping[str, Scalar], draft: Draft) -> None:
        """Adds the changes for the given paths to the draft. Raises: LensError."""
        for column in self._writing:
            if column.path in values:
                self._put(column, values[column.path], draft)
        for columns in self._shared.values():
            if any(c.writable and c.path in values for c in columns):
                self._put_parts(columns, values, draft)

    def _put(self, column: Column, value: Scalar, draft: Draft) -> None:
        current = draft.current or {}
        try:
            country = column.region.of(draft.patch, current) if column.region else None
            raw = column.take(current)
            if not _means(column, raw, country, value):
                column.give(draft, column.lens.put(value, raw))
        except SURPRISES as error:
            raise column.refused(error) from error

    def _put_parts(self, columns: list[Column], values: Mapping[str, Scalar], draft: Draft) -> None:
        """Writes columns that share one field; parts that are not given stay as they are."""
        raw = columns[0].take(draft.current or {})
        now = {c.lens.part: c.meaning(raw, None) for c in columns}
        wanted = {
            c.lens.part: values[c.path] if c.path in values and c.writable else now[c.lens.part]
            for c in columns
        }
        join = columns[0].lens.join
        if wanted != now and join is not None:
            columns[0].give(draft, join(wanted))


def _flat(field: Path) -> bool:
    return not field.listed and len(field.head) == 2


def _branches(columns: Sequence[Column]) -> list[tuple[str, list[tuple[str, str, Get]]]]:
    """Groups columns by the dict that holds their fields; most systems have one for all of them."""
    branches: dict[str, list[tuple[str, str, Get]]] = {}
    for column in columns:
        name, leaf = column.field.head
        branches.setdefault(name, []).append((column.path, leaf, column.get))
    return list(branches.items())


def _means(column: Column, raw: Any, country: str | None, value: Scalar) -> bool:
    """Returns True if a raw value has this meaning; False if it cannot be read."""
    try:
        return column.meaning(raw, country) == value
    except ValueError:
        return False
