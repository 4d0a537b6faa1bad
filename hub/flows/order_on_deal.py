"""Flow: a deal shows the number and the state of its order."""

from __future__ import annotations

from typing import ClassVar

from hub.flows import orders
from hub.flows.flow import Facts, Flow, Needs, Outputs, Triggers
from hub.flows.flow_input import Derived
from hub.flows.settings import FlowSettings


class OrderOnDeal(Flow):
    """The number and state of a deal's order; of several orders, of the one derived from it."""

    name = "order_on_deal"
    root = "sales_order"
    noun = "order"
    triggers: ClassVar[Triggers] = orders.ORDER_CHANGES
    deletions: ClassVar[Triggers] = orders.ORDER_DELETIONS
    needs: ClassVar[Needs] = {
        "deal": ("opportunity", "opportunity"),
        "own": ("sales_order", "opportunity/=opportunity"),
    }
    outputs: ClassVar[Outputs] = {"opportunity": ("order_number", "order_state")}

    def enabled(self, settings: FlowSettings) -> bool:
        """Returns True if figures are shown in the CRM."""
        return settings.figures

    def derive(self, facts: Facts) -> Derived | None:
        """Returns the deal with the number and state of its order."""
        deal, own = facts.one("deal"), facts.one("own")
        if deal is None or (own is not None and own.id != facts.root.id):
            return None
        return Derived(deal.id, "opportunity", orders.order_on_deal(facts.root), "flow:progress")
