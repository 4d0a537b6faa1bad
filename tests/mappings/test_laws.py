"""Both lens laws, over every mapping file and every field we ship."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mappings.canonical.values import Field, Scalar
from mappings.kit import convert, regional
from mappings.kit.loader import load_all, shipped
from mappings.kit.table import TableMapping

LOADED = [mapping for found in load_all(shipped()).values() for mapping in found]
MAPPINGS = [mapping for mapping in LOADED if isinstance(mapping, TableMapping)]
WRITTEN = [m for m in MAPPINGS if any(c.writable for c in m.columns.by_path.values())]
assert len(MAPPINGS) == len(LOADED)


def named(mapping: TableMapping) -> str:
    return f"{mapping.system}:{mapping.stream}"


every = pytest.mark.parametrize("mapping", MAPPINGS, ids=named)
every_written = pytest.mark.parametrize("mapping", WRITTEN, ids=named)

WORDS = st.text(min_size=1, max_size=20).map(str.strip).filter(bool)
LATIN = st.sampled_from(["Ann", "Anna Maria", "Jürgen", "Gabriel", "Mai Linh", "Jean-Luc", "Van"])
#: Values that are canonical in every country.
REGIONS = st.sampled_from(["Bayern", "California", "Somewhere", "Île-de-France"])
FAMILY = st.sampled_from(
    ["Smith", "van der Berg", "García Márquez", "Müller", "de la Cruz", "King Jr.", "O'Neil", "Ng"]
)
DECIMALS = st.decimals(
    min_value=-(10**12), max_value=10**12, places=4, allow_nan=False, allow_infinity=False
)
KINDS: dict[str, st.SearchStrategy[Scalar]] = {
    "text": WORDS,
    "email": st.sampled_from(["ann@acme.example", "o'neil+crm@sub.acme.example", "ü@acme.example"]),
    "phone": st.one_of(
        st.from_regex(r"\+49 30 [1-9][0-9]{5,7}", fullmatch=True).map(regional.phone),
        st.from_regex(r"\+1 415 555 [0-9]{4}", fullmatch=True).map(regional.phone),
        st.sampled_from(["ask Ann", "n/a", "+4930123456 ext. 5"]),
    ),
    "country": st.sampled_from(sorted(regional._codes())),
    "currency": st.sampled_from(["EUR", "USD", "PHP", "JPY"]),
    "tax_id": st.sampled_from(["DE136695976", "ATU37675002", "EL094259216", "T4711A", "NL8"]),
    "domain": st.sampled_from(["acme.example", "shop.acme.example", "müller.example"]),
    "decimal": DECIMALS.map(lambda number: convert.decimal(str(number))),
    "integer": st.integers(-(10**9), 10**9),
    "boolean": st.booleans(),
    "date": st.dates().map(lambda day: day.isoformat()),
    "datetime": st.datetimes().map(lambda at: convert.instant(at.isoformat())),
    "reference": st.integers(1, 9999).map(str),
}


def one_line(word: str) -> bool:
    return convert.one_line(word) == word


def values_of(path: str, field: Field, *, lined: bool) -> st.SearchStrategy[Scalar]:
    if field.kind == "enum":
        return st.sampled_from(field.options)
    if path in ("first_name", "last_name"):
        return LATIN if path == "first_name" else FAMILY
    if path == "address.region":
        return REGIONS
    if lined:
        return WORDS.filter(one_line)
    return KINDS[field.kind]


@st.composite
def records(draw: st.DrawFn, mapping: TableMapping, *, whole: bool = False) -> dict[str, Scalar]:
    """Draws canonical values for some (or all) paths that the mapping writes."""
    values: dict[str, Scalar] = {}
    for path, column in mapping.columns.by_path.items():
        field = mapping.entity.fields[path]
        if not column.writable or not (whole or draw(st.booleans())):
            continue
        lined = column.lens.put.__name__ == "_lines"
        strategy = values_of(path, field, lined=lined)
        paired = path in ("first_name", "last_name")
        values[path] = draw(strategy if whole or paired else st.none() | strategy)
    for name, items in mapping.lists.items():
        for key in draw(st.lists(st.sampled_from(["WID-1", "A B", "[x]"]), unique=True)):
            for path, column in items.columns.by_path.items():
                if column.writable:
                    field = mapping.entity.lists[name][path]
                    values[f"{name}[{key}].{path}"] = draw(KINDS[field.kind])
    if {"first_name", "last_name"} & values.keys():
        values |= {"first_name": draw(LATIN), "last_name": draw(FAMILY)}
    return values


class World:
    """Applies patches the way a system does: items by id, new items get one."""

    def __init__(self) -> None:
        self.last = 0

    def apply(self, current: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
        result = dict(current)
        for name, new in patch.items():
            old = result.get(name)
            if isinstance(new, Mapping):
                result[name] = self.apply(old if isinstance(old, Mapping) else {}, new)
            elif isinstance(new, list) and new and isinstance(new[0], Mapping):
                result[name] = self.items(old or [], new)
            else:
                result[name] = new
        return result

    def items(self, old: list[Any], new: list[Any]) -> list[Any]:
        known = {item["id"]: item for item in old}
        for change in new:
            if change.get("remove"):
                del known[change["id"]]
                continue
            if "id" not in change:
                self.last += 1
                known[f"new{self.last}"] = self.apply({"id": f"new{self.last}"}, change)
            else:
                known[change["id"]] = self.apply(known[change["id"]], change)
        return list(known.values())


def shown(mapping: TableMapping, payload: Mapping[str, Any], paths: Any) -> dict[str, Scalar]:
    values = mapping.read(payload)
    return {path: values.get(path) for path in paths}


@every_written
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_what_is_put_is_what_is_got(mapping: TableMapping, data: st.DataObject) -> None:
    world = World()
    first = data.draw(records(mapping))
    payload = world.apply({}, mapping.write(first, None))
    assert shown(mapping, payload, first) == first
    second = data.draw(records(mapping))
    after = world.apply(payload, mapping.write(second, payload))
    assert shown(mapping, after, second) == second
    untouched = first.keys() - second.keys()
    assert shown(mapping, after, untouched) == {path: first[path] for path in untouched}


@every_written
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_putting_what_was_got_changes_nothing(mapping: TableMapping, data: st.DataObject) -> None:
    payload = World().apply({}, mapping.write(data.draw(records(mapping, whole=True)), None))
    assert mapping.write(mapping.read(payload), payload) == {}


@every_written
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_a_field_can_be_cleared(mapping: TableMapping, data: st.DataObject) -> None:
    world = World()
    values = data.draw(records(mapping, whole=True))
    payload = world.apply({}, mapping.write(values, None))
    blank = dict.fromkeys(values)
    after = world.apply(payload, mapping.write(blank, payload))
    assert shown(mapping, after, blank) == blank


SHARED = [
    (one, other)
    for one in WRITTEN
    for other in WRITTEN
    if one.entity is other.entity and one.system != other.system
]


@pytest.mark.parametrize(("one", "other"), SHARED, ids=lambda mapping: named(mapping))
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_two_systems_tell_the_same_story(
    one: TableMapping, other: TableMapping, data: st.DataObject
) -> None:
    record = World().apply({}, one.write(data.draw(records(one)), None))
    values = {p: v for p, v in one.read(record).items() if one.writable(p) and other.writable(p)}
    copy = World().apply({}, other.write(values, None))
    assert shown(other, copy, values) == values


@every
def test_an_empty_record_reads_as_blanks(mapping: TableMapping) -> None:
    values = mapping.read({"id": "1"})
    assert values == dict.fromkeys(mapping.columns.by_path) | mapping.constants


@every
def test_references_name_streams_of_their_entity(mapping: TableMapping) -> None:
    entities = {m.stream: m.entity.name for m in MAPPINGS if m.system == mapping.system}
    targets = mapping.entity.references()
    for path, stream in mapping.references.items():
        assert entities[stream] == targets[path]


CONVERTERS = [
    convert.text,
    convert.one_line,
    convert.decimal,
    convert.domain,
    convert.email,
    convert.instant,
    convert.day,
    regional.country,
    regional.currency,
    regional.phone,
    regional.region,
    regional.tax_id,
]


@pytest.mark.parametrize("canonical", CONVERTERS, ids=lambda c: c.__name__)
@given(raw=st.text(max_size=30) | st.from_regex(r"[+ 0-9.eE/-]{1,15}", fullmatch=True))
def test_canonical_forms_are_stable(canonical: Any, raw: str) -> None:
    try:
        once = canonical(raw)
    except ValueError:
        return
    assert once is None or canonical(once) == once


@given(raw=st.text(max_size=20), region=st.sampled_from(["DE", "AT", "CH", "GR", "US", "PH"]))
def test_country_dependent_values_settle(raw: str, region: str) -> None:
    for canonical in (regional.phone, regional.region, regional.tax_id):
        once = canonical(raw, region)
        assert once is None or canonical(once, region) == once


def test_every_written_country_name_is_read() -> None:
    for code in regional._codes():
        assert regional.country(regional.country_name(code)) == code
