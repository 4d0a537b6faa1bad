"""The input and output of flows, with deterministic ids."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from decimal import Decimal

from mappings.canonical.values import Scalar, Values

#: The uuid5 namespace of derived ids, which makes running twice the same as running once.
_DERIVED = uuid.UUID("5f1c2a86-6f3e-5b0e-9d59-c2a0a3e0a9d1")


@dataclass(frozen=True, slots=True)
class Fact:
    """A golden record as a flow sees it."""

    id: str
    entity: str
    values: Values = field(repr=False)

    def text(self, path: str) -> str | None:
        """Returns a value as text."""
        value = self.values.get(path)
        return None if value is None else str(value)

    def number(self, path: str) -> Decimal:
        """Returns a decimal value, 0 if blank."""
        return Decimal(str(self.values.get(path) or 0))

    def items(self, name: str) -> dict[str, Values]:
        """Returns the items of a list by their natural key.

        >>> Fact("1", "x", {"lines[A].quantity": "2", "lines[A].name": "a"}).items("lines")
        {'A': {'quantity': '2', 'name': 'a'}}
        """
        found: dict[str, Values] = {}
        for path, value in self.values.items():
            if path.startswith(f"{name}["):
                key, _, inner = path[len(name) + 1 :].rpartition("].")
                found.setdefault(key, {})[inner] = value
        return found


@dataclass(frozen=True, slots=True)
class Derived:
    """A wanted golden record, with at least these values."""

    id: str
    entity: str
    values: Values = field(repr=False)
    #: The flow's name, for `explain`.
    flow: str
    #: Created once: from then on it belongs to people, and no flow changes it.
    once: bool = False
    #: Of several in one run with the same subject, the last one is created.
    subject: str | None = None


@dataclass(frozen=True, slots=True)
class Blocked:
    """It cannot be derived yet: the reason for a person, and the record that may change that."""

    reason: str
    waits_for: str | None = None
    #: What is derived until then, such as a note to people.
    meanwhile: Derived | None = None


def derived_id(*parts: str) -> str:
    """Returns the deterministic golden id of a derived record.

    >>> derived_id("a", "order") == derived_id("a", "order") != derived_id("b", "order")
    True
    """
    return uuid.uuid5(_DERIVED, "\x1f".join(parts)).hex


def plain(amount: Decimal) -> str:
    """Returns a decimal in canonical form.

    >>> plain(Decimal("12.500")), plain(Decimal("100")), plain(Decimal("0.00"))
    ('12.5', '100', '0')
    """
    text = format(amount, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def scalar_text(value: Scalar) -> str:
    """Returns a scalar as text for a sentence."""
    return "" if value is None else str(value)
