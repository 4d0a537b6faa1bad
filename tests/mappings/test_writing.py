"""What the mappings write, by example."""

from __future__ import annotations

from typing import Any

import pytest

from mappings.kit.errors import LensError
from mappings.kit.loader import load, load_all
from mappings.kit.table import TableMapping

LOADED = {
    (system, mapping.stream): mapping
    for system, found in load_all(["hubspot", "tryton"]).items()
    for mapping in found
    if isinstance(mapping, TableMapping)
}
COMPANY = LOADED["hubspot", "companies"]
CONTACT = LOADED["hubspot", "contacts"]
DEAL = LOADED["hubspot", "deals"]
TASK = LOADED["hubspot", "tasks"]
PARTY = LOADED["tryton", "party.party"]
PERSON = LOADED["tryton", "party.contact_mechanism"]
SALE = LOADED["tryton", "sale.sale"]


def company(**properties: str | None) -> dict[str, Any]:
    return {"id": "1", "properties": properties}


def test_an_equal_value_keeps_its_spelling() -> None:
    there = company(
        phone="030 1234567", country="Germany", domain="https://www.acme.example/", name="ACME "
    )
    same = {"phone": "+49301234567", "address.country": "DE", "domain": "acme.example"}
    assert COMPANY.write({**same, "name": "ACME"}, there) == {}
    assert COMPANY.write({"domain": "acme.de"}, there) == {"properties": {"domain": "acme.de"}}


def test_a_country_keeps_its_name_or_code() -> None:
    assert COMPANY.write({"address.country": "FR"}, company(country="Germany")) == {
        "properties": {"country": "France"}
    }
    assert COMPANY.write({"address.country": "FR"}, company(country="de")) == {
        "properties": {"country": "FR"}
    }


def test_a_national_phone_follows_the_country() -> None:
    there = company(phone="030 1234567", country="Germany")
    patch = COMPANY.write({"phone": "+49301234567", "address.country": "AT"}, there)
    assert patch == {"properties": {"country": "Austria", "phone": "+49301234567"}}


def test_an_unknown_country_is_refused_unnamed() -> None:
    with pytest.raises(LensError) as caught:
        COMPANY.read(company(country="Middle Earth"))
    assert caught.value.path == "address.country"
    assert "Middle" not in str(caught.value)


def test_junk_in_a_match_key_reads_as_blank() -> None:
    there = company(domain="n/a", tulay_email="none")
    values = COMPANY.read(there)
    assert (values["domain"], values["email"]) == (None, None)
    assert COMPANY.write({"domain": None, "email": None}, there) == {}


def test_an_unexpected_shape_is_refused() -> None:
    for payload in ({"properties": "text"}, company(name={"first": "x"})):  # type: ignore[arg-type]
        with pytest.raises(LensError):
            COMPANY.read(payload)
    with pytest.raises(LensError, match="lines"):
        DEAL.read({"properties": {}, "line_items": [{"properties": {"name": None}}]})


def test_a_close_date_keeps_its_time_of_day() -> None:
    there = {"properties": {"closedate": "2026-11-23T15:30:00Z"}}
    assert DEAL.write({"close_date": "2026-11-23"}, there) == {}
    assert DEAL.write({"close_date": "2026-12-01"}, there) == {
        "properties": {"closedate": "2026-12-01T15:30:00.000Z"}
    }


def test_a_stage_is_read_and_never_written() -> None:
    there = {"properties": {"dealstage": "contractsent"}}
    assert DEAL.read(there)["stage"] == "open"
    assert DEAL.read({"properties": {"dealstage": "closedwon"}})["stage"] == "won"
    assert DEAL.write({"stage": "won"}, there) == {}
    assert not DEAL.writable("stage")
    assert DEAL.mapped("stage")


def test_a_status_that_means_open_stays() -> None:
    there = {"properties": {"hs_task_status": "IN_PROGRESS"}}
    assert TASK.write({"status": "open"}, there) == {}
    assert TASK.write({"status": "done"}, there) == {"properties": {"hs_task_status": "COMPLETED"}}


def test_a_new_record_gets_the_defaults() -> None:
    patch = TASK.write({"subject": "Call", "kind": "task", "body": None}, None)
    assert patch == {"properties": {"hs_task_type": "TODO", "hs_task_subject": "Call"}}


def test_the_primary_association_is_a_list_of_one() -> None:
    there = {"properties": {}, "associations": {"companies": ["1", "2"]}}
    assert CONTACT.write({"company": "1"}, there) == {}
    assert CONTACT.write({"company": "2"}, there) == {"associations": {"companies": ["2"]}}
    assert CONTACT.write({"company": None}, there) == {"associations": {"companies": []}}


ANN = {"id": "1", "name": "Dr.  Ann Smith", "value": "ann@acme.example", "party": {"id": "2"}}


def test_half_a_name_leaves_the_other_half() -> None:
    assert PERSON.read(ANN)["first_name"] == "Dr. Ann"
    assert PERSON.write({"first_name": "Dr. Ann"}, ANN) == {}
    assert PERSON.write({"last_name": "van der Berg"}, ANN) == {"name": "Dr. Ann van der Berg"}
    assert PERSON.write({"last_name": "García Márquez"}, ANN) == {"name": "García Márquez, Dr. Ann"}


def test_a_new_person_is_an_email_of_the_party() -> None:
    values = {"first_name": "Ann", "last_name": "Smith", "email": "a@b.example", "company": "2"}
    assert PERSON.write(values, None) == {
        "type": "email",
        "name": "Ann Smith",
        "value": "a@b.example",
        "party": {"id": "2"},
    }


PARTY_THERE = {
    "id": "2",
    "name": "ACME",
    "addresses": [{"id": "3", "street": "Hof 2\nMain 5", "country": {"id": "5", "code": "DE"}}],
    "contact_mechanisms": [
        {"id": "1", "type": "email", "value": "ann@acme.example", "name": "Ann"},
        {"id": "2", "type": "email", "value": "info@acme.example", "name": None},
    ],
    "identifiers": [
        {"id": "1", "type": None, "code": "tulay:77"},
        {"id": "2", "type": "de_handelsregisternummer", "code": "Aachen HRA 11223"},
    ],
}


def test_party_items_change_come_and_go() -> None:
    changed = PARTY.write({"email": "office@acme.example", "phone": "+4930123456"}, PARTY_THERE)
    assert changed == {
        "contact_mechanisms": [
            {"id": "2", "value": "office@acme.example"},
            {"type": "phone", "value": "+4930123456"},
        ]
    }
    assert PARTY.write({"email": None}, PARTY_THERE) == {
        "contact_mechanisms": [{"id": "2", "value": None, "remove": True}]
    }


def test_a_street_of_several_lines_stays_one() -> None:
    assert PARTY.read(PARTY_THERE)["address.street"] == "Hof 2, Main 5"
    assert PARTY.write({"address.street": "Hof 2, Main 6"}, PARTY_THERE) == {
        "addresses": [{"id": "3", "street": "Hof 2\nMain 6"}]
    }


def test_an_address_item_refers_to_its_country() -> None:
    new = PARTY.write(
        {"address.city": "Bonn", "address.country": "DE", "address.region": "x"}, None
    )
    assert new == {
        "addresses": [{"city": "Bonn", "country": {"code": "DE"}, "subdivision": {"name": "x"}}]
    }
    assert PARTY.write({"address.country": None}, PARTY_THERE) == {
        "addresses": [{"id": "3", "country": None}]
    }


def test_a_region_is_the_same_by_name_and_by_code() -> None:
    code = COMPANY.read(company(state="CA", country="United States"))
    assert code["address.region"] == "California"
    assert code == COMPANY.read(company(state="california", country="US"))
    assert COMPANY.read(company(state="CA"))["address.region"] == "CA"
    there = {"addresses": [{"id": "3", "country": {"code": "US"}, "subdivision": None}]}
    assert PARTY.write({"address.region": "California"}, there) == {
        "addresses": [{"id": "3", "subdivision": {"name": "California"}}]
    }


def identifiers(*items: tuple[str, str | None, str]) -> dict[str, Any]:
    return {"identifiers": [{"id": i, "type": kind, "code": code} for i, kind, code in items]}


def test_other_numbers_are_no_tax_id() -> None:
    assert PARTY.read(PARTY_THERE)["tax_id"] is None
    assert PARTY.write({"tax_id": "DE136695976"}, PARTY_THERE) == {
        "identifiers": [{"type": "eu_vat", "code": "DE136695976"}]
    }


def test_the_european_vat_number_comes_first() -> None:
    there = identifiers(("1", None, "4711"), ("2", "us_ein", "12-3456789"), ("3", "eu_vat", "NL1"))
    assert PARTY.read(there)["tax_id"] == "NL1"
    assert PARTY.read(identifiers(("1", None, "47-11")))["tax_id"] == "4711"


@pytest.mark.parametrize(
    ("now", "code", "kind"),
    [
        ("eu_vat", "ATU37675002", "eu_vat"),
        ("de_vat", "DE136695976", "de_vat"),
        ("us_ein", "T4711", None),
        (None, "ATU37675002", "eu_vat"),
        (None, "T4711", None),
    ],
)
def test_a_tax_id_gets_a_type_that_accepts_it(now: str | None, code: str, kind: str | None) -> None:
    patch = PARTY.write({"tax_id": code}, identifiers(("9", now, "NL8")))
    assert patch == {"identifiers": [{"id": "9", "type": kind, "code": code}]}


def line(number: str, code: str | None, **values: Any) -> dict[str, Any]:
    product = {"id": f"p{code}", "code": code} if code else None
    return {"id": number, "product": product, "description": None, **values}


SALE_THERE = {
    "id": "1",
    "lines": [
        line("11", "WID-1", quantity="2", unit_price="30"),
        line("12", "WID-1", quantity="1", unit_price="25"),
        line("13", None, description="Freight", quantity="1", unit_price="9"),
    ],
}


def test_a_line_is_changed_by_its_key() -> None:
    values = {"lines[WID-1].quantity": "3", "lines[WID-1#2].unit_price": "25"}
    assert SALE.write(values, SALE_THERE) == {"lines": [{"id": "11", "quantity": "3"}]}
    assert SALE.write({"lines[Freight].unit_price": "8"}, SALE_THERE) == {
        "lines": [{"id": "13", "unit_price": "8"}]
    }


def test_an_empty_line_is_removed() -> None:
    gone = {"product": None, "quantity": None, "unit_price": None}
    values = {f"lines[WID-1#2].{path}": value for path, value in gone.items()}
    assert SALE.write(values, SALE_THERE) == {"lines": [{"id": "12", "remove": True}]}
    alone = {"lines[Freight].description": None}
    assert SALE.write(alone, SALE_THERE) == {"lines": [{"id": "13", "description": None}]}


def test_a_new_line_gets_its_key() -> None:
    values = {"lines[NEW].product": "7", "lines[NEW].quantity": "1"}
    assert SALE.write(values, SALE_THERE) == {
        "lines": [{"product": {"id": "7", "code": "NEW"}, "quantity": "1"}]
    }
    again = SALE.write({"lines[WID-1#3].quantity": "4"}, SALE_THERE)
    assert again == {"lines": [{"quantity": "4", "product": {"code": "WID-1"}}]}


def test_a_line_known_by_name_gets_no_number() -> None:
    values = {"lines[Freight].name": "Freight", "lines[Freight].quantity": "1"}
    assert DEAL.write(values, None)["line_items"] == [
        {"properties": {"name": "Freight", "quantity": "1"}}
    ]


def test_an_item_without_a_key_goes_by_its_id() -> None:
    values = DEAL.read({"line_items": [{"id": "8", "properties": {"quantity": "2"}}]})
    assert values["lines[8].quantity"] == "2"


def test_states_move_by_acts() -> None:
    assert SALE.actions == {"quoted": "quote", "confirmed": "confirm", "cancelled": "cancel"}
    assert not SALE.writable("state")
    assert SALE.references["lines[].product"] == "product.product"
    assert SALE.requires == ("company",)


def test_the_mapping_lists_what_it_covers() -> None:
    assert SALE.writable("lines[X].quantity")
    assert SALE.mapped("lines[X].quantity")
    assert not SALE.mapped("lines[X].colour")
    assert not SALE.mapped("lynes[X].quantity")
    assert TASK.mapped("kind")
    assert not TASK.writable("kind")
    assert (COMPANY.readable("name"), COMPANY.readable("figures.invoiced")) == (True, False)
    assert COMPANY.writable("figures.invoiced")


def test_every_field_read_has_a_line() -> None:
    file, _, line = COMPANY.names["properties.tulay_tax_id"].rpartition(":")
    assert file.endswith("hubspot/company.yaml")
    assert int(line) > 1
    assert {"properties.country", "properties.phone"} <= CONTACT.names.keys()
    assert {"line_items.properties.hs_sku", "line_items.properties.name"} <= DEAL.names.keys()


def test_custom_fields_have_a_type_and_a_label() -> None:
    wanted = {field.name: (field.type, field.label) for field in COMPANY.custom_fields}
    assert wanted["tulay_open_orders"] == ("integer", "Open orders")
    assert wanted["tulay_invoiced"] == ("number", "Invoiced")
    assert wanted["tulay_tax_id"] == ("text", "Tax ID")


def test_a_record_has_a_name_for_people() -> None:
    assert PERSON.describe(PERSON.read(ANN)) == "Smith, Dr. Ann <ann@acme.example>"
    assert COMPANY.describe({"name": None, "domain": "acme.example"}) == "acme.example"
    assert SALE.describe({}) == "Order (no number)"


def test_a_date_is_taken_in_the_files_zone(tmp_path: Any) -> None:
    (tmp_path / "hubspot").mkdir()
    (tmp_path / "hubspot" / "deal.yaml").write_text(
        "entity: opportunity\nstream: deals\nextends: true\nfields:\n"
        "  close_date: {field: properties.closedate, lens: date_of_datetime, zone: Asia/Manila}\n",
        encoding="utf-8",
    )
    deal = next(m for m in load("hubspot", extra=[tmp_path]) if m.stream == "deals")
    there = {"properties": {"closedate": "2026-11-22T16:00:00Z"}}
    assert deal.read(there)["close_date"] == "2026-11-23"
    assert deal.write({"close_date": "2026-11-24"}, there) == {
        "properties": {"closedate": "2026-11-23T16:00:00.000Z"}
    }


@pytest.mark.parametrize(
    ("unknown", "expected"), [("keep", "Middle Earth"), ("blank", None)], ids=["keep", "blank"]
)
def test_a_file_decides_about_unknown_values(
    tmp_path: Any, unknown: str, expected: str | None
) -> None:
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme" / "a.yaml").write_text(
        "entity: company\nstream: a\n"
        f"fields: {{address.country: {{field: c, unknown: {unknown}}}}}\n",
        encoding="utf-8",
    )
    (mapping,) = load("acme", extra=[tmp_path])
    assert mapping.read({"c": "Middle Earth"})["address.country"] == expected
