"""The findings of a reconciliation; each golden record counts once, in one column."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from hub.sync.operate.entries import Entry
from mappings.canonical.values import Scalar


@dataclass(frozen=True, slots=True)
class Difference:
    """One field of one record that differs from the golden value."""

    entity: str
    golden_id: str
    title: str
    connection: str
    key: str
    path: str
    #: What the system shows.
    shown: Scalar
    #: What the golden record says.
    golden: Scalar
    #: An open conflict explains it.
    in_conflict: bool = False
    stream: str = ""
    #: Number of that conflict.
    conflict: int | None = None
    #: Id of the quarantine entry that holds the record, such as push-3.
    entry: str | None = None


@dataclass(frozen=True, slots=True)
class Missing:
    """A record that a system, or the hub, lacks."""

    entity: str
    title: str
    #: The system that lacks it; "hub" if the hub does not know a record of a system.
    connection: str
    key: str
    reason: str
    #: The system that has it, if the hub lacks it.
    source: str | None = None
    stream: str | None = None
    golden_id: str | None = None
    #: Id of the quarantine entry that holds it, such as push-3, or of a review, such as review-4.
    entry: str | None = None


@dataclass
class Counts:
    """The number of golden records, and of records unknown to the hub, in each state."""

    #: In two systems or more, and equal in every mapped field.
    matched: int = 0
    different: int = 0
    missing: int = 0
    #: Different or missing because a quarantine entry or a review holds them.
    held: int = 0
    #: In one system, and not wanted in another one.
    one_side: int = 0


@dataclass
class Reconciliation:
    """What was compared and what was found."""

    #: Entity -> counts.
    counts: dict[str, Counts] = field(default_factory=dict)
    different: list[Difference] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    #: Secondary records, which the hub does not write to; they can be merged in their system.
    doubles: list[Missing] = field(default_factory=list)

    @property
    def matched(self) -> int:
        """The number of pairs that agree in every mapped field."""
        return sum(one.matched for one in self.counts.values())

    @property
    def by_entity(self) -> dict[str, int]:
        """Entity -> number of pairs that agree."""
        return {name: one.matched for name, one in self.counts.items() if one.matched}

    @property
    def clean(self) -> bool:
        """True if nothing differs and nothing is missing."""
        return not self.different and not self.missing

    def named(self, names: Mapping[str, str]) -> None:
        """Sets the titles of all findings from {golden id: name}."""
        self.different = [replace(d, title=names.get(d.golden_id, d.title)) for d in self.different]
        self.missing = [_named(one, names) for one in self.missing]
        self.doubles = [_named(one, names) for one in self.doubles]

    def held_by(self, entries: Mapping[tuple[str, ...], Entry]) -> None:
        """Sets the entries that hold findings: {(connection, golden id or stream, key): entry}."""
        self.different = [
            replace(one, entry=held.id)
            if (held := _holding(entries, one.connection, one.golden_id, one.stream, one.key))
            else one
            for one in self.different
        ]
        self.missing = [_held(one, entries) for one in self.missing]

    def add(self, entity: str, part: Reconciliation) -> None:
        """Adds the findings about an entity, and counts them."""
        self.different += part.different
        self.missing += part.missing
        self.doubles += part.doubles
        counts = part.counts.get(entity, Counts())
        states = dict(part.states())
        of = Counter(states.values())
        counts.held, counts.missing, counts.different = of["held"], of["missing"], of["different"]
        if part.doubles or any(vars(counts).values()):
            self.counts[entity] = counts

    def states(self) -> Iterator[tuple[str, str]]:
        """Yields (record, state); the last state of a record counts."""
        for one in self.different:
            yield one.golden_id, "different"
        for gap in self.missing:
            yield _subject(gap), "missing"
        for one in self.different:
            if one.entry is not None:
                yield one.golden_id, "held"
        for gap in self.missing:
            if gap.entry is not None:
                yield _subject(gap), "held"


def _subject(gap: Missing) -> str:
    """Returns an id of the missing record, whether the hub knows it or not."""
    return gap.golden_id or f"{gap.source} {gap.stream} {gap.key}"


def _named(one: Missing, names: Mapping[str, str]) -> Missing:
    name = names.get(one.golden_id or "")
    return one if name is None else replace(one, title=name)


def _holding(
    entries: Mapping[tuple[str, ...], Entry], connection: str, *rest: str | None
) -> Entry | None:
    golden_id, stream, key = rest
    written = entries.get((connection, golden_id or ""))
    return written or entries.get((connection, stream or "", key or ""))


def _held(one: Missing, entries: Mapping[tuple[str, ...], Entry]) -> Missing:
    if one.entry is not None:
        return one
    held = _holding(entries, one.source or one.connection, one.golden_id, one.stream, one.key)
    return one if held is None else replace(one, entry=held.id, reason=held.reason)
