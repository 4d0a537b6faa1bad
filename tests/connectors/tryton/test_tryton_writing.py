"""Writing to a real Tryton: batches, refusals, stale versions, finding what was created."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from connectors.kit.budget import Budget
from connectors.kit.contract import Action, Create, Delete, Outcome, Update
from connectors.kit.errors import (
    CredentialsError,
    RecordMissingError,
    RecordRejectedError,
    RecordStaleError,
    UnavailableError,
)
from connectors.tryton.client import TrytonClient
from connectors.tryton.connector import TrytonConnector
from connectors.tryton.office import Office
from connectors.tryton.sandbox import Sandbox


def test_one_bad_row_does_not_sink_the_others(connector: TrytonConnector) -> None:
    bad = {"name": "Bad", "identifiers": [{"type": "eu_vat", "code": "BE1"}]}
    unknown = {"name": "Lost", "addresses": [{"country": {"code": "ZZ"}}]}
    payloads = [{"name": "A"}, bad, {"name": "B"}, unknown, {"name": "C"}]
    outcomes = connector.write(
        "party.party", [Create(f"row-{n}", payload) for n, payload in enumerate(payloads)]
    )
    assert [outcome.error is None for outcome in outcomes] == [True, False, True, False, True]
    assert isinstance(outcomes[1].error, RecordRejectedError)
    assert "BE1" in str(outcomes[1].error)
    assert isinstance(outcomes[3].error, RecordRejectedError)
    assert outcomes[3].error.fields == {
        "country": "Tryton has no country with this code: add it there, or change it"
    }
    found = connector.find("party.party", [f"row-{n}" for n in range(5)])
    assert {once: record.payload["name"] for once, record in found.items()} == {
        "row-0": "A",
        "row-2": "B",
        "row-4": "C",
    }
    assert found["row-2"].key == outcomes[2].key


def test_a_created_record_is_found_by_hub_id(connector: TrytonConnector, users: Any) -> None:
    party = users.party("Findable")
    contact = users.create(
        "party.contact_mechanism",
        {"value": "f@x.example", "name": "Fin", "party": {"id": party.key}},
        once="contact-1",
    )
    sale = users.sale(party.key, ("GAD-1", "1", "12.5"), once="sale-1")
    users.update(sale, "sale.sale", reference="PO 4711")
    assert connector.find("party.contact_mechanism", ["contact-1"])["contact-1"].key == contact.key
    found = connector.find("sale.sale", ["sale-1", "sale-2"])
    assert list(found) == ["sale-1"]
    assert found["sale-1"].payload["reference"] == "PO 4711"
    assert connector.find("party.party", ["never"]) == {}
    assert connector.find("product.product", ["any"]) == {}


def test_lists_are_patched_item_by_item(users: Any) -> None:
    party = users.party("Patchwork")
    (address,) = party.payload["addresses"]
    (mail,) = party.payload["contact_mechanisms"]
    changed = users.update(
        party,
        "party.party",
        name="Patchwork Ltd",
        addresses=[
            {"id": address["id"], "city": "Kiel", "country": {"code": "DK"}},
            {"street": "Second St 2", "city": "Lübeck"},
        ],
        contact_mechanisms=[{"id": mail["id"], "remove": True}],
    )
    assert changed.payload["name"] == "Patchwork Ltd"
    cities = {item["city"]: item for item in changed.payload["addresses"]}
    assert set(cities) == {"Kiel", "Lübeck"}
    assert cities["Kiel"]["id"] == address["id"]
    assert cities["Kiel"]["country"]["code"] == "DK"
    assert cities["Kiel"]["street"] == address["street"]
    assert changed.payload["contact_mechanisms"] == []
    assert changed.external_id == party.external_id


def test_a_bad_update_leaves_the_batch(connector: TrytonConnector, users: Any) -> None:
    """Different updates go together, and a bad one is taken out."""
    good, bad, other = (users.party(name) for name in ("Good", "Bad", "Other"))
    vat = [{"type": "eu_vat", "code": "wrong"}]
    outcomes = connector.write(
        "party.party",
        [
            Update(good.key, {"name": "Good 2"}, good.version),
            Update(bad.key, {"identifiers": vat}, bad.version),
            Update(other.key, {"name": "Other 2", "active": False}, other.version),
            Update("999999", {"name": "Nobody"}, None),
            Update(good.key, {}, None),
        ],
    )
    errors = [type(outcome.error) for outcome in outcomes]
    nothing = type(None)
    assert errors == [nothing, RecordRejectedError, nothing, RecordMissingError, nothing]
    assert users.read("party.party", good.key).payload["name"] == "Good 2"
    assert users.read("party.party", bad.key).version == bad.version
    assert users.read("party.party", other.key).payload["active"] is False


def test_a_stale_write_is_refused(users: Any, office: Office) -> None:
    party = users.party("Contested")
    office.change("party.party", party.key, {"name": "Theirs"})
    with pytest.raises(RecordStaleError):
        users.update(party, "party.party", name="Ours")
    assert users.read("party.party", party.key).payload["name"] == "Theirs"


def test_a_changed_part_makes_a_write_stale(users: Any, office: Office) -> None:
    party = users.party("Parted")
    address = party.payload["addresses"][0]["id"]
    office.change("party.address", address, {"city": "Theirs"})
    with pytest.raises(RecordStaleError):
        users.update(party, "party.party", addresses=[{"id": address, "city": "Ours"}])
    assert users.read("party.party", party.key).payload["addresses"][0]["city"] == "Theirs"


def test_the_server_refuses_a_last_moment_change(
    connector: TrytonConnector, users: Any, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    party = users.party("Race")
    reader = connector._reader
    current = reader.rows

    def overtaken(*args: Any) -> Any:
        rows = current(*args)
        office.change("party.party", party.key, {"name": "Theirs"})
        return rows

    monkeypatch.setattr(reader, "rows", overtaken)
    with pytest.raises(RecordStaleError):
        users.update(party, "party.party", name="Ours")


def test_a_missing_item_is_refused(users: Any) -> None:
    one, two = users.party("One"), users.party("Two")
    foreign = two.payload["addresses"][0]["id"]
    with pytest.raises(RecordRejectedError, match="read it again"):
        users.update(one, "party.party", addresses=[{"id": foreign, "city": "Stolen"}])


@pytest.mark.parametrize(
    ("patch", "field"),
    [
        ({"nonsense": "x"}, "nonsense"),
        ({"name": {"no": "scalar"}}, "name"),
        ({"active": "x", "addresses": "none"}, "addresses"),
        ({"addresses": [{"country": "DE"}]}, "country"),
        ({"addresses": [{"country": {"id": "DE"}}]}, "country"),
    ],
)
def test_a_senseless_patch_names_the_field(users: Any, patch: dict[str, Any], field: str) -> None:
    party = users.party("Sense")
    with pytest.raises(RecordRejectedError) as caught:
        users.update(party, "party.party", **patch)
    assert list(caught.value.fields) == [field]


def test_computed_fields_cannot_be_written(users: Any) -> None:
    party = users.party("Computed")
    sale = users.sale(party.key, ("GAD-1", "1", "12.5"))
    with pytest.raises(RecordRejectedError, match="cannot be written"):
        users.update(sale, "sale.sale", total_amount="1")


def test_deleting_a_contact_archives_it(
    connector: TrytonConnector, users: Any, client: TrytonClient
) -> None:
    party = users.party("Farewell")
    values = {"value": "bye@x.example", "name": "Bye", "party": {"id": party.key}}
    contact = users.create("party.contact_mechanism", values)
    users.write("party.contact_mechanism", Delete(contact.key, contact.version))
    assert connector.fetch("party.contact_mechanism", [contact.key]).gone == [contact.key]
    domain = [["id", "=", int(contact.key)]]
    (row,) = client.search_read("party.contact_mechanism", domain, ["active", "value"])
    assert (bool(row["active"]), row["value"]) == (False, "bye@x.example")


def test_a_party_is_archived_never_deleted(users: Any) -> None:
    party = users.party("Staying")
    with pytest.raises(RecordRejectedError):
        users.write("party.party", Delete(party.key, None))
    assert users.update(party, "party.party", active=False).payload["active"] is False


def test_a_create_is_not_repeated(connector: TrytonConnector, users: Any) -> None:
    first = users.create("party.party", {"name": "Once"}, once="once-only")
    (outcome,) = connector.write("party.party", [Create("once-only", {"name": "Once"})])
    assert outcome.key == first.key


def test_a_product_is_changed_on_both_its_halves(users: Any) -> None:
    products = {record.payload["code"]: record for record in users.all("product.product").values()}
    part = products["CMP-2"]
    changed = users.update(
        part, "product.product", name="Housing, grey", list_price="9.25", description="Die cast"
    )
    assert changed.payload["name"] == "Housing, grey"
    assert changed.payload["list_price"] == "9.25"
    assert changed.payload["description"] == "Die cast"
    with pytest.raises(RecordStaleError):
        users.update(part, "product.product", name="Too late")


def test_products_are_not_created_from_outside(connector: TrytonConnector) -> None:
    (outcome,) = connector.write("product.product", [Create("p", {"name": "New"})])
    assert isinstance(outcome.error, RecordRejectedError)


def test_invoices_are_not_changed_from_outside(connector: TrytonConnector) -> None:
    (outcome,) = connector.write("account.invoice", [Update("1", {"number": "9"}, None)])
    assert isinstance(outcome.error, RecordMissingError | RecordRejectedError)


def test_an_order_needs_a_party_with_an_address(users: Any) -> None:
    party = users.create("party.party", {"name": "Homeless"})
    with pytest.raises(RecordRejectedError, match="has no address: give it one") as caught:
        users.sale(party.key, ("GAD-1", "1", "12.5"))
    assert "invoice_address" in caught.value.fields


def test_an_order_without_party_is_refused(connector: TrytonConnector) -> None:
    (outcome,) = connector.write("sale.sale", [Create("x", {"lines": []})])
    assert isinstance(outcome.error, RecordRejectedError)


def test_lines_of_a_draft_change_come_and_go(users: Any) -> None:
    party = users.party("Liner")
    sale = users.sale(party.key, ("GAD-1", "1", "10"), ("WID-1", "2", "30"))
    gadget, widget = sale.payload["lines"]
    changed = users.update(
        sale,
        "sale.sale",
        lines=[
            {"id": gadget["id"], "quantity": "3"},
            {"id": widget["id"], "remove": True},
            {"product": {"code": "WID-2"}, "quantity": "1"},
        ],
    )
    assert [
        (line["product"]["code"], line["quantity"], line["unit_price"])
        for line in changed.payload["lines"]
    ] == [("GAD-1", "3", "10"), ("WID-2", "1", "79.9")]
    assert changed.payload["untaxed_amount"] == "109.9"
    assert changed.payload["tax_amount"] == "21.98"
    assert changed.external_id == sale.external_id


def test_an_impossible_action_is_refused(connector: TrytonConnector, users: Any) -> None:
    party = users.party("Actor")
    sale = users.sale(party.key, ("GAD-1", "1", "10"))
    outcomes = connector.write(
        "sale.sale",
        [
            Action(sale.key, "confirm", None),
            Action(sale.key, "explode", None),
            Action(sale.key, "quote", sale.version),
            Action(sale.key, "quote", None),
            Action(sale.key, "cancel", sale.version),
        ],
    )
    errors = [type(outcome.error) for outcome in outcomes]
    nothing = type(None)
    refused = RecordRejectedError
    assert errors == [refused, refused, nothing, nothing, RecordStaleError]
    assert users.read("sale.sale", sale.key).payload["state"] == "quotation"


def test_an_unconfirmable_sale_stops_no_other(connector: TrytonConnector, users: Any) -> None:
    """A sale that cannot be confirmed does not stop the others."""
    party = users.party("Many")
    sales = [users.sale(party.key, ("GAD-1", "1", "10")).key for _ in range(4)]
    for key in (sales[0], sales[1], sales[3]):
        users.act(key, "quote")
    outcomes = connector.write("sale.sale", [Action(key, "confirm", None) for key in sales])
    refused = [isinstance(outcome.error, RecordRejectedError) for outcome in outcomes]
    assert refused == [False, False, True, False]
    states = [users.read("sale.sale", key).payload["state"] for key in sales]
    assert states == ["processing", "processing", "draft", "processing"]


def test_a_server_that_is_down_deletes_nothing(tryton: Sandbox) -> None:
    """Nothing is reported as gone while the server is down."""
    down = {**tryton.settings(), "url": "http://127.0.0.1:9"}
    connector = TrytonConnector(down, Budget(1000, 1.0))
    writes = [Create("x", {"name": "X"}), Update("1", {"name": "Y"}, None), Delete("1", None)]
    with pytest.raises(UnavailableError):
        connector.write("party.party", writes)
    connector.close()


def test_a_session_the_server_ended_is_reopened(tryton: Sandbox) -> None:
    connector = TrytonConnector(tryton.settings(), Budget(1000, 1.0))
    next(connector.pages("product.product", None))
    session = connector._client._rpc._session
    connector._client.logout()
    connector._client._rpc._session = session  # the client does not know that it ended
    (outcome,) = connector.write("party.party", [Create("again", {"name": "Again"})])
    assert outcome.error is None
    connector.close()


def test_parallel_writers_do_not_sink_each_other(connector: TrytonConnector) -> None:
    def write(writer: int) -> list[Outcome]:
        writes = [Create(f"w{writer}-{n}", {"name": f"Twin {n}"}) for n in range(5)]
        return list(connector.write("party.party", writes))

    with ThreadPoolExecutor(4) as pool:
        outcomes = [each for found in pool.map(write, range(4)) for each in found]
    assert [outcome.error for outcome in outcomes] == [None] * 20
    assert len({outcome.key for outcome in outcomes}) == 20


def test_a_wrong_password_needs_a_person(tryton: Sandbox) -> None:
    connector = TrytonConnector({**tryton.settings(), "password": "wrong"}, Budget(1000, 1.0))
    with pytest.raises(CredentialsError, match="check login and password"):
        connector.check()
    connector.close()


def test_an_unreachable_server_leaves_it_in_doubt() -> None:
    away = {"url": "http://127.0.0.1:9", "database": "x", "login": "x", "password": "x"}
    budget = Budget(1000, 1.0, sleep=lambda seconds: None)
    connector = TrytonConnector(away, budget)
    with pytest.raises(UnavailableError):
        connector.write("party.party", [Create("a", {"name": "A"}), Create("b", {"name": "B"})])
    connector.close()
