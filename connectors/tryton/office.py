"""The work of ERP users: make, ship, bill, get paid. For demos and tests.

Presses the same buttons over JSON-RPC that Tryton's own client does; the product never uses it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from connectors.tryton.client import TrytonClient
from connectors.tryton.wire_values import to_wire

MAKE = ("draft", "wait", "assign_try", "run", "do")
SHIP = ("wait", "assign_try", "pick", "pack", "ship", "do")


class Office:
    """The users of the ERP."""

    def __init__(self, client: TrytonClient) -> None:
        self._client = client

    def press(self, model: str, key: str, *buttons: str) -> None:
        """Presses buttons of a record, one after the other."""
        if self._client.series().startswith("7."):
            # quirk(tryton): 7.0 calls the last button so, and a packed shipment is done at once.
            # Source: its production.py and shipment.py
            buttons = tuple("done" if each == "do" else each for each in buttons if each != "ship")
        for button in buttons:
            self._client.call(f"model.{model}.{button}", [int(key)])

    def change(self, model: str, key: str, values: Mapping[str, Any]) -> None:
        """Changes a record by hand."""
        self._client.call(f"model.{model}.write", [int(key)], dict(values))

    def create(self, model: str, values: Mapping[str, Any]) -> str:
        """Enters a record by hand and returns its key."""
        (key,) = self._client.call(f"model.{model}.create", [dict(values)])
        return str(key)

    def delete(self, model: str, key: str) -> None:
        """Deletes a record for good."""
        self._client.call(f"model.{model}.delete", [int(key)])

    def make(self, sale: str) -> list[str]:
        """Makes everything that a sale has ordered; returns the productions' keys."""
        lines = self._client.search("sale.line", [["sale", "=", int(sale)]])
        origins = [f"sale.line,{line}" for line in lines]
        found = self._client.search("production", [["origin", "in", origins]])
        for key in found:
            self.press("production", str(key), *MAKE)
        return [str(key) for key in found]

    def ship(self, sale: str) -> list[str]:
        """Ships everything of a sale; returns the shipments' keys."""
        found = self._related(sale, "shipments")
        for key in found:
            self.press("stock.shipment.out", key, *SHIP)
        return found

    def bill(self, sale: str) -> list[str]:
        """Posts the invoices of a sale with today's date; returns their keys."""
        found = self._related(sale, "invoices")
        for key in found:
            self.change("account.invoice", key, {"invoice_date": _today()})
            self.press("account.invoice", key, "post")
        return found

    def receive(self, invoice: str, amount: str) -> None:
        """Books cash for an invoice; less than what is open is a part payment."""
        fields = ["party", "currency"]
        (row,) = self._client.call("model.account.invoice.read", [int(invoice)], fields)
        (method, *_) = self._client.search("account.invoice.payment.method", [])
        start = {
            "payee": row["party"],
            "currency": row["currency"],
            "amount": to_wire(amount, "numeric"),
            "payment_method": method,
            "date": _today(),
        }
        about = {
            "active_model": "account.invoice",
            "active_id": int(invoice),
            "active_ids": [int(invoice)],
        }
        wizard = "wizard.account.invoice.pay"
        session = self._client.call(f"{wizard}.create", context=about)[0]
        data = {"start": start, "ask": {"type": "partial"}}
        self._client.call(f"{wizard}.execute", session, data, "pay", context=about)
        self._client.call(f"{wizard}.delete", session, context=about)

    def replace(self, party: str, by: str) -> None:
        """Merges a party into another one."""
        about = {"active_model": "party.party", "active_id": int(party), "active_ids": [int(party)]}
        wizard = "wizard.party.replace"
        session = self._client.call(f"{wizard}.create", context=about)[0]
        data = {"ask": {"source": int(party), "destination": int(by)}}
        self._client.call(f"{wizard}.execute", session, data, "replace", context=about)
        self._client.call(f"{wizard}.delete", session, context=about)

    def _related(self, sale: str, name: str) -> list[str]:
        (row,) = self._client.call("model.sale.sale.read", [int(sale)], [name])
        return [str(key) for key in row[name]]


def _today() -> Any:
    return to_wire(datetime.now(UTC).date().isoformat(), "date")
