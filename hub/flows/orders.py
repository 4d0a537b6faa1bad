"""Won deals become sales orders in the ERP, and the progress of an order shows on its deal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hub.flows.flow_input import Blocked, Derived, Fact, derived_id
from hub.flows.settings import FlowSettings
from mappings.canonical.values import Values

_FLOW = "flow:won_deal_to_order"
#: Changes and deletions that trigger flows of an order: entity -> path to the order.
ORDER_CHANGES = {"sales_order": "", "production_order": "sales_order", "shipment": "sales_order"}
ORDER_DELETIONS = {"invoice": "sales_order"}


def order_id(opportunity_id: str) -> str:
    """Returns the golden id of the order that a deal becomes."""
    return derived_id(opportunity_id, "sales_order")


def won_deal_to_order(
    opportunity: Fact,
    company: Fact | None,
    order: Fact | None,
    *,
    products: Mapping[str, Fact],
    settings: FlowSettings,
) -> Derived | Blocked | None:
    """Returns the order of a won deal, or why it cannot be derived yet.

    `order` is the existing one, of the deal itself or of a deal that was merged into it. Once the
    ERP has numbered the order it belongs to the ERP, and the deal no longer changes it.
    """
    if opportunity.values.get("stage") != "won" or not settings.won_deal_to_order:
        return None
    if order is not None and order.values.get("number") is not None:
        return None
    if company is None:
        return Blocked("the deal has no company: associate one with it")
    blocked = _address(company) or _lines(opportunity, products)
    if blocked is not None:
        return blocked
    values: Values = {
        "company": company.id,
        "opportunity": opportunity.id,
        "description": opportunity.values.get("name"),
        "currency": opportunity.values.get("currency"),
        "order_date": opportunity.values.get("close_date"),
        "state": "confirmed" if settings.confirm_orders else "draft",
    }
    values |= _order_lines(opportunity, products)
    gone = (p for p in (order.values if order else {}) if "[" in p and p not in values)
    values |= dict.fromkeys(gone)
    golden_id = order_id(opportunity.id) if order is None else order.id
    return Derived(golden_id, "sales_order", values, _FLOW)


def _address(company: Fact) -> Blocked | None:
    missing = [
        path.removeprefix("address.").replace("_", " ")
        for path in ("address.street", "address.city")
        if company.values.get(path) is None
    ]
    if not missing:
        return None
    name = company.text("name") or company.id
    return Blocked(
        f"company {name!r} has no {' and no '.join(missing)} in its address: fill it in", company.id
    )


def _lines(opportunity: Fact, products: Mapping[str, Fact]) -> Blocked | None:
    lines = opportunity.items("lines")
    if not lines:
        return Blocked("the deal has no line items: add what was sold", opportunity.id)
    for key, line in lines.items():
        name = line.get("name") or key
        product = line.get("product")
        if product is None:
            return Blocked(
                f"line item {name!r} has no product from the product library: replace it by one",
                opportunity.id,
            )
        if str(product) not in products:
            return Blocked(f"the product of line item {name!r} is not known", str(product))
        if line.get("quantity") is None:
            return Blocked(f"line item {name!r} has no quantity: fill it in", opportunity.id)
        if line.get("unit_price") is None:
            return Blocked(f"line item {name!r} has no unit price: fill it in", opportunity.id)
    return None


def _order_lines(opportunity: Fact, products: Mapping[str, Fact]) -> Values:
    """Returns the lines of the order, keyed by article number as the ERP shows them."""
    values: Values = {}
    used: dict[str, int] = {}
    for line in opportunity.items("lines").values():
        product = products[str(line["product"])]
        sku = product.text("sku") or product.id
        used[sku] = used.get(sku, 0) + 1
        key = sku if used[sku] == 1 else f"{sku}#{used[sku]}"
        values |= {
            f"lines[{key}].product": product.id,
            f"lines[{key}].quantity": line["quantity"],
            f"lines[{key}].unit_price": line["unit_price"],
        }
    return values


def production_state(productions: Sequence[Fact]) -> str:
    """Returns the progress of an order's production.

    >>> production_state([])
    'none'
    """
    states = [p.values.get("state") for p in productions if p.values.get("state") != "cancelled"]
    if not states:
        return "none"
    if all(state == "done" for state in states):
        return "done"
    return "running" if any(state in ("running", "done") for state in states) else "waiting"


def order_on_deal(order: Fact) -> Values:
    """Returns the values of an order that show on its deal."""
    return {
        "order_number": order.values.get("number"),
        "order_state": deal_state(order),
    }


def deal_state(order: Fact) -> str | None:
    """Returns the state of an order in one phrase, for salespeople."""
    state = order.text("state")
    if state in (None, "cancelled", "draft", "quoted"):
        return state
    if order.values.get("number") is None:
        return "waiting"  # the ERP has not confirmed it yet
    shipped, paid = order.values.get("shipment_state"), order.values.get("invoice_state")
    making = order.values.get("production_state")
    if paid == "paid" and shipped in ("shipped", "none"):
        return "paid"
    if shipped == "shipped":
        return "shipped"
    if shipped == "partly_shipped":
        return "partly shipped"
    if making in ("waiting", "running"):
        return "in production"
    return state
