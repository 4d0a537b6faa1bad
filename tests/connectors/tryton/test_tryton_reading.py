"""Reading a real Tryton: whole streams, increments, single keys, sweeps, merges, fields."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from connectors.kit.budget import Budget
from connectors.kit.contract import Delete, Merge, Record
from connectors.kit.errors import ContractError, CredentialsError, CursorExpiredError
from connectors.kit.manifest import read_manifest
from connectors.tryton import connector as module
from connectors.tryton.client import TrytonClient
from connectors.tryton.connector import TrytonConnector
from connectors.tryton.office import Office
from connectors.tryton.sandbox import Sandbox
from connectors.tryton.stream_models import STREAMS

Mark = Callable[[str], Callable[[], dict[str, Record]]]


def test_the_connection_is_found_healthy(connector: TrytonConnector) -> None:
    findings = connector.check()
    assert {finding.level for finding in findings} == {"ok"}
    assert len(findings) == 1 + len(STREAMS)


def test_missing_rights_are_named(
    tryton: Sandbox, office: Office, client: TrytonClient, users: Any
) -> None:
    sale = users.sale(users.party().key, ("GAD-1", "1", "12"))
    for action in ("quote", "confirm"):
        users.act(sale.key, action)  # so that there is an invoice
    groups = client.search("res.group", [["name", "in", ["Sales", "Stock"]]])
    (company,) = client.search("company.company", [])
    secret = "Quite-long-42"
    office.create(
        "res.user",
        {
            "name": "Seller",
            "login": "seller",
            "password": secret,
            "companies": [["add", [company]]],
            "company": company,
            "groups": [["add", groups]],
        },
    )
    limited = TrytonConnector(
        {**tryton.settings(), "login": "seller", "password": secret}, Budget(1000, 1.0)
    )
    found = {finding.what.partition(":")[0]: finding for finding in limited.check()}
    assert found["sale.sale"].level == "ok"
    assert found["product.product"].level == "warning"
    assert found["account.invoice"].level == "error"
    assert "account.move.line" in found["account.invoice"].what
    with pytest.raises(CredentialsError, match="may not read account"):
        next(limited.pages("account.invoice", None))
    limited.close()


def test_the_manifest_matches_the_streams() -> None:
    facts = read_manifest(Path(str(module.__file__)).with_name("manifest.yaml"))
    assert set(facts.streams) == set(STREAMS)
    for name, stream in STREAMS.items():
        claimed = facts.streams[name]
        assert claimed.create == stream.create
        assert claimed.update == stream.update
        assert claimed.delete == stream.archive
        assert set(claimed.actions) == set(stream.actions)
        assert (claimed.once or "") == stream.once


@pytest.mark.parametrize("stream", STREAMS)
def test_every_field_of_a_payload_is_described(
    connector: TrytonConnector, users: Any, stream: str
) -> None:
    described = connector.describe(stream).fields
    for record in users.all(stream).values():
        for name, value in record.payload.items():
            assert name in described
            for item in value if isinstance(value, list) else []:
                assert {f"{name}.{inner}" for inner in item} <= set(described)
    assert described["id"].writable is False


def test_live_fields_have_types_and_options(connector: TrytonConnector) -> None:
    sale = connector.describe("sale.sale").fields
    assert sale["state"].type == "enum"
    assert {"draft", "quotation", "processing"} <= set(sale["state"].options)
    assert sale["state"].writable is False
    assert sale["lines.quantity"].type == "number"
    assert connector.describe("party.party").fields["addresses.country.code"].writable
    assert connector.describe("account.invoice").fields["due_date"].type == "date"


def test_a_party_is_read_with_all_its_parts(users: Any) -> None:
    record = users.create(
        "party.party",
        {
            "name": "Jürgens & Söhne",
            "addresses": [
                {
                    "street": "Hauptstr. 5\nHof",
                    "postal_code": "80331",
                    "city": "München",
                    "country": {"code": "DE"},
                    "subdivision": {"code": "DE-BY"},
                }
            ],
            "contact_mechanisms": [{"type": "phone", "value": "+49 89 123456"}],
            "identifiers": [{"type": "eu_vat", "code": "DE136695976"}],
        },
        once="7d6c",
    )
    (address,) = record.payload["addresses"]
    assert address["street"] == "Hauptstr. 5\nHof"
    assert address["country"]["code"] == "DE"
    assert address["subdivision"] == {
        "id": address["subdivision"]["id"],
        "code": "DE-BY",
        "name": "Bayern",
    }
    (phone,) = record.payload["contact_mechanisms"]
    assert phone["type"] == "phone"
    (vat,) = record.payload["identifiers"]
    assert (vat["type"], vat["code"]) == ("eu_vat", "DE136695976")
    assert record.payload["active"] is True
    assert record.external_id == "7d6c"
    assert record.modified_at is not None


def test_the_own_company_is_no_party(
    connector: TrytonConnector, users: Any, client: TrytonClient
) -> None:
    (company,) = client.search_read("company.company", [], ["party"])
    own = str(company["party"])
    assert own not in users.all("party.party")
    assert own not in {key for portion in connector.keys("party.party") for key in portion}
    assert connector.fetch("party.party", [own]).gone == [own]


def test_products_are_flattened(users: Any) -> None:
    products = {
        record.payload["code"]: record.payload for record in users.all("product.product").values()
    }
    widget = products["WID-2"]
    assert widget["name"] == "Widget de luxe"
    assert (widget["list_price"], widget["cost_price"]) == ("79.9", "41.5")
    assert widget["active"] is True


def test_an_aborted_full_read_resumes(tryton: Sandbox, users: Any) -> None:
    for number in range(5):
        users.party(f"Party {number}")
    small = TrytonConnector({**tryton.settings(), "page_size": 2}, Budget(1000, 1.0))
    whole = [key for page in small.pages("party.party", None) for key in _keys(page.records)]
    first = next(small.pages("party.party", None))
    rest = [key for page in small.pages("party.party", first.cursor) for key in _keys(page.records)]
    assert first.total == len(whole) == len(set(whole))
    assert sorted([*_keys(first.records), *rest]) == sorted(whole)
    *_, last = small.pages("party.party", first.cursor)
    assert last.cursor is not None
    small.close()


def _keys(records: Any) -> list[str]:
    return [record.key for record in records]


def test_unchanged_records_are_not_read_again(mark: Mark, users: Any) -> None:
    users.party("Quiet")
    changed = mark("party.party")
    assert changed() == {}


def test_an_edit_of_an_address_alone_is_noticed(mark: Mark, users: Any, office: Office) -> None:
    party = users.party("Mover")
    other = users.party("Stayer")
    changed = mark("party.party")
    office.change("party.address", party.payload["addresses"][0]["id"], {"city": "Hamburg"})
    found = changed()
    assert found[party.key].payload["addresses"][0]["city"] == "Hamburg"
    assert found[party.key].version != party.version
    assert found[party.key].modified_at > party.modified_at
    assert other.key not in found


@pytest.mark.parametrize(
    ("model", "name"),
    [("party.contact_mechanism", "contact_mechanisms"), ("party.address", "addresses")],
)
def test_archived_and_added_parts_are_noticed(
    mark: Mark, users: Any, office: Office, model: str, name: str
) -> None:
    shrinking, growing = users.party("Shrinking"), users.party("Growing")
    changed = mark("party.party")
    office.change(model, shrinking.payload[name][0]["id"], {"active": False})
    values = {"city": "Bonn"} if model == "party.address" else {"type": "email", "value": "b@c.de"}
    office.create(model, {"party": int(growing.key), **values})
    found = changed()
    assert found[shrinking.key].payload[name] == []
    assert len(found[growing.key].payload[name]) == 2


def test_a_price_change_on_a_template_is_noticed(
    mark: Mark, users: Any, client: TrytonClient, office: Office
) -> None:
    (row,) = client.search_read("product.product", [["code", "=", "GAD-2"]], ["template"])
    changed = mark("product.product")
    price = {"__class__": "Decimal", "decimal": "20.95"}
    office.change("product.template", str(row["template"]), {"list_price": price})
    assert changed()[str(row["id"])].payload["list_price"] == "20.95"


def test_an_archived_party_is_read_as_inactive(mark: Mark, users: Any, office: Office) -> None:
    party = users.party("Sleeper")
    changed = mark("party.party")
    office.change("party.party", party.key, {"active": False})
    assert changed()[party.key].payload["active"] is False
    assert users.all("party.party")[party.key].payload["active"] is False


def test_contacts_are_mail_addresses_of_persons(
    connector: TrytonConnector, mark: Mark, users: Any, office: Office
) -> None:
    party = users.party("Firm")
    ann = users.create(
        "party.contact_mechanism",
        {"value": "ann@acme.example", "name": "Ann Lee", "party": {"id": party.key}},
    )
    assert ann.payload["type"] == "email"
    assert ann.payload["party"] == {"id": party.key}
    nameless = party.payload["contact_mechanisms"][0]["id"]
    assert nameless not in users.all("party.contact_mechanism")
    *_, last = connector.pages("party.contact_mechanism", None)
    office.change("party.contact_mechanism", ann.key, {"name": None})
    pages = list(connector.pages("party.contact_mechanism", last.cursor))
    assert ann.key in {key for page in pages for key in page.gone}
    assert connector.fetch("party.contact_mechanism", [ann.key]).gone == [ann.key]


def test_missing_keys_do_not_sink_the_others(connector: TrytonConnector, users: Any) -> None:
    party = users.party("There")
    page = connector.fetch("party.party", ["999999", party.key, "nonsense"])
    assert [record.key for record in page.records] == [party.key]
    assert sorted(page.gone) == ["999999", "nonsense"]


def test_a_deleted_party_is_missing_in_the_sweep(
    connector: TrytonConnector, users: Any, office: Office
) -> None:
    party = users.party("Mistake")
    office.delete("party.party", party.key)
    swept = [key for portion in connector.keys("party.party") for key in portion]
    assert party.key not in swept
    assert sorted(swept) == sorted(users.all("party.party"))


def test_a_merged_party_leads_to_the_survivor(
    connector: TrytonConnector, users: Any, office: Office
) -> None:
    double, survivor = users.party("Double"), users.party("Survivor")
    *_, last = connector.pages("party.party", None)
    office.replace(double.key, by=survivor.key)
    page = connector.fetch("party.party", [double.key])
    assert page.merges == [Merge(double.key, survivor.key)]
    assert [record.key for record in page.records] == [survivor.key]
    assert page.gone == []
    pages = list(connector.pages("party.party", last.cursor))
    assert Merge(double.key, survivor.key) in [each for found in pages for each in found.merges]
    assert double.key not in users.all("party.party")


def test_a_foreign_cursor_starts_again(connector: TrytonConnector) -> None:
    for cursor in ("gibberish", "{}", "[]", '{"from": "yesterday"}'):
        with pytest.raises(CursorExpiredError):
            next(connector.pages("party.party", cursor))


def test_an_unknown_stream_is_refused(connector: TrytonConnector) -> None:
    with pytest.raises(ContractError, match="no stream"):
        connector.fetch("res.user", ["1"])
    with pytest.raises(ContractError, match="no stream"):
        connector.write("res.user", [Delete("1", None)])


@pytest.mark.parametrize(
    ("model", "field"),
    [
        ("party.address", "addresses"),
        ("party.contact_mechanism", "contact_mechanisms"),
        ("party.identifier", "identifiers"),
    ],
)
def test_the_deletion_of_a_part_is_noticed(
    users: Any, office: Office, mark: Mark, model: str, field: str
) -> None:
    party = users.party(identifiers=[{"type": None, "code": "4711"}])
    users.party("Bystander")
    since = mark("party.party")
    assert since() == {}
    (part,) = party.payload[field]
    office.delete(model, part["id"])
    assert since()[party.key].payload[field] == []


def test_the_deletion_of_a_line_is_noticed(users: Any, office: Office, mark: Mark) -> None:
    sale = users.sale(users.party().key, ("WID-1", "2", "30"), ("GAD-1", "1", "12"))
    since = mark("sale.sale")
    office.delete("sale.line", sale.payload["lines"][0]["id"])
    (line,) = since()[sale.key].payload["lines"]
    assert line["product"]["code"] == "GAD-1"


def test_the_deletion_of_a_phone_is_noticed(users: Any, office: Office, mark: Mark) -> None:
    phone = {"type": "phone", "value": "+49 30 1234567"}
    values = {"value": "ann@acme.example", "name": "Ann", "party": {"id": users.party().key}}
    contact = users.create("party.contact_mechanism", {**values, "phones": [phone]})
    since = mark("party.contact_mechanism")
    office.delete("party.contact_mechanism", contact.payload["phones"][0]["id"])
    assert since()[contact.key].payload["phones"] == []
