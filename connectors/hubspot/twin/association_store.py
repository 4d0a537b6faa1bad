"""Associations between records: type ids, plain and primary labels, both directions at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connectors.hubspot.twin.error_bodies import invalid
from connectors.hubspot.twin.stored_record import Label, Record

#: from, to -> (plain type id, its inverse). Source: the vendor's table of association type ids;
#: where a pair is not in it, a number of our own is given out at start (see `LinkTypes`).
_PLAIN: dict[tuple[str, str], tuple[int, int]] = {
    ("contacts", "companies"): (279, 280),
    ("contacts", "deals"): (4, 3),
    ("contacts", "tickets"): (15, 16),
    ("deals", "companies"): (341, 342),
    ("tickets", "companies"): (339, 340),
    ("deals", "tickets"): (27, 28),
    ("deals", "line_items"): (19, 20),
    ("quotes", "line_items"): (67, 68),
    ("quotes", "deals"): (64, 63),
    ("notes", "contacts"): (202, 201),
    ("notes", "companies"): (190, 189),
    ("notes", "deals"): (214, 213),
    ("notes", "tickets"): (228, 227),
    ("tasks", "contacts"): (204, 203),
    ("tasks", "companies"): (192, 191),
    ("tasks", "deals"): (216, 215),
    ("tasks", "tickets"): (230, 229),
    ("emails", "contacts"): (198, 197),
    ("orders", "contacts"): (507, 508),
    ("orders", "companies"): (509, 510),
    ("orders", "deals"): (512, 511),
    ("orders", "line_items"): (513, 514),
    ("invoices", "contacts"): (177, 178),
    ("invoices", "companies"): (179, 180),
    ("invoices", "deals"): (175, 176),
    ("invoices", "line_items"): (409, 410),
    ("contacts", "contacts"): (449, 449),
    ("companies", "companies"): (450, 450),
    ("deals", "deals"): (451, 451),
}
#: The same for the label "Primary": a record has at most one primary company.
_PRIMARY: dict[tuple[str, str], tuple[int, int]] = {
    ("contacts", "companies"): (1, 2),
    ("deals", "companies"): (5, 6),
    ("tickets", "companies"): (26, 25),
}
NATIVE, CUSTOM = "HUBSPOT_DEFINED", "USER_DEFINED"


@dataclass(frozen=True, slots=True)
class LinkType:
    """One association type in one direction."""

    category: str
    id: int
    label: str | None
    #: Its id in the other direction.
    inverse: int
    primary: bool = False
    #: The machine name of a user's label.
    name: str = ""

    def spec(self) -> dict[str, Any]:
        """Returns it as the labels endpoint shows it."""
        return {"category": self.category, "typeId": self.id, "label": self.label}


class LinkTypes:
    """All association types of the account, by direction."""

    def __init__(self, kinds: Sequence[str]) -> None:
        self._types: dict[tuple[str, str], list[LinkType]] = {}
        for (one, other), ids in _PRIMARY.items():
            self._add(one, other, ids=ids, label="Primary", primary=True)
        for (one, other), ids in _PLAIN.items():
            self._add(one, other, ids=ids)
        self._known: dict[tuple[str, str, Label], LinkType] = {}
        self._next = 1001
        for one in kinds:
            for other in kinds:
                if self.plain(one, other) is None:
                    self._add(one, other, ids=(self._number(), self._number()))

    def _number(self) -> int:
        self._next += 1
        return self._next - 1

    def _add(
        self,
        one: str,
        other: str,
        *,
        ids: tuple[int, int],
        label: str | None = None,
        primary: bool = False,
    ) -> None:
        there, back = ids
        row = LinkType(NATIVE, there, label, back, primary)
        self._types.setdefault((one, other), []).append(row)
        if one != other:
            inverse = LinkType(NATIVE, back, label, there, primary)
            self._types.setdefault((other, one), []).append(inverse)

    def between(self, one: str, other: str) -> list[LinkType]:
        """Returns the types of one direction."""
        return self._types.setdefault((one, other), [])

    def plain(self, one: str, other: str) -> LinkType | None:
        """Returns the type without a label."""
        return next((t for t in self._types.get((one, other), ()) if t.label is None), None)

    def primary(self, one: str, other: str) -> LinkType | None:
        """Returns the type with the label "Primary", where the pair has one."""
        return next((t for t in self._types.get((one, other), ()) if t.primary), None)

    def find(self, one: str, other: str, label: Label) -> LinkType:
        """Returns a type by category and id. Raises: Refusal (400)."""
        found = self._known.get((one, other, label))
        if found is not None:
            return found
        for row in self._types.get((one, other), ()):
            if (row.category, row.id) == label:
                self._known[one, other, label] = row
                return row
        raise invalid(
            f"One or more association types are not valid: {label[0]} {label[1]} "
            f"does not connect {one} to {other}"
        )

    def define(self, one: str, other: str, *, name: str, label: str, inverse: str) -> LinkType:
        """Adds a user's label for both directions."""
        there, back = self._number(), self._number()
        row = LinkType(CUSTOM, there, label, back, name=name)
        self._types.setdefault((one, other), []).append(row)
        self._types.setdefault((other, one), []).append(
            LinkType(CUSTOM, back, inverse or label, there, name=name)
        )
        return row

    def forget(self, one: str, other: str, type_id: int) -> None:
        """Removes a user's label from both directions."""
        row = self.find(one, other, (CUSTOM, type_id))
        self._known.clear()
        self._types[one, other].remove(row)
        self._types[other, one] = [t for t in self._types[other, one] if t.id != row.inverse]


class Links:
    """Sets and removes links between records."""

    def __init__(self, types: LinkTypes) -> None:
        self.types = types
        self._inverse: dict[tuple[str, str, tuple[Label, ...]], tuple[Label, ...]] = {}

    def add(self, one: Record, other: Record, labels: Sequence[Label] = ()) -> list[LinkType]:
        """Links two records, with the plain type at least; returns the types it now has.

        The first company of a record becomes its primary one.
        """
        here, there = one.kind.name, other.kind.name
        wanted = [self.types.find(here, there, label) for label in labels]
        plain = self.types.plain(here, there)
        if plain is not None and plain not in wanted:
            wanted.append(plain)
        primary = self.types.primary(here, there)
        if primary is not None:
            owner = one if there == "companies" else other
            if primary not in wanted and not self._has_primary(owner):
                wanted.append(primary)
            if primary in wanted:
                self._demote(owner)
        self._write(one, other, wanted)
        return wanted

    def plant(self, one: Record, other: Record, labels: tuple[Label, ...]) -> None:
        """Links two new records with exactly these labels."""
        here, there = one.kind.name, other.kind.name
        one.links.setdefault(there, {})[other.id] = labels
        back = self._inverse.get((here, there, labels))
        if back is None:
            found = [self.types.find(here, there, label) for label in labels]
            back = self._inverse[here, there, labels] = tuple(
                (t.category, t.inverse) for t in found
            )
        other.links.setdefault(here, {})[one.id] = back

    def _write(self, one: Record, other: Record, wanted: Sequence[LinkType]) -> None:
        here, there = one.kind.name, other.kind.name
        forth = one.links.setdefault(there, {})
        old = forth.get(other.id, ())
        new = tuple((t.category, t.id) for t in wanted)
        forth[other.id] = old + tuple(label for label in new if label not in old)
        back = other.links.setdefault(here, {})
        old = back.get(one.id, ())
        new = tuple((t.category, t.inverse) for t in wanted)
        back[one.id] = old + tuple(label for label in new if label not in old)

    def _has_primary(self, owner: Record) -> bool:
        kind = self.types.primary(owner.kind.name, "companies")
        label = (NATIVE, kind.id) if kind else None
        return any(label in labels for labels in owner.links.get("companies", {}).values())

    def _demote(self, owner: Record) -> None:
        kind = self.types.primary(owner.kind.name, "companies")
        if kind is None:
            return
        companies = owner.links.get("companies", {})
        for key, labels in companies.items():
            companies[key] = tuple(label for label in labels if label != (NATIVE, kind.id))

    def remove(self, one: Record, other: Record, labels: Sequence[Label] = ()) -> bool:
        """Removes some labels, or the whole link; returns True if there was one."""
        here, there = one.kind.name, other.kind.name
        forth, back = one.links.get(there, {}), other.links.get(here, {})
        if other.id not in forth:
            return False
        gone = [self.types.find(here, there, label) for label in labels]
        left = tuple(
            label for label in forth[other.id] if label not in {(t.category, t.id) for t in gone}
        )
        if not labels or not left:
            del forth[other.id], back[one.id]
            return True
        forth[other.id] = left
        dropped = {(t.category, t.inverse) for t in gone}
        back[one.id] = tuple(label for label in back[one.id] if label not in dropped)
        return True

    def move(self, old: Record, new: Record, records: Mapping[str, Mapping[int, Record]]) -> None:
        """Gives the links of a record to another one; `records` are those that exist, by type."""
        for there, targets in list(old.links.items()):
            for key in list(targets):
                other = records[there].get(key)
                labels = targets[key]
                if other is None:
                    continue
                self.remove(old, other)
                self.add(new, other, labels)

    def rows(self, one: Record, there: str) -> Iterator[tuple[int, list[LinkType]]]:
        """Yields the linked ids with their types, the primary one first."""
        here = one.kind.name
        rows = [
            (key, [self.types.find(here, there, label) for label in labels])
            for key, labels in one.links.get(there, {}).items()
        ]
        primary = self.types.primary(here, there) if there == "companies" else None
        yield from sorted(rows, key=lambda row: primary not in row[1])
