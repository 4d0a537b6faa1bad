"""Flow: an order shows the progress of its production."""

from __future__ import annotations

from typing import ClassVar

from hub.flows import orders
from hub.flows.flow import Facts, Flow, Needs, Outputs, Triggers
from hub.flows.flow_input import Derived


class ProductionState(Flow):
    """The production state of an order, from its production orders."""

    name = "production_state"
    root = "sales_order"
    noun = "order"
    triggers: ClassVar[Triggers] = orders.ORDER_CHANGES
    deletions: ClassVar[Triggers] = orders.ORDER_DELETIONS
    needs: ClassVar[Needs] = {"productions": ("production_order", "<sales_order")}
    outputs: ClassVar[Outputs] = {"sales_order": ("production_state",)}

    def derive(self, facts: Facts) -> Derived:
        """Returns the order with its production state."""
        state = orders.production_state(facts.all_of("productions"))
        return Derived(facts.root.id, "sales_order", {"production_state": state}, "flow:progress")
