"""Emulators: the memory system configured like a stream of the user's own systems.

The manifest says what a stream can do, the mapping what its records look like. Pure: opens and
stores nothing.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from connectors.kit.manifest import StreamFacts
from connectors.memory import StreamShape
from connectors.memory.patching import patched, shown
from mappings.canonical.values import Entity, Field, Scalar, Values
from mappings.kit.errors import LensError
from mappings.kit.mapping import Mapping as StreamMapping
from mappings.kit.row import Column, Columns
from mappings.kit.table import TableMapping

#: Kinds of fields for which any number of distinct values can be typed.
TYPED_KINDS = frozenset(("text", "decimal", "email", "phone"))
#: How systems change the values they are given: fault -> ways.
_HABITS = {
    "shouted": ("upper",),
    "shortened": ("truncate:9", "truncate:12"),
    "rounded": ("round:1", "round:0"),
}
_THING = re.compile(r"([a-z]+\d+)(?:[.@]|$)")


@dataclass(frozen=True, eq=False)
class Emulator:
    """One stream of one emulator, and how its users enter data."""

    connection: str
    stream: str
    #: The hub's mapping.
    mapping: StreamMapping
    #: The same with every field writable: users may type where the hub must not.
    spoken: TableMapping
    shape: StreamShape
    #: The path whose value names the subject and never changes; None: there is none.
    tag: str | None
    #: Paths that users type into.
    typed: tuple[str, ...]
    _ways: Mapping[str, str] = field(default_factory=dict)

    @property
    def entity(self) -> Entity:
        """The entity of the stream."""
        return self.mapping.entity

    def payload(self, values: Mapping[str, Scalar]) -> dict[str, Any]:
        """Returns the payload of a new record that a user creates."""
        return self.spoken.write(values, None)

    def patch(self, values: Mapping[str, Scalar], current: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the patch of a record that a user edits."""
        return self.spoken.write(values, current)

    def read(self, payload: Mapping[str, Any]) -> Values:
        """Returns the values of a record."""
        return self.mapping.read(payload)

    def at(self, payload: Mapping[str, Any], path: str) -> Scalar:
        """Returns the value of one field of a record; None if it cannot be read."""
        column = self.spoken.columns.by_path[path]
        country = column.region.of(payload) if column.region else None
        try:
            return column.meaning(column.take(payload), country)
        except ValueError:
            return None

    def can_say(self, path: str, value: Scalar) -> bool:
        """Returns True if this system can express a value."""
        try:
            self.spoken.write({path: value}, {})
        except LensError:
            return False
        return True

    def shows(self, path: str, value: Scalar) -> Scalar:
        """Returns how this system shows a canonical value after a write."""
        return value if path not in self._ways else self._shown(path, value)

    def _shown(self, path: str, value: Scalar) -> Scalar:
        raw = shown(self.spoken.write({path: value}, None), self.shape.ways)
        return self.mapping.read(raw).get(path)

    def rewritten(self, payload: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the record as this system stores it after a patch."""
        return shown(patched(payload, patch, lists=self.shape.lists), self.shape.ways)

    def subject(self, values: Mapping[str, Scalar]) -> str | None:
        """Returns the subject that a record's values name."""
        if self.tag is not None and (found := thing_in(values.get(self.tag))):
            return found
        if self.entity.name == "sales_order":
            # The hub created it from a deal and gave it the deal's name.
            deal = thing_in(values.get("description"))
            return f"o{deal[1:]}" if deal and deal.startswith("d") else None
        return None


@lru_cache(maxsize=65536)
def thing_in(value: Scalar) -> str | None:
    """Returns the subject that a tag names.

    >>> thing_in("c17.example"), thing_in("D4"), thing_in("Acme")
    ('c17', 'd4', None)
    """
    match = _THING.match(str(value).lower()) if value is not None else None
    return match[1] if match else None


def tag_of(kind: str, subject: str) -> str:
    """Returns the value that names a subject in a field of this kind.

    >>> tag_of("domain", "c17"), tag_of("email", "p1"), tag_of("text", "a3")
    ('c17.example', 'p1@people.example', 'A3')
    """
    if kind == "domain":
        return f"{subject}.example"
    return f"{subject}@people.example" if kind == "email" else subject.upper()


def word(kind: str, number: int) -> str:
    """Returns a value that is typed only once.

    >>> word("text", 7), word("decimal", 7), word("phone", 7)
    ('7Abcdefgh', '7.25', '+493090000007')
    """
    match kind:
        case "decimal":
            return f"{number}.25"
        case "email":
            return f"mail{number}@words.example"
        case "phone":
            return f"+49309{number:07d}"
        case _:
            return f"{number}Abcdefgh"


def emulators_for(
    connection: str,
    mappings: Sequence[StreamMapping],
    facts: Mapping[str, StreamFacts],
    *,
    tags: Mapping[str, str | None],
    data_faults: Iterable[str],
    chance: random.Random,
) -> dict[str, Emulator]:
    """Returns the emulators of one connection: stream -> emulator."""
    found = {}
    data_faults = tuple(data_faults)
    for mapping in mappings:
        if not isinstance(mapping, TableMapping):
            continue
        spoken = _spoken(mapping)
        tag = tags.get(mapping.entity.name)
        typed = typed_paths(mapping, tag)
        ways = _ways(mapping, typed, data_faults, chance)
        raw = {_plain(mapping.columns.by_path[path]): way for path, way in ways.items()}
        machine = _machine(mapping)
        # A create that is repeated blindly must show as two records, not as a refusal.
        shape = StreamShape(facts=facts[mapping.stream], ways=raw, once_unique=False, **machine)
        kept = tag if tag and _spells(spoken, tag, "c1") else None
        found[mapping.stream] = Emulator(
            connection, mapping.stream, mapping, spoken, shape, kept, typed, ways
        )
    return found


def tags_of(
    entities: Mapping[str, Entity], mappings: Iterable[StreamMapping]
) -> dict[str, str | None]:
    """Returns entity -> the path that identifies its subjects in every system."""
    by_entity: dict[str, list[TableMapping]] = {}
    for mapping in mappings:
        if isinstance(mapping, TableMapping):
            by_entity.setdefault(mapping.entity.name, []).append(mapping)
    return {name: _tag(entities[name], found) for name, found in by_entity.items()}


def _tag(entity: Entity, mappings: Sequence[TableMapping]) -> str | None:
    # Returns the field that identifies a record on its own, else the one that names it for users.
    alone = [group[0] for group in entity.match if len(group) == 1]
    for path in (*alone, entity.title, "name", "subject"):
        declared = entity.fields.get(path)
        if declared is None or declared.kind not in ("text", "domain", "email"):
            continue
        if all(_spells(_spoken(mapping), path, "c1") for mapping in mappings):
            return path
    return None


def _spells(spoken: TableMapping, path: str, subject: str) -> bool:
    """Returns True if a tag is read back from a record as it was written."""
    declared = spoken.entity.fields.get(path)
    if declared is None or path not in spoken.columns.by_path:
        return False
    return _comes_back(spoken, path, tag_of(declared.kind, subject))


def _comes_back(spoken: TableMapping, path: str, value: Scalar) -> bool:
    try:
        payload = patched({}, spoken.write({path: value}, None), lists="items")
        return spoken.read(payload).get(path) == value
    except LensError:
        return False


def typed_paths(mapping: TableMapping, tag: str | None) -> tuple[str, ...]:
    """Returns the paths of a stream that users type freely and that are read back as typed."""
    spoken, entity = _spoken(mapping), mapping.entity
    states = entity.states.path if entity.states else None
    fixed = {tag, states, "number", "reference", *mapping.constants}
    if entity.name == "sales_order":
        fixed.add("description")  # the name of its deal identifies the order
    return tuple(
        path
        for path, column in mapping.columns.by_path.items()
        if column.readable
        and path not in fixed
        and path in entity.fields
        and entity.fields[path].kind in TYPED_KINDS
        and _comes_back(spoken, path, word(entity.fields[path].kind, 1234))
    )


def _spoken(mapping: TableMapping) -> TableMapping:
    """Returns the mapping with every field writable."""
    lists = {
        name: replace(items, columns=_free(items.columns.by_path.values()))
        for name, items in mapping.lists.items()
    }
    return replace(mapping, columns=_free(mapping.columns.by_path.values()), lists=lists)


def _free(columns: Iterable[Column]) -> Columns:
    return Columns([replace(column, writable=True, readable=True) for column in columns])


def _plain(column: Column) -> str:
    return ".".join(column.field.head)


def _ways(
    mapping: TableMapping, typed: Sequence[str], data_faults: Sequence[str], chance: random.Random
) -> dict[str, str]:
    """Draws how this system changes the values of some fields: path -> way."""
    ways: dict[str, str] = {}
    for path in typed:
        column, declared = mapping.columns.by_path[path], mapping.entity.fields[path]
        possible = [
            way
            for habit in data_faults
            for way in _HABITS.get(habit, ())
            if (habit == "rounded") == (declared.kind == "decimal")
            and declared.kind in ("text", "decimal")
        ]
        if column.field.listed or not possible or column.lens.join is not None:
            continue
        if chance.random() < 0.4:
            ways[path] = chance.choice(possible)
    return ways


def _machine(mapping: TableMapping) -> dict[str, Any]:
    """Returns the state machine of a stream in its system's own values."""
    states = mapping.entity.states
    column = mapping.columns.by_path.get(states.path) if states else None
    if states is None or column is None or not mapping.actions or column.field.listed:
        return {}

    def raw(state: str) -> str:
        return str(column.lens.put(state, None))

    acts: dict[str, dict[str, str]] = {}
    for goal, action in mapping.actions.items():
        ways = acts.setdefault(action, {})
        for start, follows in states.follows.items():
            if goal in follows:
                ways[raw(start)] = raw(goal)
    first = next(iter(states.follows))
    return {"acts": acts, "state": _plain(column), "initial": raw(first)}


def kind_of(entity: Entity, path: str) -> str:
    """Returns the kind of a path."""
    declared: Field | None = entity.field(path)
    return declared.kind if declared else "text"
