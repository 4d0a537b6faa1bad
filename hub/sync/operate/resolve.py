"""Applies a person's decisions about values in conflict; those about identity: decide.py.

One transaction each. The decision overrides every policy, and history records who made it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection as Transaction

from hub.errors import DecisionError, UnknownError
from hub.model.observe import Change, FieldConflict
from hub.model.oscillation import DECIDED
from hub.model.wanted import agree
from hub.store.conflicts import Conflict, conflicts_of, find_conflict
from hub.store.golden import Golden, load_golden
from hub.store.links import Link, links_by_golden
from hub.sync.changeset import ChangeSet
from hub.sync.context import Hub
from hub.sync.operate.sides import decided_of, holder_of, side_of
from mappings.canonical.values import Field, Scalar
from mappings.kit import convert, regional

#: The origin of values that a person has set here.
PERSON = "person"


#: Kind of a value -> how a person's text becomes canonical.
_READERS: dict[str, Callable[[Any], Scalar]] = {
    "text": convert.text,
    "email": convert.email,
    "phone": regional.phone,
    "country": regional.country,
    "currency": regional.currency,
    "tax_id": regional.tax_id,
    "domain": convert.domain,
    "decimal": convert.decimal,
    "integer": convert.integer,
    "boolean": convert.boolean,
    "date": convert.day,
    "datetime": convert.instant,
    "enum": convert.text,
    "reference": convert.text,
}


@dataclass(frozen=True, slots=True)
class Resolved:
    """The result of a resolved conflict."""

    number: int
    entity: str
    golden_id: str
    #: Path -> the value that holds from now on.
    values: Mapping[str, Scalar]


def resolve_conflict(hub: Hub, number: int, take: str) -> Resolved:
    """Takes the value of one side, for the field and the unit it belongs to.

    `take` is the name of a system, `hub` for the value of the golden record, or `ours` or `theirs`.
    The value becomes (or stays) the golden one and is written to the other systems.

    Raises: UnknownError, DecisionError.
    """
    with hub.store.begin() as tx:
        case = _case(hub, tx, number)
        side = side_of(case.row, case.golden, case.links, take=take)
        unit = hub.policy(case.golden.entity).unit_of(case.path)
        same_unit = hub.policy(case.golden.entity).unit_of
        rows = [
            row
            for row in conflicts_of(tx, case.golden.id)
            if row.link_id == case.link.id
            and row.closed_at is None
            and (row.id == number or (unit is not None and same_unit(row.path) == unit))
        ]
        for row in rows:
            theirs = case.link.state.seen_at(row.path)
            if side == "theirs":
                case.link.state.put(row.path, seen=theirs, agreed=theirs, shown=theirs)
                case.take(row.path, theirs, origin=case.link.connection)
            else:
                case.keep(row.path, theirs, why=case.holder)
        values = {row.path: case.golden.values.get(row.path) for row in rows}
        case.close(tx, list(values), resolution=side)
    return Resolved(number, case.golden.entity, case.golden.id, values)


def resolve_with_value(hub: Hub, number: int, text: str) -> Resolved:
    """Sets another value, which is written to all sides; an empty text means blank.

    Raises: UnknownError, DecisionError.
    """
    with hub.store.begin() as tx:
        case = _case(hub, tx, number)
        value = _canonical(hub, tx, case, text)
        theirs = case.link.state.seen_at(case.path)
        case.take(case.path, value, origin=PERSON)
        if theirs is not None and theirs != value:
            case.keep(case.path, theirs, why="value")
        case.link.state = agree({case.path: value}, case.link.state)
        case.close(tx, [case.path], resolution="value")
    return Resolved(number, case.golden.entity, case.golden.id, {case.path: value})


@dataclass
class _Case:
    """One conflict, with everything its resolution touches."""

    hub: Hub
    row: Conflict
    golden: Golden
    link: Link
    #: All links of the golden record.
    links: list[Link]
    #: The origin of the golden value when the conflict was resolved.
    holder: str
    consequences: ChangeSet

    @property
    def path(self) -> str:
        """The field in conflict."""
        return str(self.row.path)

    def take(self, path: str, value: Scalar, *, origin: str) -> None:
        """Sets the golden value."""
        old = self.golden.values.get(path)
        self.consequences.set_values(self.golden, {path: value}, origin=origin, at=None)
        if value is None:
            self.golden.values[path] = None  # a decided blank, which is written everywhere
        self._remember(Change(path, old, value, "taken", self._why(origin)), origin)

    def keep(self, path: str, theirs: Scalar, *, why: str) -> None:
        """Keeps the golden value and overrules that of the other side."""
        change = Change(path, theirs, self.golden.values.get(path), "superseded", self._why(why))
        self._remember(change, self.link.connection)

    def _why(self, what: str) -> str:
        return f"{DECIDED} conflict {self.row.id}: {what}"

    def _remember(self, change: Change, connection: str) -> None:
        self.consequences.history(self.golden.id, [change], connection=connection)

    def close(self, tx: Transaction, paths: list[str], *, resolution: str) -> None:
        """Stores everything, closes the conflict and updates other conflicts about these paths."""
        self.consequences.settled(self.link, set(paths), resolution=resolution)
        self.consequences.link_changed(self.link)
        self.consequences.enqueue(self.link.connection, self.golden)
        self._compare_others(tx, paths)
        self.consequences.store(tx)

    def _compare_others(self, tx: Transaction, paths: list[str]) -> None:
        """Closes or updates open conflicts of other connections about these paths."""
        others = {link.id: link for link in self.links if link.id != self.link.id}
        for row in conflicts_of(tx, self.golden.id):
            link = others.get(row.link_id)
            if link is None or row.closed_at is not None or row.path not in paths:
                continue
            ours = self.golden.values.get(row.path)
            if link.state.seen_at(row.path) == ours:
                link.state = agree({row.path: ours}, link.state)
                self.consequences.link_changed(link)
                self.consequences.settled(link, {row.path})
            else:
                changed = FieldConflict(row.path, row.base, ours, row.theirs)
                self.consequences.conflicts_found(link, [changed])


def _case(hub: Hub, tx: Transaction, number: int) -> _Case:
    row = find_conflict(tx, number)
    if row is None:
        raise UnknownError(f"there is no conflict {number}; see `tulay conflicts`")
    golden = load_golden(tx, [row.golden_id], lock=True)[row.golden_id]
    if row.closed_at is not None:
        raise DecisionError(f"conflict {number} is closed already ({decided_of(row, golden)})")
    links = links_by_golden(tx, [golden.id]).get(golden.id, [])
    link = next((one for one in links if one.id == row.link_id), None)
    if link is None or link.gone_at is not None:
        raise DecisionError(
            f"conflict {number}: the record in {row.connection} was deleted; there is nothing"
            " left to decide"
        )
    consequences = ChangeSet(hub, hub.fresh_id(), hub.clock())
    return _Case(hub, row, golden, link, links, holder_of(row, golden), consequences)


def _canonical(hub: Hub, tx: Transaction, case: _Case, text: str) -> Scalar:
    """Returns the canonical value of a person's text. Raises: DecisionError."""
    declared = hub.entities[case.golden.entity].field(case.path)
    if declared is None:
        raise DecisionError(f"{case.golden.entity} has no field {case.path!r} any more")
    try:
        value = _READERS[declared.kind](text) if text.strip() else None
    except ValueError as error:
        raise DecisionError(f"{case.path} must be a {declared.kind}: {error}") from error
    if declared.options and value is not None and value not in declared.options:
        raise DecisionError(f"{case.path} must be one of {', '.join(declared.options)}")
    if declared.kind == "reference" and value is not None:
        _check_reference(tx, case.path, declared, str(value))
    return value


def _check_reference(tx: Transaction, path: str, declared: Field, target: str) -> None:
    found = load_golden(tx, [target]).get(target)
    if found is None or found.entity != declared.entity:
        raise DecisionError(
            f"{path} must be the id of a {declared.entity};"
            f" see `tulay links list {declared.entity}`"
        )
