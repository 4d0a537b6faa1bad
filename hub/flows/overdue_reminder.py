"""Flow: a task to remind the customer of an overdue invoice."""

from __future__ import annotations

from datetime import date
from typing import ClassVar

from hub.flows import activities
from hub.flows.figures import is_overdue
from hub.flows.flow import Facts, Flow, Needs, Outputs, Triggers
from hub.flows.flow_input import Derived, Fact
from hub.flows.settings import FlowSettings


class OverdueReminder(Flow):
    """The reminder task of an invoice that has been overdue for long enough."""

    name = "overdue_reminder"
    root = "invoice"
    noun = "invoice"
    triggers: ClassVar[Triggers] = {"invoice": ""}
    needs: ClassVar[Needs] = {
        "deal": ("opportunity", "sales_order/opportunity"),
        "company": ("company", "company"),
    }
    outputs: ClassVar[Outputs] = {"activity": ()}
    aging = "invoice"

    def enabled(self, settings: FlowSettings) -> bool:
        """Returns True if reminders are switched on."""
        return settings.overdue_reminder

    def applies(self, root: Fact) -> bool:
        """Returns True if the invoice is posted and not paid."""
        return root.values.get("state") == "posted"

    def has_aged(self, record: Fact, today: date) -> bool:
        """Returns True if the invoice is overdue."""
        return is_overdue(record, today)

    def derive(self, facts: Facts) -> Derived | None:
        """Returns the task."""
        return activities.overdue_reminder(
            facts.root,
            facts.one("deal"),
            facts.one("company"),
            today=facts.today,
            settings=facts.settings,
        )
