"""The kinds of canonical values, each with one canonical form.

A canonical record is flat: a mapping from paths (`name`, `address.city`, `lines[SKU-1].quantity`)
to scalars. Scalars are equal exactly if their meanings are, so every kind has exactly one way to
write a value:

=========  =========================================  ======================
kind       canonical form                             example
=========  =========================================  ======================
text       str, trimmed, never empty                  "ACME"
email      str, lower case                            "ann@acme.example"
phone      str, E.164, optionally with " ext. 5"      "+4930123456"
country    str, ISO 3166-1 alpha-2                    "DE"
currency   str, ISO 4217                              "EUR"
tax_id     str, compact, with country if known        "DE136695976"
domain     str, host name without "www."              "acme.example"
decimal    str, plain notation, no trailing zeros     "99.5"
integer    int                                        12
boolean    bool                                       True
date       str, ISO 8601                              "2026-11-23"
datetime   str, ISO 8601, UTC, whole ms, "Z"          "2026-11-23T08:00:00.000Z"
enum       str, one of `options`                      "won"
reference  str: golden id inside, key outside         "0f3a..."
=========  =========================================  ======================

A blank is None, in every kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal[
    "text",
    "email",
    "phone",
    "country",
    "currency",
    "tax_id",
    "domain",
    "decimal",
    "integer",
    "boolean",
    "date",
    "datetime",
    "enum",
    "reference",
]
#: A canonical scalar; None is a blank.
Scalar = str | int | bool | None
#: A canonical record: path -> scalar.
Values = dict[str, Scalar]


@dataclass(frozen=True, slots=True)
class Field:
    """One path of an entity."""

    kind: Kind
    #: A description for people, in `tulay explain` and in the schema.
    help: str = ""
    #: Allowed values of an enum.
    options: tuple[str, ...] = ()
    #: The entity a reference points to.
    entity: str | None = None


@dataclass(frozen=True, slots=True)
class States:
    """A state machine: the states that may follow each state. States only move forward."""

    #: The enum path that holds the state.
    path: str
    #: State -> states that may follow directly.
    follows: Mapping[str, tuple[str, ...]]

    def route(self, start: str | None, end: str) -> tuple[str, ...] | None:
        """Returns the shortest way from start (exclusive) to end; None if there is none.

        >>> States("state", {"a": ("b",), "b": ("c",), "c": ()}).route("a", "c")
        ('b', 'c')
        """
        if start == end:
            return ()
        ways: list[tuple[str | None, tuple[str, ...]]] = [(start, ())]
        known = {start}
        for state, way in ways:
            nexts = (next(iter(self.follows)),) if state is None else self.follows.get(state, ())
            for following in nexts:
                if following == end:
                    return (*way, end)
                if following not in known:
                    known.add(following)
                    ways.append((following, (*way, following)))
        return None


@dataclass(frozen=True, slots=True)
class Entity:
    """A canonical type: its fields, its lists, and how records of it are matched."""

    name: str
    fields: Mapping[str, Field]
    #: List name -> fields of its items; items have a natural key: `lines[KEY].quantity`.
    lists: Mapping[str, Mapping[str, Field]] = field(default_factory=dict)
    #: Sets of paths that identify a record if all are filled and equal; strongest first.
    match: tuple[tuple[str, ...], ...] = ()
    #: Sets of paths that only suggest a match, for a person to review.
    suggest: tuple[tuple[str, ...], ...] = ()
    #: Paths that contradict a match if both sides have different values.
    contradict: tuple[str, ...] = ()
    #: The path that holds the name of a record.
    title: str = "name"
    #: The name of a record for people, in parts with {paths}; see mappings.canonical.naming.
    label: tuple[str, ...] = ()
    states: States | None = None

    def field(self, path: str) -> Field | None:
        """Returns the declaration of a path, list items included; None if there is none.

        >>> Entity("x", {"name": Field("text")}).field("name").kind
        'text'
        """
        if "[" in path:
            head, _, rest = path.partition("[")
            return self.lists.get(head, {}).get(rest.rpartition("].")[2])
        return self.fields.get(path)

    def references(self) -> dict[str, str]:
        """Returns {plain path or `list[].path`: entity it refers to}."""
        found = {p: f.entity for p, f in self.fields.items() if f.entity}
        for name, items in self.lists.items():
            found |= {f"{name}[].{p}": f.entity for p, f in items.items() if f.entity}
        return found
