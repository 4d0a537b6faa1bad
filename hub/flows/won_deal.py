"""Flow: a won deal becomes a sales order."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from hub.flows import orders
from hub.flows.activities import waiting_note
from hub.flows.flow import Facts, Flow, Needs, Outputs, Triggers
from hub.flows.flow_input import Blocked, Derived, Fact
from hub.flows.settings import FlowSettings


class WonDealToOrder(Flow):
    """The order of a won deal, or the reason why it cannot be derived yet."""

    name = "won_deal_to_order"
    root = "opportunity"
    noun = "deal"
    triggers: ClassVar[Triggers] = {"opportunity": ""}
    needs: ClassVar[Needs] = {
        "company": ("company", "company"),
        "order": ("sales_order", "=opportunity"),
        "products": ("product", "lines[].product"),
    }
    outputs: ClassVar[Outputs] = {"sales_order": ()}
    can_block = True

    def enabled(self, settings: FlowSettings) -> bool:
        """Returns True if won deals become orders."""
        return settings.won_deal_to_order

    def applies(self, root: Fact) -> bool:
        """Returns True if the deal is won."""
        return root.values.get("stage") == "won"

    def derive(self, facts: Facts) -> Derived | Blocked | None:
        """Returns the order; a deal that must wait gets a note until then."""
        derived = orders.won_deal_to_order(
            facts.root,
            facts.one("company"),
            facts.one("order"),
            products={product.id: product for product in facts.all_of("products")},
            settings=facts.settings,
        )
        if not isinstance(derived, Blocked):
            return derived
        note = waiting_note(facts.root, derived.reason, now=facts.now, settings=facts.settings)
        return replace(derived, meanwhile=note)
