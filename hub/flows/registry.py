"""The flows in the order in which they run, and questions about all of them."""

from __future__ import annotations

from functools import cache

from hub.flows.company_figures import CompanyFigures
from hub.flows.flow import Flow
from hub.flows.order_on_deal import OrderOnDeal
from hub.flows.overdue_reminder import OverdueReminder
from hub.flows.production_state import ProductionState
from hub.flows.settings import FlowSettings
from hub.flows.thank_you import ThankYou
from hub.flows.waiting_order import WaitingOrder
from hub.flows.won_deal import WonDealToOrder

#: A later flow sees the values that an earlier one changed.
FLOWS: tuple[Flow, ...] = (
    WonDealToOrder(),
    OverdueReminder(),
    WaitingOrder(),
    ProductionState(),
    OrderOnDeal(),
    ThankYou(),
    CompanyFigures(),
)


def is_trigger(entity: str) -> bool:
    """Returns True if a change of such a record triggers a flow.

    >>> is_trigger("invoice"), is_trigger("contact")
    (True, False)
    """
    return entity in _triggers(FLOWS)


@cache
def _triggers(flows: tuple[Flow, ...]) -> frozenset[str]:
    return frozenset(entity for flow in flows for entity in flow.triggers)


def is_explained(entity: str) -> bool:
    """Returns True if a flow explains to people why such a record cannot be written to an ERP.

    >>> is_explained("sales_order"), is_explained("invoice")
    (True, False)
    """
    return any(flow.explains and flow.root == entity for flow in FLOWS)


def blocking_flows() -> tuple[str, ...]:
    """Returns the names of flows that may be blocked, which are sources of quarantine entries."""
    return tuple(flow.name for flow in FLOWS if flow.can_block)


def fills(settings: FlowSettings, entity: str, path: str) -> bool:
    """Returns True if an enabled flow may set this path.

    >>> flows = FlowSettings()
    >>> fills(flows, "company", "figures.currency"), fills(flows, "company", "name")
    (True, False)
    """
    return any(_sets(flow, entity, path) for flow in FLOWS if flow.enabled(settings))


def _sets(flow: Flow, entity: str, path: str) -> bool:
    branches = flow.outputs.get(entity)
    if branches is None:
        return False
    return not branches or any(path == one or path.startswith(f"{one}.") for one in branches)
