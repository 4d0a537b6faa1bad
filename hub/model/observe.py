"""Observes a record: compares it with its link and golden record, by six rules in a pure function.

Values are compared field by field, or unit by unit where the policy ties fields together. Nothing
here reads a clock, a database or a mapping.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from hub.model.policy import EntityPolicy, FieldPolicy, item_of
from hub.model.state import LinkState
from hub.model.wanted import agree
from mappings.canonical.values import Scalar, States, Values

Cell = tuple[str, ...]
Tuple = tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class RecordContext:
    """Where, when and how a record was read."""

    connection: str
    #: By the system's own clock; used only by the policy "latest".
    modified_at: datetime | None = None
    #: The record is matched with its golden record for the first time.
    is_first: bool = False
    #: The hub created it and the answer was lost: differences are only the system's spelling.
    created: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """A value that was taken or overruled: a row of history."""

    path: str
    old: Scalar
    new: Scalar
    #: taken: the golden value changed; superseded: a typed value lost by the named policy.
    decision: Literal["taken", "superseded"]
    #: The policy that decided, for `explain`.
    why: str


@dataclass(frozen=True, slots=True)
class FieldConflict:
    """A field that both sides changed and the policy does not decide."""

    path: str
    base: Scalar
    ours: Scalar
    theirs: Scalar


@dataclass(slots=True)
class Observation:
    """The consequences of reading a record."""

    link: LinkState
    #: Golden values to set; None removes.
    golden: Values = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    conflicts: list[FieldConflict] = field(default_factory=list)
    #: Paths whose open conflict has ended.
    settled: set[str] = field(default_factory=set)
    #: True if anything about the record was new.
    news: bool = False
    #: This connection shows a value that it may not set: a push will repair it.
    drift: bool = False


@dataclass(frozen=True, slots=True)
class Baseline:
    """The known state that a record is compared with."""

    golden: Mapping[str, Scalar]
    link: LinkState
    policy: EntityPolicy
    states: States | None = None
    #: Paths of this link with an open conflict.
    conflicts: frozenset[str] = frozenset()
    #: The time of the last change of a golden value; for the policy "latest".
    changed_at: Callable[[str], datetime | None] = lambda _path: None


def observe(
    baseline: Baseline, values: Mapping[str, Scalar], context: RecordContext
) -> Observation:
    """Returns the consequences of these values for the link and the golden record.

    >>> link = LinkState({"name": "ACME"})
    >>> found = observe(
    ...     Baseline({"name": "ACME"}, link, EntityPolicy()),
    ...     {"name": "Acme SE"},
    ...     RecordContext("crm"),
    ... )
    >>> found.golden, found.link.seen
    ({'name': 'Acme SE'}, {'name': 'Acme SE'})
    """
    baseline = replace(baseline, link=agree(baseline.golden, baseline.link))
    result = Observation(baseline.link.copy())
    for cell in _changed_cells(baseline, values):
        result.news = True
        _observe_cell(cell, tuple(values.get(p) for p in cell), baseline, context, result)
    _remove_orphans(baseline, values, result)
    result.settled.update(
        path
        for path in baseline.conflicts
        if (path in values or "[" in path)
        and values.get(path) == result.golden.get(path, baseline.golden.get(path))
    )
    return result


def _changed_cells(baseline: Baseline, values: Mapping[str, Scalar]) -> Iterable[Cell]:
    seen = baseline.link.seen
    # A path that is missing matters only inside lists, where its item was removed.
    paths = (*values, *(p for p in seen if p not in values and "[" in p))
    done: set[str] = set()
    for path in paths:
        if values.get(path) == seen.get(path) or path in done:
            continue
        cell = _cell(path, paths, baseline, values)
        done.update(cell)
        yield cell


def _cell(
    path: str, paths: tuple[str, ...], baseline: Baseline, values: Mapping[str, Scalar]
) -> Cell:
    """Returns the paths decided together with this one: its unit, or its item if removed."""
    policy, link = baseline.policy, baseline.link
    unit = policy.unit_of(path)
    if unit is not None:
        return tuple(p for p in paths if policy.unit_of(p) == unit)
    item = item_of(path)
    if item is None or not link.seen:
        return (path,)
    # Half an order line is worse than none: if one side removed an item and the other changed it,
    # all of it stays or all of it goes.
    item_paths = tuple(p for p in paths if p.startswith(item) and policy.unit_of(p) is None)
    known = any(p in link.seen or link.agreed_at(p) is not None for p in item_paths)
    theirs = any(values.get(p) is not None for p in item_paths)
    ours = any(baseline.golden.get(p) is not None for p in item_paths)
    return (path,) if (theirs and ours) or not known else item_paths


def _remove_orphans(baseline: Baseline, values: Mapping[str, Scalar], result: Observation) -> None:
    """Removes with an item those of its fields that this connection never knew."""
    for item in {item_of(p) for p, new in result.golden.items() if new is None} - {None}:
        if any(new is not None and p.startswith(str(item)) for p, new in values.items()):
            continue
        for path, old in baseline.golden.items():
            unknown = baseline.link.agreed_at(path) is None and path not in baseline.link.seen
            if unknown and old is not None and path.startswith(str(item)):
                result.golden[path] = None
                result.changes.append(Change(path, old, None, "taken", "its item was removed"))


def _observe_cell(
    cell: Cell, theirs: Tuple, baseline: Baseline, context: RecordContext, result: Observation
) -> None:
    link = baseline.link
    golden = tuple(baseline.golden.get(p) for p in cell)
    agreed = tuple(link.agreed_at(p) for p in cell)
    shown = tuple(link.shown_at(p) for p in cell)
    verdict, why = _judge(cell, baseline, context, values=(theirs, golden, agreed, shown))
    meant = _meant(theirs, agreed, shown) if verdict == "take" else theirs
    agrees = verdict in ("same", "take")
    for i, path in enumerate(cell):
        result.link.put(
            path,
            seen=theirs[i],
            agreed=meant[i] if agrees else agreed[i],
            shown=theirs[i] if agrees else shown[i],
        )
    if verdict in ("same", "back", "take"):
        result.settled.update(p for p in cell if p in baseline.conflicts)
    if verdict == "take":
        both = golden != agreed
        for path, old, new in zip(cell, golden, meant, strict=True):
            if old != new:
                result.golden[path] = new
                result.changes.append(Change(path, old, new, "taken", why))
                if both and old is not None and why != _MOVED_ON:
                    result.changes.append(Change(path, old, new, "superseded", why))
    elif verdict == "repair":
        result.drift = True
        if why == _LAGS_BEHIND:
            return  # no user set a state: nothing was superseded
        for path, ours, new in zip(cell, golden, theirs, strict=True):
            if ours != new:
                result.changes.append(Change(path, new, ours, "superseded", why))
    elif verdict == "ask":
        result.conflicts += [
            FieldConflict(path, base, ours, new)
            for path, base, ours, new in zip(cell, agreed, golden, theirs, strict=True)
            if ours != new
        ]


def _meant(theirs: Tuple, agreed: Tuple, shown: Tuple) -> Tuple:
    """Returns the meaning of a unit: an unchanged part still means what was agreed."""
    if all(value is None for value in theirs):
        return theirs
    return tuple(
        base if new == was else new for new, base, was in zip(theirs, agreed, shown, strict=True)
    )


#: Reasons for changes of state that have no loser, because no user typed a value.
_MOVED_ON = "state moved on"
_LAGS_BEHIND = "state lags behind"

Verdict = Literal["back", "same", "take", "repair", "ask"]


def _judge(
    cell: Cell,
    baseline: Baseline,
    context: RecordContext,
    *,
    values: tuple[Tuple, Tuple, Tuple, Tuple],
) -> tuple[Verdict, str]:
    theirs, golden, agreed, shown = values
    policy = baseline.policy.of(cell[0])
    if theirs == shown:
        return "back", ""
    if theirs == golden:
        return "same", ""
    if any(p in baseline.conflicts for p in cell):
        return "ask", ""
    if policy.when_blank == "keep" and all(v is None for v in theirs):
        return "repair", "when_blank: keep"
    # A blank may be filled, unless it was blanked on purpose.
    fillable = all(v is None for v in golden) and (policy.when_blank == "keep" or golden == agreed)
    may_set = all(baseline.policy.of(p).may_set(context.connection) for p in cell)
    if not may_set and not (fillable and policy.owners):
        return "repair", f"owner: {', '.join(sorted(policy.owners or ())) or 'the hub'}"
    if baseline.states is not None and cell == (baseline.states.path,):
        known = _judge_state(baseline.states, theirs[0], golden[0], agreed[0])
        if known is not None:
            return known
    if golden == agreed or fillable:
        return "take", "only this side changed"
    return _choose(cell, baseline, context, policy)


def _judge_state(
    states: States, theirs: Scalar, golden: Scalar, agreed: Scalar
) -> tuple[Verdict, str] | None:
    """Judges a state, which only moves forward; None if the state machine gives no order."""
    if golden is None:
        return "take", _MOVED_ON
    if theirs is None:
        return "repair", _LAGS_BEHIND
    forward = states.route(str(golden), str(theirs)) is not None
    behind = states.route(str(theirs), str(golden)) is not None
    # Where states form a cycle, only a system that was up to date can have moved on.
    if forward and (not behind or golden == agreed):
        return "take", _MOVED_ON
    return ("repair", _LAGS_BEHIND) if behind else None


def _choose(
    cell: Cell, baseline: Baseline, context: RecordContext, policy: FieldPolicy
) -> tuple[Verdict, str]:
    """Decides between two changed sides by policy, or leaves it to a person."""
    name = "on_first_match" if context.is_first else "on_conflict"
    if context.created:
        return "repair", f"{name}: created by the hub"
    rule = policy.on_first_match if context.is_first else policy.on_conflict
    if rule == "ask":
        return "ask", ""
    if rule == "latest":
        known = [t for p in cell if (t := baseline.changed_at(p)) is not None]
        later = context.modified_at is not None and all(context.modified_at > t for t in known)
        return ("take" if later else "repair"), f"{name}: latest"
    return ("take" if rule == context.connection else "repair"), f"{name}: {rule}"
