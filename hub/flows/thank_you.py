"""Flow: a task to thank the customer when an order was shipped."""

from __future__ import annotations

from typing import ClassVar

from hub.flows import activities, orders
from hub.flows.flow import Facts, Flow, Needs, Outputs, Triggers
from hub.flows.flow_input import Derived, Fact
from hub.flows.settings import FlowSettings


class ThankYou(Flow):
    """The thank-you task of an order that was shipped completely."""

    name = "thank_you"
    root = "sales_order"
    noun = "order"
    triggers: ClassVar[Triggers] = orders.ORDER_CHANGES
    deletions: ClassVar[Triggers] = orders.ORDER_DELETIONS
    needs: ClassVar[Needs] = {
        "deal": ("opportunity", "opportunity"),
        "company": ("company", "company"),
    }
    outputs: ClassVar[Outputs] = {"activity": ()}

    def enabled(self, settings: FlowSettings) -> bool:
        """Returns True if thank-you tasks are switched on."""
        return settings.thank_you

    def applies(self, root: Fact) -> bool:
        """Returns True if everything was shipped."""
        return root.values.get("shipment_state") == "shipped"

    def derive(self, facts: Facts) -> Derived | None:
        """Returns the task."""
        return activities.thank_you(
            facts.root,
            facts.one("deal"),
            facts.one("company"),
            today=facts.today,
            settings=facts.settings,
        )
