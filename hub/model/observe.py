"""What a sighting of a record means: the six rules of observing, as one pure function.

Values are compared field by field, or unit by unit where policy ties fields together. Nothing here
reads a clock, a database or a mapping.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from hub.model.policy import EntityPolicy, FieldPolicy
from hub.model.state import LinkState
from mappings.canonical.values import Scalar, States, Values

Cell = tuple[str, ...]
Tuple = tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Sighting:
    """Where, when and how a record was seen."""

    connection: str
    #: By the system's clock; only used by the policy "latest".
    modified_at: datetime | None = None
    #: The record meets its golden record for the first time.
    first: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """One value that did not survive, or did: a row of history."""

    path: str
    old: Scalar
    new: Scalar
    #: taken: the golden value changed; superseded: a typed value lost by the named policy.
    decision: Literal["taken", "superseded"]
    #: The policy that decided, for `explain`.
    why: str


@dataclass(frozen=True, slots=True)
class Clash:
    """Both sides changed a field and policy will not choose."""

    path: str
    base: Scalar
    ours: Scalar
    theirs: Scalar


@dataclass(slots=True)
class Observation:
    """What follows from a sighting."""

    link: LinkState
    #: Golden values to set; None removes.
    golden: Values = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    clashes: list[Clash] = field(default_factory=list)
    #: Paths whose open conflict is over.
    settled: set[str] = field(default_factory=set)
    #: Something about the record was new.
    news: bool = False
    #: This connection shows what it should not: a push will repair it.
    drift: bool = False


@dataclass(frozen=True, slots=True)
class Ground:
    """What a sighting is judged against."""

    golden: Mapping[str, Scalar]
    link: LinkState
    policy: EntityPolicy
    states: States | None = None
    #: Paths of this link with an open conflict.
    conflicts: frozenset[str] = frozenset()
    #: When a golden value was last changed; for the policy "latest".
    changed_at: Callable[[str], datetime | None] = lambda _path: None


def observe(ground: Ground, values: Mapping[str, Scalar], sighting: Sighting) -> Observation:
    """Returns what a record with these values means for its link and its golden record.

    >>> link = LinkState({"name": "ACME"})
    >>> found = observe(
    ...     Ground({"name": "ACME"}, link, EntityPolicy()), {"name": "Acme SE"}, Sighting("crm")
    ... )
    >>> found.golden, found.link.seen
    ({'name': 'Acme SE'}, {'name': 'Acme SE'})
    """
    result = Observation(ground.link.copy())
    for cell in _changed_cells(ground, values):
        result.news = True
        _observe_cell(cell, tuple(values.get(p) for p in cell), ground, sighting, result)
    return result


def _changed_cells(ground: Ground, values: Mapping[str, Scalar]) -> Iterable[Cell]:
    seen = ground.link.seen
    # A path that is gone from the record matters only inside lists: there the item was removed.
    gone = [p for p in seen if p not in values and "[" in p]
    done: set[str] = set()
    for path in (*values, *gone):
        if values.get(path) == seen.get(path) or path in done:
            continue
        unit = ground.policy.unit_of(path)
        if unit is None:
            yield (path,)
        else:
            cell = tuple(p for p in values if ground.policy.unit_of(p) == unit)
            done.update(cell)
            yield cell


def _observe_cell(
    cell: Cell, theirs: Tuple, ground: Ground, sighting: Sighting, result: Observation
) -> None:
    link = ground.link
    golden = tuple(ground.golden.get(p) for p in cell)
    agreed = tuple(link.agreed_at(p) for p in cell)
    shown = tuple(link.shown_at(p) for p in cell)
    verdict, why = _judge(cell, ground, sighting, values=(theirs, golden, agreed, shown))
    agrees = verdict in ("same", "take")
    for i, path in enumerate(cell):
        result.link.put(
            path,
            seen=theirs[i],
            agreed=theirs[i] if agrees else agreed[i],
            shown=theirs[i] if agrees else shown[i],
        )
    if verdict in ("same", "back", "take"):
        result.settled.update(p for p in cell if p in ground.conflicts)
    if verdict == "take":
        both = golden != agreed
        for path, old, new in zip(cell, golden, theirs, strict=True):
            if old != new:
                result.golden[path] = new
                result.changes.append(Change(path, old, new, "taken", why))
                if both and old is not None:
                    result.changes.append(Change(path, old, new, "superseded", why))
    elif verdict == "repair":
        result.drift = True
        for path, ours, new in zip(cell, golden, theirs, strict=True):
            if ours != new:
                result.changes.append(Change(path, new, ours, "superseded", why))
    elif verdict == "ask":
        result.clashes += [
            Clash(path, base, ours, new)
            for path, base, ours, new in zip(cell, agreed, golden, theirs, strict=True)
            if ours != new
        ]


Verdict = Literal["back", "same", "take", "repair", "ask"]


def _judge(
    cell: Cell, ground: Ground, sighting: Sighting, *, values: tuple[Tuple, Tuple, Tuple, Tuple]
) -> tuple[Verdict, str]:
    theirs, golden, agreed, shown = values
    policy = ground.policy.of(cell[0])
    if theirs == shown:
        return "back", ""
    if theirs == golden:
        return "same", ""
    if any(p in ground.conflicts for p in cell):
        return "ask", ""
    blank_golden = all(v is None for v in golden)
    if policy.blank == "keep" and all(v is None for v in theirs):
        return "repair", "blank: keep"
    if not policy.may_set(sighting.connection) and not (blank_golden and policy.owners):
        return "repair", f"owner: {', '.join(sorted(policy.owners or ())) or 'the hub'}"
    if ground.states is not None and cell == (ground.states.path,):
        return _judge_state(ground.states, theirs[0], golden[0])
    if golden == agreed or blank_golden:
        return "take", "only this side changed"
    return _choose(cell, ground, sighting, policy)


def _judge_state(states: States, theirs: Scalar, golden: Scalar) -> tuple[Verdict, str]:
    """States only move forward: one that lags behind is repaired by a transition."""
    forward = golden is None or states.route(str(golden), str(theirs)) is not None
    behind = states.route(str(theirs), str(golden)) is not None
    return ("take", "state moved on") if forward or not behind else ("repair", "state lags behind")


def _choose(
    cell: Cell, ground: Ground, sighting: Sighting, policy: FieldPolicy
) -> tuple[Verdict, str]:
    """Both sides changed: the policy decides, or a person."""
    name = "first" if sighting.first else "both"
    rule = policy.first if sighting.first else policy.both
    if rule == "ask":
        return "ask", ""
    if rule == "latest":
        known = [t for p in cell if (t := ground.changed_at(p)) is not None]
        later = sighting.modified_at is not None and all(sighting.modified_at > t for t in known)
        return ("take" if later else "repair"), f"{name}: latest"
    return ("take" if rule == sighting.connection else "repair"), f"{name}: {rule}"
