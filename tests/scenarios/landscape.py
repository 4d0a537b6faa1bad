"""What a simulated world consists of: systems with data faults, mappings, policies.

Everything is drawn from one random source, so that a number identifies a landscape.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from connectors.kit.manifest import StreamFacts
from connectors.memory import StreamShape
from connectors.memory.patching import get, shown
from hub.model.change_limits import ChangeLimit
from hub.model.policy import EntityPolicy, FieldPolicy
from mappings.canonical.values import Entity, Field, Scalar, Values
from mappings.kit.convert import decimal
from mappings.kit.mapping import CustomField

COMPANY = Entity(
    name="company",
    fields={
        "code": Field("text"),
        "name": Field("text"),
        "phone": Field("text"),
        "price": Field("decimal"),
        "address.street": Field("text"),
        "address.city": Field("text"),
    },
    match=(("code",),),
)
CONTACT = Entity(
    name="contact",
    fields={
        "code": Field("text"),
        "name": Field("text"),
        "phone": Field("text"),
        "company": Field("reference", entity="company"),
    },
    match=(("code",),),
)
ENTITIES = {"company": COMPANY, "contact": CONTACT}
STREAMS = {"companies": COMPANY, "contacts": CONTACT}
#: Fields that users type into; a code is given once and identifies the subject.
TYPED = {
    "companies": ("name", "phone", "price", "address.street", "address.city"),
    "contacts": ("name", "phone"),
}
#: How systems change the values they are given.
_HABITS: tuple[Mapping[str, str], ...] = (
    {},
    {"name": "upper", "address.city": "upper"},
    {"name": "truncate:6", "address.street": "truncate:7"},
    {"price": "round:1", "phone": "upper"},
    {"name": "upper", "price": "round:0", "address.city": "truncate:6"},
)


@dataclass(frozen=True)
class SystemSpec:
    """One system of the landscape: its data faults, its clock, what it can do."""

    name: str
    ways: Mapping[str, str]
    facts: StreamFacts
    #: Seconds by which its clock is wrong.
    offset: float
    #: Records in a page.
    page: int
    #: Seconds until its index shows a change.
    lag: float

    def shape(self, _stream: str) -> StreamShape:
        """The shape of one of its streams."""
        return StreamShape(facts=self.facts, ways=dict(self.ways))

    def writes_down(self, path: str, value: Scalar) -> Scalar:
        """Returns how this system shows a value, in canonical form."""
        if value is None or path not in self.ways:
            return value
        return (
            canonical(path, shown({path: value}, {path: self.ways[path]})[path])
            if ("." not in path)
            else canonical(path, shown({"x": value}, {"x": self.ways[path]})["x"])
        )


def canonical(path: str, value: Any) -> Scalar:
    """Returns the canonical form of what a system shows."""
    if value is None or value == "":
        return None
    return decimal(value) if path == "price" else str(value)


@dataclass(frozen=True)
class SheetMapping:
    """The simplest possible mapping: every path is a field of the same name."""

    system: str
    stream: str
    entity: Entity
    references: Mapping[str, str]
    fingerprint: str = "1"
    imports: bool = True
    constants: Values = field(default_factory=dict)
    requires: tuple[str, ...] = ("code",)
    actions: Mapping[str, str] = field(default_factory=dict)
    custom_fields: tuple[CustomField, ...] = ()
    names: Mapping[str, int] = field(default_factory=dict)

    def read(self, payload: Mapping[str, Any]) -> Values:
        """Translates a record."""
        return {path: canonical(path, get(payload, path)) for path in self.entity.fields}

    def legible(self, payload: Mapping[str, Any]) -> Values:
        """Returns True: everything can be read."""
        return self.read(payload)

    def write(
        self, values: Mapping[str, Scalar], current: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        """Makes a patch."""
        patch: dict[str, Any] = {}
        for path, value in values.items():
            inner = patch
            *parents, last = path.split(".")
            for name in parents:
                inner = inner.setdefault(name, {})
            inner[last] = value
        return patch

    def writable(self, path: str) -> bool:
        """Returns True if the path is mapped."""
        return path in self.entity.fields

    def mapped(self, path: str) -> bool:
        """Returns True if the entity has the field."""
        return path in self.entity.fields

    def describe(self, values: Mapping[str, Scalar]) -> str:
        """Names a record."""
        return str(values.get("code"))


def mapping_of(spec: str, stream: str) -> SheetMapping:
    """Returns the mapping of a stream."""
    references = {"company": "companies"} if stream == "contacts" else {}
    return SheetMapping(spec, stream, STREAMS[stream], references)


@dataclass(frozen=True)
class Landscape:
    """The systems and the policies between them."""

    specs: tuple[SystemSpec, ...]
    policies: Mapping[str, EntityPolicy]
    #: Stream -> entity, parents before children.
    streams: Mapping[str, Entity] = field(default_factory=lambda: STREAMS)
    #: Stream -> fields that users type into.
    typed: Mapping[str, Sequence[str]] = field(default_factory=lambda: TYPED)
    limit: ChangeLimit = field(default_factory=ChangeLimit)

    @property
    def entities(self) -> dict[str, Entity]:
        """Entities by their names, parents before children."""
        return {entity.name: entity for entity in self.streams.values()}


def draw(chance: random.Random) -> Landscape:
    """Draws a landscape."""
    names = ["crm", "erp", "shop"][: chance.choice([2, 2, 3])]
    specs = tuple(_spec(name, chance) for name in names)
    policies = {entity: _policy(names, chance) for entity in ENTITIES}
    return Landscape(specs, policies)


def _spec(name: str, chance: random.Random) -> SystemSpec:
    read = chance.choice(["increments", "increments", "increments", "full"])
    facts = StreamFacts(
        title=name,
        create=True,
        update=True,
        delete=True,
        lock=chance.choice(["native", "native", "none"]),
        once="once",
        read=read,
        # A full read cannot show what no longer exists.
        deletions="sweep" if read == "full" else chance.choice(["pages", "sweep"]),
        batch=chance.choice([1, 2, 100]),
    )
    return SystemSpec(
        name,
        ways=chance.choice(_HABITS),
        facts=facts,
        offset=chance.choice([0.0, 0.0, -7200.0, 3600.0]),
        page=chance.choice([1, 2, 100]),
        lag=chance.choice([0.0, 0.0, 3.0]),
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
    fields = {
        "": choose(),
        "phone": choose(),
        "price": choose(),
        "address": replace(choose(), unit=unit),
        "code": sure,
        "company": sure,
    }
    return EntityPolicy(
        fields, create=frozenset(names), delete=chance.choice(["keep", "keep", "propagate"])
    )
