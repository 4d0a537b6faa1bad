"""Where the records stand: by id in order, by unique value, and where merged ones went."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from connectors.hubspot.twin.error_bodies import invalid, missing
from connectors.hubspot.twin.properties_schema import Catalogue, Kind
from connectors.hubspot.twin.stored_record import UI, Record


class ObjectStore:
    """Keeps and finds records; checks nothing."""

    def __init__(self) -> None:
        self.catalogue = Catalogue()
        self._records: dict[str, dict[int, Record]] = {name: {} for name in self.catalogue.kinds}
        self._unique: dict[tuple[str, str], dict[str, int]] = {}
        self._merged: dict[str, dict[int, int]] = {name: {} for name in self.catalogue.kinds}
        #: Ids in order; those of merged records stay in it and lead nowhere.
        self._order: dict[str, list[int]] = {name: [] for name in self.catalogue.kinds}
        self._ids = {n: kind.facts.first_id for n, kind in self.catalogue.kinds.items()}

    def records(self, kind: Kind) -> dict[int, Record]:
        """Returns all records of a type by id, archived ones too, in order of their ids."""
        return self._records[kind.name]

    def live(self, kind: Kind) -> Iterator[Record]:
        """Yields those that are not archived, in order of their ids."""
        return (r for r in self._records[kind.name].values() if r.archived is None)

    def after(self, kind: Kind, key: int) -> Iterator[Record]:
        """Yields records from an id on, in order of their ids, archived ones too."""
        order, records = self._order[kind.name], self._records[kind.name]
        for position in range(bisect_left(order, key), len(order)):
            found = records.get(order[position])
            if found is not None:
                yield found

    def find(
        self, kind: Kind, key: str, *, by: str | None = None, archived: bool = False
    ) -> Record | None:
        """Returns a record by id or unique property; an old id finds the survivor of a merge."""
        number = self._number(kind, key, by)
        if number is None:
            return None
        number = self._merged[kind.name].get(number, number)
        found = self._records[kind.name].get(number)
        return found if found is not None and (found.archived is not None) == archived else None

    def need(
        self, kind: Kind, key: str, *, by: str | None = None, archived: bool = False
    ) -> Record:
        """Returns a record. Raises: Refusal (404)."""
        found = self.find(kind, key, by=by, archived=archived)
        if found is None:
            raise missing()
        return found

    def _number(self, kind: Kind, key: str, by: str | None) -> int | None:
        if by is None or by == "hs_object_id":
            return int(key) if key.isdecimal() and len(key) <= 18 else None
        prop = kind.live(by)
        if prop is None or not prop.unique:
            raise invalid(f"Property {by} is not a unique identifier of {kind.name}")
        return self._unique.get((kind.name, by), {}).get(key.strip().lower())

    def owner_of(self, kind: Kind, name: str, text: str) -> int | None:
        """Returns the id of the record that has this value of a unique property."""
        return self._unique.get((kind.name, name), {}).get(text.lower())

    def plant(self, kind: Kind, values: dict[str, str], *, at: int) -> Record:
        """Stores a valid record of the past, without an event."""
        record = Record(kind, self._next_id(kind), at, source=UI)
        record.values = values
        self._store(record)
        self._index(record, values)
        return record

    def _next_id(self, kind: Kind) -> int:
        self._ids[kind.name] += 1
        return self._ids[kind.name] - 1

    def _store(self, record: Record) -> None:
        self._records[record.kind.name][record.id] = record
        self._order[record.kind.name].append(record.id)

    def _replace(self, olds: Iterable[Record], new: Record) -> None:
        """Stores a record in the place of others, whose ids lead to it."""
        for old in olds:
            self._unindex(old, old.values)
            del self._records[new.kind.name][old.id]
        for old_id in new.merged:
            self._merged[new.kind.name][old_id] = new.id
        self._store(new)
        self._index(new, new.values)

    def _index(self, record: Record, values: Mapping[str, str]) -> None:
        for name, text in values.items():
            if record.kind.properties[name].unique:
                self._unique.setdefault((record.kind.name, name), {})[text.lower()] = record.id

    def _unindex(self, record: Record, names: Mapping[str, Any]) -> None:
        for name in names:
            known = self._unique.get((record.kind.name, name))
            old = record.values.get(name, "").lower()
            if known is not None and known.get(old) == record.id:
                del known[old]
