"""From a quotation to the payment, in a real Tryton."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.kit.contract import Record
from connectors.tryton.client import TrytonClient
from connectors.tryton.office import Office
from connectors.tryton.wire_values import to_wire

Mark = Callable[[str], Callable[[], dict[str, Record]]]


def of_sale(records: dict[str, Record], sale: str) -> list[Record]:
    return [
        record
        for record in records.values()
        if {"id": sale} in (record.payload.get("sales") or [record.payload.get("sale")])
    ]


def test_an_order_is_shipped_invoiced_and_paid(users: Any, office: Office, mark: Mark) -> None:
    party = users.party("Buyer")
    sale = users.sale(party.key, ("WID-1", "2", "30"), ("GAD-1", "4", "12.5"), once="o2c")
    assert sale.payload["state"] == "draft"
    assert sale.payload["currency"]["code"] == "EUR"
    assert sale.payload["total_amount"] == "132"
    assert sale.payload["tax_amount"] == "22"
    assert sale.external_id == "o2c"
    assert sale.payload["reference"] is None

    users.act(sale.key, "quote")
    quoted = users.read("sale.sale", sale.key)
    assert quoted.payload["state"] == "quotation"
    assert quoted.payload["number"]
    users.act(sale.key, "confirm")
    confirmed = users.read("sale.sale", sale.key)
    assert confirmed.payload["state"] == "processing"
    assert confirmed.payload["sale_date"] is not None

    (production,) = of_sale(users.all("production"), sale.key)
    assert production.payload["product"]["code"] == "WID-1"
    assert production.payload["quantity"] == "2"
    (shipment,) = of_sale(users.all("stock.shipment.out"), sale.key)
    assert shipment.payload["customer"] == {"id": party.key}
    (invoice,) = of_sale(users.all("account.invoice"), sale.key)
    assert (invoice.payload["state"], invoice.payload["amount_paid"]) == ("draft", "0")

    moved = {stream: mark(stream) for stream in ("production", "stock.shipment.out", "sale.sale")}
    office.make(sale.key)
    office.ship(sale.key)
    assert moved["production"]()[production.key].payload["state"] == "done"
    shipped = moved["stock.shipment.out"]()[shipment.key].payload
    assert shipped["state"] == "done"
    assert shipped["effective_date"] is not None
    assert moved["sale.sale"]()[sale.key].payload["shipment_state"] == "sent"

    office.bill(sale.key)
    posted = users.read("account.invoice", invoice.key).payload
    due = datetime.now(UTC).date() + timedelta(days=30)
    assert (posted["state"], posted["total_amount"]) == ("posted", "132")
    assert posted["amount_paid"] == "0"
    assert posted["number"]
    assert abs(datetime.fromisoformat(posted["due_date"]).date() - due) <= timedelta(days=1)

    paid = mark("account.invoice")
    office.receive(invoice.key, "32")
    partly = paid()[invoice.key]
    assert (partly.payload["state"], partly.payload["amount_paid"]) == ("posted", "32")
    paid, sold = mark("account.invoice"), mark("sale.sale")
    office.receive(invoice.key, "100")
    wholly = paid()[invoice.key]
    assert (wholly.payload["state"], wholly.payload["amount_paid"]) == ("paid", "132")
    assert len({each.version for each in (invoice, partly, wholly)}) == 3
    done = sold()[sale.key].payload
    assert (done["invoice_state"], done["state"]) == ("paid", "done")


def test_a_payment_is_read_with_its_invoice(
    users: Any, office: Office, client: TrytonClient
) -> None:
    party = users.party("Payer")
    sale = users.sale(party.key, ("GAD-1", "2", "50"))
    users.act(sale.key, "quote")
    users.act(sale.key, "confirm")
    (invoice,) = office.bill(sale.key)
    (row,) = client.search_read("account.invoice", [["id", "=", int(invoice)]], ["lines_to_pay"])
    (journal,) = client.search("account.payment.journal", [])
    key = office.create(
        "account.payment",
        {
            "kind": "receivable",
            "journal": journal,
            "party": int(party.key),
            "line": row["lines_to_pay"][0],
            "amount": to_wire("120", "numeric"),
            "date": to_wire(datetime.now(UTC).date().isoformat(), "date"),
            "reference": "Transfer 7",
        },
    )
    payload = users.read("account.payment", key).payload
    assert payload["invoice"] == {"id": invoice}
    assert payload["party"] == {"id": party.key}
    assert (payload["amount"], payload["currency"]["code"]) == ("120", "EUR")
    assert (payload["state"], payload["reference"]) == ("draft", "Transfer 7")


def test_the_partys_own_terms_win(users: Any, client: TrytonClient, office: Office) -> None:
    party = users.party("Special")
    (term,) = client.search("account.invoice.payment_term", [["name", "=", "Net 10 days"]])
    office.change("party.party", party.key, {"customer_payment_term": term})
    own = users.sale(party.key, ("GAD-1", "1", "10"))
    usual = users.sale(users.party("Usual").key, ("GAD-1", "1", "10"))
    rows = client.search_read(
        "sale.sale", [["id", "in", [int(own.key), int(usual.key)]]], ["payment_term.name"]
    )
    assert [row["payment_term."]["name"] for row in rows] == ["Net 10 days", "30 days"]


def test_without_a_price_the_list_price_applies(users: Any) -> None:
    party = users.party("Lister")
    items = [{"product": {"code": "WID-1"}, "quantity": "3", "description": "As talked about"}]
    sale = users.create("sale.sale", {"party": {"id": party.key}, "lines": items})
    (line,) = sale.payload["lines"]
    assert line["unit_price"] == "30"
    assert line["description"] == "As talked about"
    assert sale.payload["total_amount"] == "108"


def test_an_order_is_cancelled(users: Any) -> None:
    sale = users.sale(users.party("Quitter").key, ("GAD-1", "1", "10"))
    users.act(sale.key, "quote")
    users.act(sale.key, "cancel")
    assert users.read("sale.sale", sale.key).payload["state"] == "cancelled"
    users.act(sale.key, "draft")
    assert users.read("sale.sale", sale.key).payload["state"] == "draft"
