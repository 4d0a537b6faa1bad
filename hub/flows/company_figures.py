"""Flow: a company shows the figures of its orders and invoices."""

from __future__ import annotations

from datetime import date
from typing import ClassVar

from hub.flows import figures
from hub.flows.flow import Facts, Flow, Needs, Outputs, Triggers
from hub.flows.flow_input import Derived, Fact
from hub.flows.settings import FlowSettings


class CompanyFigures(Flow):
    """The figures of a company, derived from its documents."""

    name = "figures"
    root = "company"
    noun = "company"
    triggers: ClassVar[Triggers] = {
        "invoice": "company",
        "sales_order": "company",
        "production_order": "sales_order/company",
        "shipment": "sales_order/company",
    }
    deletions: ClassVar[Triggers] = {"opportunity": "company"}
    needs: ClassVar[Needs] = {
        "orders": ("sales_order", "<company"),
        "invoices": ("invoice", "<company"),
        "productions": ("production_order", "<company/<sales_order"),
    }
    outputs: ClassVar[Outputs] = {"company": ("figures",)}
    aging = "invoice"

    def enabled(self, settings: FlowSettings) -> bool:
        """Returns True if figures are shown in the CRM."""
        return settings.figures

    def has_aged(self, record: Fact, today: date) -> bool:
        """Returns True if an invoice counts as overdue."""
        return figures.is_overdue(record, today)

    def derive(self, facts: Facts) -> Derived:
        """Returns the company with its figures."""
        values = figures.company_figures(
            facts.all_of("orders"),
            facts.all_of("invoices"),
            facts.all_of("productions"),
            today=facts.today,
        )
        return Derived(facts.root.id, "company", values, "flow:figures")
