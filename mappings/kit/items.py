"""Lists whose items have a natural key, such as order lines: `lines[KEY].quantity`.

An item of the system is found by its key and changed by its id, created if it is new, and removed
if nothing of it remains.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mappings.canonical.values import Scalar, Values
from mappings.kit.errors import LensError
from mappings.kit.paths import Draft, Give, Path, Take
from mappings.kit.row import SURPRISES, Columns

_SUFFIX = re.compile(r"(.+)#(?:[2-9]|[1-9]\d+)")


@dataclass(frozen=True, slots=True)
class ItemList:
    """A list whose items have a natural key: `lines[KEY].quantity`."""

    name: str
    field: Path
    take: Take
    #: Possible keys of an item; the first filled one is its key. The id is the last resort.
    keys: tuple[Take, ...]
    #: Writes the key into a new item that does not get it from its columns.
    give_key: Give | None
    columns: Columns
    #: Paths that keep an item alive: all but texts.
    vital: tuple[str, ...]

    def keyed(self, payload: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yields (key, item); a repeated key gets `#2`, `#3`."""
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
        except SURPRISES as error:
            raise self._refused() from error
        for key, item in items:
            self.columns.read(item, into, f"{self.name}[{key}].")

    def write(self, given: Mapping[str, Mapping[str, Scalar]], draft: Draft) -> None:
        """Adds patches of the items with the given keys: changed, new or removed."""
        try:
            current = dict(self.keyed(draft.current or {}))
        except SURPRISES as error:
            raise self._refused() from error
        patches = [self._patch(key, given, current) for key in given]
        if any(patches):
            branch = draft.inside(self.field.head[:-1])
            branch.setdefault(self.field.head[-1], []).extend(patch for patch in patches if patch)

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
        """Returns True if no vital field of an item is left: texts alone do not keep a line."""
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
