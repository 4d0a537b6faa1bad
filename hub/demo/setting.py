"""What the parts of the story stand on: the two systems as people see them, and a sync."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from connectors.kit.errors import UnavailableError
from hub.demo.catalogue import MADE
from hub.demo.counts import everyone
from hub.demo.narration import Narration, short
from hub.demo.systems import World
from hub.errors import SettingsError
from hub.sync.run import Report, sync

Row = Mapping[str, Any]
_ENDED = frozenset(("closedwon", "closedlost"))
_POSTED = frozenset(("posted", "paid"))


@dataclass(frozen=True)
class Stage:
    """The world, and the voice that tells what happens in it."""

    world: World
    narration: Narration
    today: date

    def sync(self) -> Report:
        """Brings both sides together. Raises: UnavailableError when something stands still."""
        with self.narration.drawn() as progress:
            report = sync(self.world.hub, progress=progress)
        if report.failed or report.paused or not report.quiet:
            stuck = "; ".join(f"{k}: {v}" for k, v in (report.failed | report.paused).items())
            raise UnavailableError(f"the sync did not end: {stuck or 'there is always more to do'}")
        return report

    # --- the CRM --------------------------------------------------------------------------------

    def company(self, key: str) -> Mapping[str, Any]:
        """Returns the values of a company in the CRM."""
        values: Mapping[str, Any] = self.world.crm.get("companies", key)["properties"]
        return values

    def worth_winning(self, count: int) -> list[Row]:
        """Returns open deals of different customers, those with something to make first.

        Raises: SettingsError.
        """
        crm = self.world.crm
        skus = {line["id"]: line["properties"]["hs_sku"] for line in crm.objects("line_items")}
        found: dict[str, Row] = {}
        for deal in crm.objects("deals"):
            if deal["properties"]["dealstage"] not in _ENDED:
                found.setdefault(company_of(deal), deal)
        made = {
            deal["id"]: any(skus[line] in MADE for line in deal["associations"]["line_items"])
            for deal in found.values()
        }
        if len(found) < count:
            raise SettingsError(f"the demo needs {count} open deals: take more --customers")
        return sorted(found.values(), key=lambda deal: not made[deal["id"]])[:count]

    def posted(self) -> list[Row]:
        """Returns the ERP's posted invoices, as the CRM shows them."""
        rows = self.world.crm.objects("invoices")
        return [row for row in rows if row["properties"].get("tulay_state") in _POSTED]

    # --- the ERP --------------------------------------------------------------------------------

    def parties(self) -> int:
        """Returns how many customers the ERP has; its own company is none."""
        return self.world.office.count("party.party") - 1

    def people(self) -> int:
        """Returns how many contacts the ERP has."""
        named = (["type", "=", "email"], ["name", "not in", [None, ""]])
        return self.world.office.count("party.contact_mechanism", *named)

    def orders(self) -> list[str]:
        """Returns the numbers of the ERP's orders that the hub knows, oldest first."""
        found = (golden.values.get("number") for golden in everyone(self.world.hub, "sales_order"))
        return sorted(str(number) for number in found if number is not None)

    # --- tables ---------------------------------------------------------------------------------

    def show_counts(self) -> None:
        """Shows how much each side has."""
        crm, office = self.world.crm, self.world.office
        rows = [
            ("customers", crm.count("companies"), self.parties()),
            ("contacts", crm.count("contacts"), self.people()),
            ("products", crm.count("products"), office.count("product.product")),
            ("deals and orders", crm.count("deals"), office.count("sale.sale")),
        ]
        self.narration.show(["", "HubSpot", "Tryton"], rows)

    def show_deals(self, deals: Sequence[Row]) -> None:
        """Shows the outcome of deals, as the CRM sees it."""
        rows = []
        for deal in deals:
            values = self.world.crm.get("deals", deal["id"])["properties"]
            name = self.company(company_of(deal))["name"]
            state = values.get("tulay_order_state") or "waits"
            number = values.get("tulay_order_number")
            rows.append((short(name, 34), values["amount"], number, state))
        self.narration.show(["deal of", "amount", "order", "the ERP says"], rows)

    def show_balances(self) -> None:
        """Shows what customers owe, as the CRM says it."""
        names = ("tulay_invoiced", "tulay_open_balance", "tulay_overdue_balance")
        rows = [
            (short(values["name"], 34), *(values[name] for name in names))
            for row in self.world.crm.objects("companies")
            if float((values := row["properties"]).get("tulay_invoiced") or 0)
        ]
        self.narration.show(["customer in HubSpot", "invoiced", "open", "overdue"], rows)


def company_of(deal: Row) -> str:
    """Returns the key of a deal's company."""
    return str(deal["associations"]["companies"][0])
