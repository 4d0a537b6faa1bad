"""Flow: a deal shows why its order is not in the ERP yet."""

from __future__ import annotations

from typing import ClassVar

from hub.flows import orders
from hub.flows.activities import waiting_note
from hub.flows.flow import Facts, Flow, Needs, Outputs, Triggers
from hub.flows.flow_input import Derived
from hub.flows.settings import FlowSettings


class WaitingOrder(Flow):
    """Adds a note to the deal of an order that the ERP does not accept yet, with the reason."""

    name = "waiting_note"
    root = "sales_order"
    noun = "order"
    triggers: ClassVar[Triggers] = orders.ORDER_CHANGES
    deletions: ClassVar[Triggers] = orders.ORDER_DELETIONS
    needs: ClassVar[Needs] = {"deal": ("opportunity", "opportunity")}
    outputs: ClassVar[Outputs] = {"activity": ()}
    explains = True

    def enabled(self, settings: FlowSettings) -> bool:
        """Returns True if notes about waiting deals are switched on."""
        return settings.waiting_note

    def derive(self, facts: Facts) -> Derived | None:
        """Returns the note."""
        deal = facts.one("deal")
        if deal is None or facts.reason is None:
            return None
        return waiting_note(deal, facts.reason, now=facts.now, settings=facts.settings)
