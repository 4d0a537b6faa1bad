"""Search: filters, one sort, offset pages up to 10,000, an index that may lag behind."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from fnmatch import translate
from typing import Any

from connectors.hubspot.twin.calls import Call, Reply, whole_number
from connectors.hubspot.twin.error_bodies import Refusal, invalid
from connectors.hubspot.twin.page_faults import turn_page
from connectors.hubspot.twin.properties_schema import Kind, Property
from connectors.hubspot.twin.property_values import moment
from connectors.hubspot.twin.render import View, show
from connectors.hubspot.twin.stored_record import Record

GROUPS, FILTERS, FILTERS_IN_ALL, WINDOW, PAGE, QUERY = 5, 6, 18, 10_000, 200, 3_000
Value = str | int | None
Test = Callable[[Value], bool]
Comparable = str | int | Decimal
_WORD = re.compile(r"[\w@.+*-]+")


def search(call: Call) -> Reply:
    """Answers the records that fit any of the filter groups."""
    kind, body = call.kind, call.json()
    limit, offset = _window(body)
    limit = min(limit, call.account.settings.most_rows)
    wanted = _matcher(kind, body.get("filterGroups") or [])
    turn_page(call.account, kind)
    rows = [row for row in _index(call) if wanted(row)]
    rows = _queried(kind, rows, body.get("query"))
    rows = _sorted(kind, rows, body.get("sorts") or [])
    view = View(body.get("properties") or ())
    shown = [show(call.account, row, view) for row in rows[offset : offset + limit]]
    reply: dict[str, Any] = {"total": len(rows), "results": shown}
    if offset + limit < len(rows):
        reply["paging"] = {"next": {"after": str(offset + limit)}}
    return Reply(200, reply)


def _window(body: dict[str, Any]) -> tuple[int, int]:
    limit, after = body.get("limit") or 10, body.get("after") or 0
    limit = int(limit)
    if not 0 < limit <= PAGE:
        raise invalid(f"The limit must be between 1 and {PAGE}, not {limit}")
    if whole_number(str(after)) >= WINDOW:
        raise invalid(f"Search results are limited to {WINDOW}; the cursor {after} is beyond them")
    return limit, int(after)


def _index(call: Call) -> list[Record]:
    """Returns the records as the index has them now."""
    live = call.account.live(call.kind)
    now = call.account.clock.ms()
    seen = (_seen(record, now) if record.shadows else record for record in live)
    return [record for record in seen if record is not None]


def _seen(record: Record, now: int) -> Record | None:
    if not record.shadows:
        return record
    record.shadows = [shadow for shadow in record.shadows if shadow[0] > now] or None
    if not record.shadows:
        return record
    _, values, updated = record.shadows[0]
    if values is None:
        return None
    old = Record(record.kind, record.id, record.created, source=record.source)
    old.values, old.updated, old.merged = values, updated, record.merged
    return old


# -- filters ---------------------------------------------------------------------------------------


def _matcher(kind: Kind, groups: list[Any]) -> Callable[[Record], bool]:
    if len(groups) > GROUPS:
        raise invalid(f"Too many filterGroups: {len(groups)}, at most {GROUPS} are allowed")
    if any(len(g.get("filters") or ()) > FILTERS for g in groups):
        raise invalid(f"Too many filters in a filterGroup, at most {FILTERS} are allowed")
    if sum(len(g.get("filters") or ()) for g in groups) > FILTERS_IN_ALL:
        raise invalid(f"Too many filters, at most {FILTERS_IN_ALL} are allowed")
    compiled = [[_test(kind, f) for f in g.get("filters") or ()] for g in groups]
    compiled = [group for group in compiled if group]
    if not compiled:
        return lambda _record: True

    def wanted(record: Record) -> bool:
        for group in compiled:
            for name, test in group:
                if not test(record.plain(name)):
                    break
            else:
                return True
        return False

    return wanted


def _test(kind: Kind, row: dict[str, Any]) -> tuple[str, Test]:
    name, operator = str(row.get("propertyName", "")), str(row.get("operator", ""))
    prop = kind.live(name)
    if prop is None:
        raise _bad(f"Property '{name}' does not exist", name)
    make = _OPERATORS.get(operator)
    if make is None:
        raise invalid(
            f"Invalid input JSON on line 1, column 1: Cannot build Filter, "
            f"`{operator}` is not a valid operator"
        )
    return name, make(_Filter(prop, row))


def _bad(message: str, name: str) -> Refusal:
    errors = [{"message": message, "context": {"propertyName": [name]}}]
    return invalid(f"There was a problem with the request: {message}", errors=errors)


@dataclass(frozen=True, slots=True)
class _Filter:
    """One filter, able to read its own operands."""

    prop: Property
    row: dict[str, Any]

    def text(self, key: str) -> str:
        value = self.row.get(key)
        if value is None or isinstance(value, list | dict):
            raise _bad(f"the operator {self.row['operator']} needs `{key}`", self.prop.name)
        return "true" if value is True else "false" if value is False else str(value)

    def operand(self, key: str) -> Comparable:
        value = comparable(self.prop, self.text(key))
        if value is None:
            raise _bad(f"{self.text(key)} is not a valid {self.prop.type}", self.prop.name)
        return value

    def values(self) -> list[str]:
        values = self.row.get("values")
        if not isinstance(values, list) or not values:
            raise _bad(f"the operator {self.row['operator']} needs `values`", self.prop.name)
        return [str(value) for value in values]

    def of(self, value: str | int) -> Comparable | None:
        return value if isinstance(value, int) else comparable(self.prop, value)


def comparable(prop: Property, text: str) -> Comparable | None:
    """Returns a value in a form that can be compared; None when it is no value of its type.

    quirk(hubspot): text compares without case, enumerations with it (docs: CRM search).
    """
    if prop.type in ("date", "datetime"):
        return moment(text)
    if prop.type == "number":
        try:
            number = Decimal(text)
        except InvalidOperation:
            return None
        return number if number.is_finite() else None
    return text if prop.type == "enumeration" else text.lower()


def _compare(holds: Callable[[Any, Any], bool]) -> Callable[[_Filter], Test]:
    def make(f: _Filter) -> Test:
        wanted = f.operand("value")

        def test(value: Value) -> bool:
            own = None if value is None else f.of(value)
            return own is not None and holds(own, wanted)

        return test

    return make


def _between(f: _Filter) -> Test:
    low, high = f.operand("value"), f.operand("highValue")

    def test(value: Value) -> bool:
        own: Any = None if value is None else f.of(value)
        return own is not None and low <= own <= high

    return test


def _among(f: _Filter) -> set[Comparable]:
    """Reads the values of IN.

    quirk(hubspot): for text, values of IN and NOT_IN must be given in lower case or match nothing
    (docs: CRM search).
    """
    if f.prop.type in ("string", "phone_number"):
        return set(f.values())
    found = {comparable(f.prop, value) for value in f.values()}
    return {value for value in found if value is not None}


def _in(f: _Filter) -> Test:
    wanted = _among(f)
    return lambda value: value is not None and f.of(value) in wanted


def _not_in(f: _Filter) -> Test:
    wanted = _among(f)
    return lambda value: value is not None and f.of(value) not in wanted


def _token(f: _Filter) -> Callable[[str], bool]:
    pattern = re.compile(translate(f.text("value").lower()))

    def found(value: str) -> bool:
        low = value.lower()
        return any(pattern.fullmatch(word) for word in (low, *tokens(low)))

    return found


def tokens(text: str) -> list[str]:
    """Splits text into the words that CONTAINS_TOKEN sees.

    >>> tokens("Acme Tools (Berlin) - info@acme.example")
    ['acme', 'tools', 'berlin', '-', 'info@acme.example', 'info', 'acme', 'example']
    """
    words = _WORD.findall(text.lower())
    parts = [part for w in words if "@" in w or "." in w for part in re.findall(r"\w+", w)]
    return words + parts


def _contains(f: _Filter) -> Test:
    found = _token(f)
    return lambda value: value is not None and found(str(value))


def _contains_not(f: _Filter) -> Test:
    found = _token(f)
    return lambda value: value is not None and not found(str(value))


_OPERATORS: dict[str, Callable[[_Filter], Test]] = {
    "EQ": _compare(lambda own, wanted: own == wanted),
    "NEQ": _compare(lambda own, wanted: own != wanted),
    "LT": _compare(lambda own, wanted: own < wanted),
    "LTE": _compare(lambda own, wanted: own <= wanted),
    "GT": _compare(lambda own, wanted: own > wanted),
    "GTE": _compare(lambda own, wanted: own >= wanted),
    "BETWEEN": _between,
    "IN": _in,
    "NOT_IN": _not_in,
    "HAS_PROPERTY": lambda _f: lambda value: value is not None,
    "NOT_HAS_PROPERTY": lambda _f: lambda value: value is None,
    "CONTAINS_TOKEN": _contains,
    "NOT_CONTAINS_TOKEN": _contains_not,
}

# -- query and sort --------------------------------------------------------------------------------


def _queried(kind: Kind, rows: list[Record], query: Any) -> list[Record]:
    if not query:
        return rows
    if len(str(query)) > QUERY:
        raise invalid(f"The query is longer than {QUERY} characters")
    words = tokens(str(query))
    names = kind.facts.searched.split() or list(kind.defaults)

    def found(record: Record) -> bool:
        have = [token for name in names for token in tokens(record.value(name) or "")]
        return all(any(token.startswith(word) for token in have) for word in words)

    return [row for row in rows if found(row)]


def _sorted(kind: Kind, rows: list[Record], sorts: list[Any]) -> list[Record]:
    if len(sorts) > 1:
        raise invalid("Only one sort is allowed")
    if not sorts:
        return rows
    sort = sorts[0] if isinstance(sorts[0], dict) else {"propertyName": str(sorts[0]).lstrip("-")}
    down = sort.get("direction") == "DESCENDING" or str(sorts[0]).startswith("-")
    prop = kind.live(str(sort.get("propertyName", "")))
    if prop is None:
        raise _bad(f"Property '{sort.get('propertyName')}' does not exist", "sorts")
    keyed: list[tuple[Any, Record]] = []
    blank: list[Record] = []
    for row in rows:
        value = row.plain(prop.name)
        key: Comparable | None = value if isinstance(value, int) else None
        if isinstance(value, str):
            key = comparable(prop, value)
        if key is None:
            blank.append(row)
        else:
            keyed.append((key, row))
    keyed.sort(key=lambda pair: pair[0], reverse=down)
    return [row for _, row in keyed] + blank
