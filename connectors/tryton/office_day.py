"""A day's work of the ERP users, many records at a time: for the demo and scenarios.

Enters and changes customers, makes, ships, bills and gets paid, with as few calls as it can; the
product never uses it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from connectors.kit.budget import Budget
from connectors.tryton.client import Account, Domain, Row, TrytonClient
from connectors.tryton.office import MAKE, SHIP, Office
from connectors.tryton.sandbox import Sandbox
from connectors.tryton.wire_values import from_wire, to_wire

#: The state of a production that was begun and not finished.
BEGIN = ("draft", "wait", "assign_try", "run")


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer as entered by an ERP user; blank values were unknown."""

    name: str
    street: str = ""
    postal_code: str = ""
    city: str = ""
    #: ISO 3166 code.
    country: str = ""
    phone: str = ""
    email: str = ""
    website: str = ""
    #: A European VAT number.
    vat: str = ""
    #: (name, e-mail) of the people there.
    people: tuple[tuple[str, str], ...] = ()


class OfficeDay:
    """The users of the ERP at work."""

    def __init__(self, client: TrytonClient) -> None:
        self._client = client
        self._office = Office(client)

    @classmethod
    def at(cls, sandbox: Sandbox) -> OfficeDay:
        """Opens a separate session."""
        account = Account(sandbox.url, sandbox.database, sandbox.login, sandbox.password)
        return cls(TrytonClient(account, Budget(requests=1000, per_seconds=1.0)))

    def close(self) -> None:
        """Ends the session; idempotent."""
        self._client.close()

    def count(self, model: str, *domain: Any) -> int:
        """Returns how many records there are."""
        return self._client.count(model, list(domain))

    def enter(self, customers: Sequence[Customer]) -> list[str]:
        """Enters customers and returns their keys, in the same order."""
        countries = self._countries({one.country for one in customers if one.country})
        rows = [_party(one, countries) for one in customers]
        keys = self._client.call("model.party.party.create", rows)
        # quirk(tryton): a national telephone number is valid only for a party that has an address
        # in that country already (party.contact_mechanism, check_valid_phonenumber)
        ways = [
            {"party": key, **way}
            for key, one in zip(keys, customers, strict=True)
            for way in _mechanisms(one)
        ]
        self._client.call("model.party.contact_mechanism.create", ways)
        return [str(key) for key in keys]

    def _countries(self, codes: Iterable[str]) -> dict[str, int]:
        domain = [["code", "in", sorted(codes)]]
        rows = self._client.search_read("country.country", domain, ["code"])
        return {str(row["code"]): int(row["id"]) for row in rows}

    def look(self, party: str) -> dict[str, str]:
        """Returns the name of a customer, and its general telephone number and e-mail address."""
        (row,) = self._client.search_read("party.party", [["id", "=", int(party)]], ["name"])
        domain = [["party", "=", int(party)], ["name", "in", [None, ""]]]
        ways = self._client.search_read("party.contact_mechanism", domain, ["type", "value"])
        return {"name": row["name"], **{way["type"]: way["value"] for way in ways}}

    def rename(self, party: str, name: str) -> None:
        """Gives a customer another name."""
        self._office.change("party.party", party, {"name": name})

    def write_email(self, party: str, email: str) -> None:
        """Changes the general e-mail address of a customer, or enters one."""
        domain = [["party", "=", int(party)], ["type", "=", "email"], ["name", "in", [None, ""]]]
        known = self._client.search("party.contact_mechanism", domain, limit=1)
        values = {"type": "email", "value": email}
        if known:
            self._office.change("party.contact_mechanism", str(known[0]), values)
        else:
            values = {**values, "party": int(party)}  # type: ignore[dict-item]
            self._office.create("party.contact_mechanism", values)

    def sales(self, numbers: Iterable[str]) -> dict[str, str]:
        """Returns number -> key of sales."""
        domain = [["number", "in", sorted(numbers)]]
        rows = self._client.search_read("sale.sale", domain, ["number"])
        return {str(row["number"]): str(row["id"]) for row in rows}

    def begin(self, sales: Sequence[str]) -> int:
        """Begins to make what sales have ordered; returns the number of productions."""
        return self._work("production", self._productions(sales), BEGIN)

    def make(self, sales: Sequence[str]) -> int:
        """Makes everything that sales have ordered; returns the number of productions."""
        return self._work("production", self._productions(sales), MAKE)

    def ship(self, sales: Sequence[str]) -> int:
        """Ships everything of sales; returns the number of shipments."""
        return self._work("stock.shipment.out", self._related(sales, "shipments"), SHIP)

    def bill(self, sales: Sequence[str], day: date) -> list[str]:
        """Posts the invoices of sales with this date; returns their keys."""
        found = self._related(sales, "invoices")
        values = {"invoice_date": to_wire(day.isoformat(), "date")}
        self._client.call("model.account.invoice.write", found, values)
        self._work("account.invoice", found, ("post",))
        return [str(key) for key in found]

    def get_paid(self, invoice: str) -> None:
        """Books all the money of an invoice."""
        (row,) = self._client.call("model.account.invoice.read", [int(invoice)], ["total_amount"])
        self._office.receive(invoice, from_wire(row["total_amount"]))

    def _productions(self, sales: Sequence[str]) -> list[int]:
        lines = self._client.search("sale.line", [["sale", "in", _ids(sales)]])
        domain: Domain = [["origin", "in", [f"sale.line,{line}" for line in lines]]]
        return self._client.search("production", domain)

    def _related(self, sales: Sequence[str], name: str) -> list[int]:
        rows: list[Row] = self._client.call("model.sale.sale.read", _ids(sales), [name])
        return [key for row in rows for key in row[name]]

    def _work(self, model: str, keys: list[int], buttons: Iterable[str]) -> int:
        for button in buttons if keys else ():
            self._client.call(f"model.{model}.{button}", keys)
        return len(keys)


def _ids(keys: Iterable[str]) -> list[int]:
    return [int(key) for key in keys]


def _party(one: Customer, countries: Mapping[str, int]) -> dict[str, Any]:
    values: dict[str, Any] = {"name": one.name}
    if one.vat:
        values["identifiers"] = [["create", [{"type": "eu_vat", "code": one.vat}]]]
    if one.street:
        address = {"street": one.street, "postal_code": one.postal_code, "city": one.city}
        values["addresses"] = [["create", [{**address, "country": countries[one.country]}]]]
    return values


def _mechanisms(one: Customer) -> list[dict[str, str]]:
    ways = {"phone": one.phone, "email": one.email, "website": one.website}
    found = [{"type": kind, "value": value} for kind, value in ways.items() if value]
    return found + [{"type": "email", "value": mail, "name": who} for who, mail in one.people]
