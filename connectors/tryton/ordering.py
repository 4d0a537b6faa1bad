"""Completes a sale as Tryton's own client would: the server computes dependent values.

Party -> addresses and payment term; product -> unit, price and taxes, tax rules and price lists
included. Nothing here computes any of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from connectors.kit.errors import RecordRejectedError
from connectors.tryton.client import Row, TrytonClient
from connectors.tryton.write_values import Values

_FROM_PARTY = (
    "invoice_party",
    "invoice_address",
    "shipment_party",
    "shipment_address",
    "payment_term",
    "currency",
)
#: What a line's defaults depend on in the sale it belongs to.
_PARENT = ("party", "invoice_party", "shipment_address", "company", "currency", "sale_date")


class Clerk:
    """Fills in what an order needs and was not given; caches answers for one batch of writes."""

    def __init__(self, client: TrytonClient, payment_term: str | None) -> None:
        self._client = client
        self._term_name = payment_term
        self._term: int | None = None
        self._parties: dict[str, Values] = {}
        self._lines: dict[str, Values] = {}

    def complete(self, values: Values) -> Values:
        """Returns the values of a new sale with everything Tryton needs.

        Raises: RecordRejectedError when the party has no address.
        """
        full = {**self._defaults(values), **values}
        for name in ("invoice_address", "shipment_address"):
            if full.get(name) is None:
                raise RecordRejectedError(
                    f"party {full.get('party')} has no address: give it one, then the order can"
                    " be written",
                    stream="sale.sale",
                    fields={name: "the party has no address"},
                )
        if full.get("payment_term") is None:
            full["payment_term"] = self._default_term()
        return full

    def complete_lines(self, commands: Sequence[Any], sale: Mapping[str, Any]) -> list[Any]:
        """Returns commands whose new lines have unit, price and taxes."""
        return [
            ["create", [self._line(line, sale) for line in command[1]]]
            if command[0] == "create"
            else command
            for command in commands
        ]

    def parent_of(self, row: Row) -> Values:
        """Returns what lines need to know about a sale that exists."""
        names = ["party", "invoice_party", "shipment_address", "company", "currency"]
        (found,) = self._client.call(
            "model.sale.sale.read", [row["id"]], names, repeatable=True, stream="sale.sale"
        )
        return {name: found.get(name) for name in names}

    def _defaults(self, values: Values) -> Values:
        if values.get("party") is None:
            raise RecordRejectedError(
                "an order needs a party", stream="sale.sale", fields={"party": "is missing"}
            )
        company = self._client.context().get("company")
        known = {"party": values["party"], "company": company, "lines": []}
        memory = str(values["party"])
        if memory not in self._parties:
            found = self._ask("sale.sale", known, ["party"])
            self._parties[memory] = {name: found.get(name) for name in _FROM_PARTY}
            self._parties[memory]["company"] = company
        return self._parties[memory]

    def _line(self, line: Values, sale: Mapping[str, Any]) -> Values:
        if line.get("product") is None:
            return {"type": "line", **line}
        parent = {f"_parent_sale.{name}": sale.get(name) for name in _PARENT}
        known = {
            "type": "line",
            "product": line["product"],
            "quantity": line.get("quantity"),
            "company": sale.get("company"),
            **parent,
        }
        memory = repr(known)
        if memory not in self._lines:
            self._lines[memory] = self._ask("sale.line", known, ["product", "quantity"])
        found = self._lines[memory]
        taxes = [added[1]["id"] for added in (found.get("taxes") or {}).get("add", ())]
        return {
            "type": "line",
            "unit": found.get("unit"),
            "unit_price": found.get("unit_price"),
            "taxes": [["add", taxes]],
            **line,
        }

    def _ask(self, model: str, known: Values, changed: list[str]) -> Values:
        method = f"model.{model}.on_change"
        found = self._client.call(method, known, changed, repeatable=True, stream=model)
        if isinstance(found, list):  # quirk(tryton): 7.0 answers with a list of changes
            found = {name: value for change in found for name, value in change.items()}
        return {name: value for name, value in found.items() if not name.endswith(".")}

    def _default_term(self) -> int | None:
        if self._term is None and self._term_name:
            model = "account.invoice.payment_term"
            found = self._client.search(model, [["name", "=", self._term_name]], limit=1)
            if not found:
                raise RecordRejectedError(
                    f"there is no payment term {self._term_name!r}: correct the setting"
                    " `payment_term`",
                    stream="sale.sale",
                )
            self._term = found[0]
        return self._term
