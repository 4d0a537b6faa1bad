"""Policies as plain values: which connection may set a field, and which one wins.

Resolved once from tulay.yaml. Lookups are frequent, so that the answers are cached by path.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

#: "ask" (a person), "latest", or the name of the connection that wins.
ConflictRule = str


@dataclass(frozen=True, slots=True)
class FieldPolicy:
    """Which connections may set a field, and what happens if two did."""

    #: Connections that may set it; None: all; empty: only the hub's own flows.
    owners: frozenset[str] | None = None
    #: When both sides changed it: "ask", "latest" or the name of a connection.
    on_conflict: ConflictRule = "ask"
    #: When two records that differ are first matched: as `on_conflict`.
    on_first_match: ConflictRule = "ask"
    #: A blank overwrites only with "write".
    when_blank: Literal["keep", "write"] = "keep"
    #: Fields of a unit are decided together: never a street from one side, a city from the other.
    unit: str | None = None

    def may_set(self, connection: str) -> bool:
        """Returns True if a value typed in this connection counts.

        >>> FieldPolicy(owners=frozenset({"erp"})).may_set("crm")
        False
        """
        return self.owners is None or connection in self.owners


@dataclass(frozen=True)
class EntityPolicy:
    """All policies of one entity."""

    #: Path or branch (`address`, `lines[]`) -> policy; "" is the default.
    fields: Mapping[str, FieldPolicy] = field(default_factory=dict)
    #: Connections in which the hub may create records of this entity.
    create: frozenset[str] = frozenset()
    #: Connections whose unlinked records become golden records; None: all.
    imports: frozenset[str] | None = None
    #: The effect of a deletion in one connection on the others.
    delete: Literal["keep", "propagate"] = "keep"

    @cached_property
    def _known(self) -> dict[str, FieldPolicy]:
        return {}

    def of(self, path: str) -> FieldPolicy:
        """Returns the policy of a path: its own, that of the nearest branch, or the default.

        >>> erp = FieldPolicy(owners=frozenset({"erp"}))
        >>> EntityPolicy({"address": erp}).of("address.city") is erp
        True
        """
        found = self._known.get(path)
        if found is None:
            found = self._known[path] = self._resolve(path)
        return found

    def _resolve(self, path: str) -> FieldPolicy:
        name, in_list = path, "[" in path
        if in_list:
            head, _, rest = path.partition("[")
            name = f"{head}[].{rest.rpartition('].')[2]}"
        while name:
            if name in self.fields:
                return _in_list(self.fields[name]) if in_list else self.fields[name]
            name = name.rpartition(".")[0] if "." in name else ""
        default = self.fields.get("", FieldPolicy())
        return _in_list(default) if in_list else default

    def unit_of(self, path: str) -> str | None:
        """Returns the unit that a path belongs to, if any."""
        return self.of(path).unit


def _in_list(policy: FieldPolicy) -> FieldPolicy:
    # An item missing from a list was removed on purpose: a change, not a blank.
    return replace(policy, when_blank="write")


def item_of(path: str) -> str | None:
    """Returns the part of a path that names its list item; None outside lists.

    >>> item_of("lines[SKU-1].quantity"), item_of("address.city")
    ('lines[SKU-1].', None)
    """
    name, mark, _ = path.rpartition("].")
    return name + mark if mark and "[" in name else None
