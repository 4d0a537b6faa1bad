"""The wide landscape: up to four systems, orders with lines and states, what a system may lack.

Drawn from one random source, as landscape.py is; it only adds.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from connectors.kit.manifest import StreamFacts
from connectors.memory import StreamShape
from connectors.memory.patching import shown
from connectors.memory.shape_store import default_shape
from hub.model.change_limits import ChangeLimit
from hub.model.policy import EntityPolicy, FieldPolicy
from mappings.canonical.sales_order import SALES_ORDER
from mappings.canonical.values import Entity, Field, Scalar, States, Values
from mappings.kit.convert import decimal
from mappings.kit.loader import load
from tests.scenarios.landscape import COMPANY, CONTACT, TYPED, Landscape, SheetMapping, SystemSpec

ACTIONS = ("quote", "confirm", "process", "complete", "cancel")
SKUS = ("A", "B", "C")
ITEM_FIELDS = ("description", "quantity", "unit_price")
#: Paths that hold numbers.
_NUMBERS = ("price", "quantity", "unit_price")

WIDE_COMPANY = replace(
    COMPANY,
    fields={
        **COMPANY.fields,
        "figures.last_order": Field("text"),
        "figures.open_orders": Field("integer"),
    },
)
#: Without the transition back from done, which makes the real state machine cyclic.
ORDER_STATES = (
    States("state", {**SALES_ORDER.states.follows, "done": ()}) if (SALES_ORDER.states) else None
)
WIDE_ORDER = replace(SALES_ORDER, states=ORDER_STATES)
WIDE_STREAMS: Mapping[str, Entity] = {
    "companies": WIDE_COMPANY,
    "contacts": CONTACT,
    "orders": WIDE_ORDER,
}
WIDE_TYPED = {
    **TYPED,
    "orders": ("description", *(f"lines[{s}].{f}" for s in SKUS for f in ITEM_FIELDS)),
}
#: Fields that a mapping may leave out and include again.
OPTIONAL = {"companies": ("phone", "price"), "contacts": ("phone",)}
_HABITS: tuple[Mapping[str, str], ...] = (
    {},
    {"name": "upper", "address.city": "upper", "description": "upper"},
    {"name": "truncate:6", "address.street": "truncate:7", "lines.description": "truncate:6"},
    {"price": "round:1", "phone": "upper", "lines.unit_price": "round:1"},
    {"name": "upper", "price": "round:0", "lines.quantity": "round:0", "description": "truncate:6"},
)


def canonical(path: str, value: Any) -> Scalar:
    """Returns the canonical form of what a system shows at a path, list items included."""
    if value is None or value == "":
        return None
    if path == "figures.open_orders":
        return int(value)
    return decimal(value) if path.rpartition(".")[2] in _NUMBERS else str(value)


@dataclass(frozen=True)
class WidePlace(SystemSpec):
    """A system that also has orders, with lines and states."""

    def shape(self, stream: str) -> StreamShape:
        """The shape of one of its streams."""
        facts = self.facts
        if stream == "orders":
            facts = facts.model_copy(update={"actions": ACTIONS})
        ways = {p: w for p, w in self.ways.items() if (stream == "orders") == _of_orders(p)}
        return default_shape(stream, facts).model_copy(update={"ways": ways})

    def writes_down(self, path: str, value: Scalar) -> Scalar:
        """Returns how this system shows a value, in canonical form."""
        way = self.ways.get(re.sub(r"\[[^]]*\]", "", path))
        number = path.rpartition(".")[2] in _NUMBERS
        if value is None or way is None or (number and "-" in str(value)):
            return value
        return canonical(path, shown({"x": value}, {"x": way})["x"])


def _of_orders(path: str) -> bool:
    return path == "description" or path.startswith("lines.")


@dataclass(frozen=True)
class WideSheetMapping(SheetMapping):
    """A plain mapping from which fields were left out."""

    #: Paths that are currently not mapped.
    dropped: frozenset[str] = frozenset()

    def read(self, payload: Mapping[str, Any]) -> Values:
        """Translates a record."""
        return {
            path: canonical(path, _at(payload, path))
            for path in self.entity.fields
            if self.mapped(path)
        }

    def mapped(self, path: str) -> bool:
        """Returns True if the entity has the field and it is not left out."""
        return path in self.entity.fields and path not in self.dropped

    def writable(self, path: str) -> bool:
        """Returns True if the path is mapped."""
        return self.mapped(path)


def _at(payload: Mapping[str, Any], path: str) -> Any:
    value: Any = payload
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def mapping_of(spec: str, stream: str, dropped: frozenset[str]) -> Any:
    """Returns the mapping of a stream: a real mapping file for orders, a plain one otherwise."""
    if stream == "orders":
        return _orders()
    return WideSheetMapping(
        spec,
        stream,
        WIDE_STREAMS[stream],
        {"company": "companies"} if stream == "contacts" else {},
        fingerprint=" ".join(("1", *sorted(dropped))),
        dropped=dropped,
    )


@cache
def _orders() -> Any:
    found = load("till", extra=[Path(__file__).with_name("mappings_wide")])
    mapping = next(m for m in found if m.stream == "orders")
    return replace(mapping, entity=WIDE_ORDER)  # type: ignore[type-var]


@dataclass(frozen=True)
class WideLandscape(Landscape):
    """A landscape whose mappings may change."""

    streams: Mapping[str, Entity] = field(default_factory=lambda: WIDE_STREAMS)
    typed: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: WIDE_TYPED)
    #: (system, stream) -> paths that its mapping leaves out at first.
    dropped: Mapping[tuple[str, str], frozenset[str]] = field(default_factory=dict)


def draw_wide(chance: random.Random) -> WideLandscape:
    """Draws a wide landscape."""
    names = ["crm", "erp", "shop", "till"][: chance.choice([2, 2, 3, 4])]
    specs = tuple(_spec(name, chance) for name in names)
    policies = {entity.name: _policy(names, chance) for entity in WIDE_STREAMS.values()}
    dropped = {
        (name, stream): frozenset([chance.choice(paths)])
        for name in names
        for stream, paths in OPTIONAL.items()
        if chance.random() < 0.15
    }
    limit = chance.choice([ChangeLimit(), ChangeLimit(), ChangeLimit(share=0.2, records=2)])
    return WideLandscape(specs, policies, dropped=dropped, limit=limit)


def _spec(name: str, chance: random.Random) -> WidePlace:
    read = chance.choice(["increments", "increments", "increments", "full"])
    once = chance.choice(["once", "once", "once", None])
    facts = StreamFacts(
        title=name,
        create=True,
        update=True,
        delete=True,
        lock=chance.choice(["native", "native", "none"]),
        once=once,
        read=read,
        deletions="sweep" if read == "full" else chance.choice(["pages", "sweep"]),
        batch=chance.choice([1, 2, 100]),
    )
    return WidePlace(
        name,
        ways=chance.choice(_HABITS),
        facts=facts,
        offset=chance.choice([0.0, 0.0, -7200.0, 3600.0]),
        page=chance.choice([1, 2, 100]),
        # Where no hub id can be kept, a record that is not visible yet cannot be recognised.
        lag=chance.choice([0.0, 0.0, 3.0]) if once else 0.0,
    )


def _policy(names: list[str], chance: random.Random) -> EntityPolicy:
    def choose() -> FieldPolicy:
        owners = chance.choice([None, None, None, frozenset(names[:1]), frozenset(names[1:])])
        return FieldPolicy(
            owners=owners,
            on_conflict=chance.choice(["ask", "latest", *names]),
            on_first_match=chance.choice(["ask", "latest", *names]),
            when_blank=chance.choice(["keep", "keep", "write"]),
        )

    sure = FieldPolicy(on_conflict=names[0], on_first_match=names[0])
    unit = chance.choice([None, "address"])
    return EntityPolicy(
        {
            "": choose(),
            "phone": choose(),
            "price": choose(),
            "address": replace(choose(), unit=unit),
            "lines[]": choose(),
            "code": sure,
            "number": sure,
            "company": sure,
            "state": sure,
            "production_state": FieldPolicy(owners=frozenset()),
            "figures": FieldPolicy(owners=frozenset(), when_blank="write"),
        },
        create=frozenset(names),
        delete=chance.choice(["keep", "keep", "propagate"]),
    )
