"""A wrong mapping file is refused at start with file, line, error and the nearest name."""

from __future__ import annotations

from pathlib import Path

import pytest

from mappings.kit.errors import LensError, MappingFileError
from mappings.kit.loader import load, load_all, mapping_schema

HEAD = "entity: company\nstream: accounts\n"
SALE = "entity: sales_order\nstream: orders\n"

#: The text, the number of the wrong line, what the message must contain.
WRONG = {
    "broken YAML": (f"{HEAD}fields: {{name: [x\n", 4, "broken YAML"),
    "not a mapping": ("- a\n", 1, "expected `entity:`"),
    "empty": ("", None, "expected `entity:`"),
    "a key twice": (f"{HEAD}fields:\n  name: a\n  name: b\n", 5, "'name' is given twice"),
    "no stream": ("entity: company\n", 1, "'stream' is missing"),
    "unknown top key": (f"{HEAD}feilds: {{}}\n", 3, "unknown key 'feilds'; did you mean fields?"),
    "unknown field key": (
        f"{HEAD}fields:\n  name:\n    field: a\n    lense: text\n",
        6,
        "unknown key 'lense'; did you mean lens?",
    ),
    "unknown list key": (f"{SALE}lists:\n  lines:\n    felds: x\n", 5, "did you mean fields?"),
    "wrong mode": (f"{HEAD}fields:\n  name: {{field: a, mode: reed}}\n", 4, "'read'"),
    "unknown entity": (
        "stream: accounts\nentity: compny\n",
        2,
        "unknown entity 'compny'; did you mean company?",
    ),
    "unknown path": (f"{HEAD}fields:\n  adress.city: a\n", 4, "did you mean address.city?"),
    "unknown lens": (
        f"{HEAD}fields:\n  phone:\n    field: a\n    lens: fone\n",
        6,
        "unknown lens 'fone'; did you mean phone?",
    ),
    "unfit lens": (
        f"{HEAD}fields:\n  phone: {{field: a, lens: date}}\n",
        4,
        "lens 'date' does not make a phone; known are phone",
    ),
    "bad path over there": (f"{HEAD}fields:\n  name: a..b\n", 4, "is not a path"),
    "bad criteria": (f"{HEAD}fields:\n  name: 'a[x].b'\n", 4, "name=value"),
    "half a name": (
        "entity: contact\nstream: people\nfields:\n  last_name: {field: name, lens: last_name}\n",
        4,
        "needs exactly lens first_name and lens last_name",
    ),
    "wrong enum option": (
        f"{SALE}fields:\n  state:\n    field: s\n    values:\n      Q: qouted\n",
        7,
        "'qouted' is not an option; did you mean quoted?",
    ),
    "wrong otherwise": (
        f"{SALE}fields:\n  state: {{field: s, otherwise: nope}}\n",
        4,
        "'nope' is not an option; known are cancelled,",
    ),
    "values without enum": (
        f"{HEAD}fields:\n  name: {{field: a, values: {{x: y}}}}\n",
        4,
        "only lens enum",
    ),
    "an enum that keeps": (
        f"{SALE}fields:\n  state: {{field: s, unknown: keep}}\n",
        4,
        "cannot keep",
    ),
    "a number that keeps": (
        f"{SALE}fields:\n  total: {{field: t, unknown: keep}}\n",
        4,
        "a decimal cannot keep",
    ),
    "one field written twice": (
        f"{HEAD}fields:\n  name: a\n  industry: a\n",
        5,
        "'industry' and 'name' (",
    ),
    "misspelt key of a field": (
        f"{HEAD}fields:\n  name: {{feld: a}}\n",
        4,
        "unknown key 'feld'; did you mean field?",
    ),
    "an item nobody can make": (f"{HEAD}fields:\n  name: 'a[1].b'\n", 4, "only item 0"),
    "unknown stream": (
        f"{SALE}fields:\n  company: {{field: a, stream: parties}}\n",
        4,
        "unknown stream 'parties'; known are orders",
    ),
    "stream of another entity": (
        f"{SALE}fields:\n  company: {{field: a, stream: orders}}\n",
        4,
        "is of sales_order, not company",
    ),
    "reference without a stream": (f"{SALE}fields:\n  company: a\n", 4, "name the `stream`"),
    "unknown list": (f"{SALE}lists:\n  lynes: {{field: x}}\n", 4, "did you mean lines?"),
    "list without field": (f"{SALE}lists:\n  lines: {{key: x}}\n", 4, "'field' is missing"),
    "unknown constant": (f"{HEAD}constants: {{nmae: x}}\n", 3, "did you mean name?"),
    "wrong constant": (
        "entity: activity\nstream: t\nconstants: {kind: tsk}\n",
        3,
        "did you mean task?",
    ),
    "unknown act": (f"{SALE}acts: {{qoted: quote}}\n", 3, "did you mean quoted?"),
    "required is not written": (f"{HEAD}requires: [name]\n", 3, "required 'name' is not written"),
    "custom without a kind": (f"{HEAD}fields:\n  custom.x: a\n", 4, "needs a `kind`"),
    "custom of no kind": (
        f"{HEAD}fields:\n  custom.x: {{field: a, kind: decimals}}\n",
        4,
        "unknown kind 'decimals'; did you mean decimal?",
    ),
    "unknown time zone": (
        "entity: opportunity\nstream: d\nfields:\n"
        "  close_date: {field: a, lens: date_of_datetime, zone: Berlin}\n",
        4,
        "no time zone 'Berlin'",
    ),
    "region without a use": (f"{HEAD}fields:\n  name: {{field: a, region: b}}\n", 4, "`region`"),
    "nothing to extend": (f"{HEAD}extends: true\n", 2, "nothing to extend"),
}


def folder(root: Path, system: str = "acme", **files: str) -> Path:
    (root / system).mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (root / system / f"{name}.yaml").write_text(text, encoding="utf-8")
    return root


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_file_is_refused_with_its_line(tmp_path: Path, case: str) -> None:
    text, line, said = WRONG[case]
    with pytest.raises(MappingFileError) as caught:
        load("acme", extra=[folder(tmp_path, account=text)])
    assert said in str(caught.value)
    assert caught.value.line == line
    assert str(caught.value).startswith(str(tmp_path / "acme" / "account.yaml"))


def test_one_stream_is_mapped_once(tmp_path: Path) -> None:
    with pytest.raises(
        MappingFileError, match=r"b\.yaml:2: stream 'accounts' is already mapped in a\.yaml"
    ):
        load("acme", extra=[folder(tmp_path, a=HEAD, b=HEAD)])


def test_a_system_without_mappings_is_refused() -> None:
    with pytest.raises(MappingFileError, match="did you mean tryton"):
        load("trytn")


def test_a_file_of_the_user_replaces_ours(tmp_path: Path) -> None:
    text = "entity: company\nstream: companies\nfields: {name: properties.legal_name}\n"
    loaded = {m.stream: m for m in load("hubspot", extra=[folder(tmp_path, "hubspot", c=text)])}
    assert loaded["companies"].read({"properties": {"legal_name": "ACME"}}) == {"name": "ACME"}
    assert "contacts" in loaded


def test_a_file_of_the_user_extends_ours(tmp_path: Path) -> None:
    text = (
        "entity: company\nstream: companies\nextends: true\n"
        "fields:\n  industry: null\n  phone: properties.hs_phone\n"
        "  custom.score: {field: properties.score, kind: integer, custom: true,\n"
        "    lens: integer_text}\n"
    )
    ours = load("hubspot")[0]
    mine = load("hubspot", extra=[folder(tmp_path, "hubspot", c=text)])[0]
    payload = {
        "properties": {"name": "A", "industry": "X", "hs_phone": "+4930123456", "score": "7"}
    }
    values = mine.read(payload)
    assert (values["name"], values["phone"], values["custom.score"]) == ("A", "+4930123456", 7)
    assert not mine.mapped("industry")
    assert mine.write({"custom.score": 8}, payload) == {"properties": {"score": "8"}}
    assert {field.name for field in mine.custom_fields} >= {"score", "tulay_tax_id"}
    assert mine.fingerprint != ours.fingerprint


def test_two_paths_on_a_field_name_the_users_file(tmp_path: Path) -> None:
    # The user's `name` takes precedence over our `domain`, whose field it uses.
    text = "entity: company\nstream: companies\nextends: true\nfields:\n  name: properties.domain\n"
    with pytest.raises(MappingFileError) as caught:
        load("hubspot", extra=[folder(tmp_path, "hubspot", mine=text)])
    assert str(caught.value).startswith(f"{tmp_path}/hubspot/mine.yaml:5: 'name' and 'domain' (")
    assert "both write 'properties.domain'" in str(caught.value)


def test_a_misspelt_entity_names_the_users_file(tmp_path: Path) -> None:
    for extends, said in (
        ("", "unknown entity 'compny'; did you mean company?"),
        ("extends: true\n", "write `entity: company`"),
    ):
        text = f"entity: compny\nstream: companies\n{extends}fields: {{name: properties.name}}\n"
        with pytest.raises(MappingFileError) as caught:
            load("hubspot", extra=[folder(tmp_path, "hubspot", mine=text)])
        assert str(caught.value).startswith(f"{tmp_path}/hubspot/mine.yaml:1: ")
        assert said in str(caught.value)


def test_a_custom_enum_has_the_written_options(tmp_path: Path) -> None:
    text = (
        "entity: company\nstream: companies\nextends: true\nfields:\n"
        "  custom.a: {field: properties.a, kind: enum, options: [x, y], custom: true}\n"
        "  custom.b: {field: properties.b, kind: enum, options: [x, y], custom: true,\n"
        "    values: {EX: x, OLD: x, WY: y}}\n"
    )
    mine = load("hubspot", extra=[folder(tmp_path, "hubspot", c=text)])[0]
    found = {one.name: (one.type, one.options, one.path) for one in mine.custom_fields}
    assert found["a"] == ("enum", ("x", "y"), "custom.a")
    assert found["b"] == ("enum", ("EX", "WY"), "custom.b")


def test_an_unlisted_value_is_not_in_the_message(tmp_path: Path) -> None:
    text = f"{SALE}fields:\n  state: {{field: status, values: {{open: draft}}}}\n"
    (mapping,) = load("acme", extra=[folder(tmp_path, order=text)])
    with pytest.raises(LensError) as caught:
        mapping.read({"status": "a secret word"})
    assert str(caught.value).startswith("state: status has a value that the mapping does not list")
    assert "secret" not in str(caught.value) + repr(caught.value)
    assert caught.value.value == "a secret word"


def test_lists_are_extended_too(tmp_path: Path) -> None:
    text = (
        "entity: opportunity\nstream: deals\nextends: true\n"
        "lists:\n  lines:\n    fields:\n      unit_price: properties.net\n"
    )
    loaded = load("hubspot", extra=[folder(tmp_path, "hubspot", d=text)])
    deal = next(m for m in loaded if m.stream == "deals")
    line = {"id": "1", "properties": {"hs_sku": "W", "name": "Widget", "net": "5", "price": "6"}}
    values = deal.read({"properties": {}, "line_items": [line]})
    assert (values["lines[W].unit_price"], values["lines[W].name"]) == ("5", "Widget")


def test_a_custom_path_exists_for_all_systems(tmp_path: Path) -> None:
    folder(
        tmp_path,
        "hubspot",
        c="entity: company\nstream: companies\nextends: true\n"
        "fields: {custom.grade: {field: properties.g, kind: enum, options: [a, b]}}\n",
    )
    folder(
        tmp_path,
        "tryton",
        p="entity: company\nstream: party.party\nextends: true\n"
        "fields: {custom.grade: {field: grade, values: {A: a, B: b}}}\n",
    )
    loaded = load_all(["hubspot", "tryton"], [tmp_path])
    ours, theirs = (
        next(m for m in found if m.entity.name == "company") for found in loaded.values()
    )
    assert ours.entity is theirs.entity
    assert theirs.read({"grade": "B"})["custom.grade"] == "b"
    assert ours.write({"custom.grade": "b"}, None) == {"properties": {"g": "b"}}


def test_a_custom_path_has_one_kind(tmp_path: Path) -> None:
    folder(tmp_path, "a", c=f"{HEAD}fields: {{custom.x: {{field: x, kind: text}}}}\n")
    folder(tmp_path, "b", c=f"{HEAD}fields: {{custom.x: {{field: x, kind: date}}}}\n")
    with pytest.raises(MappingFileError, match="of another kind"):
        load_all(["a", "b"], [tmp_path])


def test_equal_files_have_equal_fingerprints() -> None:
    first, second = load("tryton"), load("tryton")
    assert [m.fingerprint for m in first] == [m.fingerprint for m in second]
    assert len({m.fingerprint for m in first}) == len(first)


def test_yaml_words_stay_texts(tmp_path: Path) -> None:
    text = (
        "entity: invoice\nstream: bills\nfields:\n"
        "  state: {field: s, values: {no: draft, on: posted, 2026-01-01: paid}}\n"
    )
    (bill,) = load("acme", extra=[folder(tmp_path, b=text)])
    states = [bill.read({"s": raw})["state"] for raw in ("no", "on", "2026-01-01")]
    assert states == ["draft", "posted", "paid"]


def test_texts_may_have_a_table_of_values(tmp_path: Path) -> None:
    words = "{field: i, lens: enum, values: {IT: Software}, unknown: keep}"
    text = f"{HEAD}fields: {{industry: {words}}}\n"
    (mapping,) = load("acme", extra=[folder(tmp_path, b=text)])
    assert [mapping.read({"i": raw})["industry"] for raw in ("IT", "Steel")] == [
        "Software",
        "Steel",
    ]
    assert mapping.write({"industry": "Software"}, {"i": "Steel"}) == {"i": "IT"}
    assert mapping.write({"industry": "Glass"}, {"i": "Steel"}) == {"i": "Glass"}


def test_the_schema_knows_short_and_long_fields() -> None:
    schema = mapping_schema()
    assert schema["$defs"]["FieldSpec"]["anyOf"][0] == {"type": "string"}
    assert "lens" in schema["$defs"]["FieldSpec"]["anyOf"][1]["properties"]
    assert schema["required"] == ["entity", "stream"]


def test_parents_come_before_children() -> None:
    order = [m.entity.name for m in load("tryton")]
    assert order.index("company") < order.index("contact") < order.index("sales_order")
    assert order.index("invoice") < order.index("payment")
