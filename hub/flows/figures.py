"""The figures from the ERP that are shown on a company."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

from hub.flows.flow_input import Fact, plain
from hub.flows.orders import deal_state
from mappings.canonical.values import Values

_OPEN_ORDER = frozenset(("confirmed", "processing"))
_OPEN_PRODUCTION = frozenset(("requested", "draft", "waiting", "assigned", "running"))
_CLAIM = frozenset(("posted", "paid"))


def company_figures(
    orders: Sequence[Fact],
    invoices: Sequence[Fact],
    productions: Sequence[Fact],
    *,
    today: date,
) -> Values:
    """Returns the figures of one company from its documents, amounts in its invoices' currency.

    Amounts of several currencies are not added up: the currency of the newest invoice counts.
    """
    numbered = [o for o in orders if o.values.get("number") is not None]
    last = max(numbered, key=_age, default=None)
    claims = [i for i in invoices if i.values.get("state") in _CLAIM]
    newest = max(claims, key=lambda i: (i.text("invoice_date") or "", i.id), default=None)
    currency = None if newest is None else newest.values.get("currency")
    counted = [i for i in claims if i.values.get("currency") == currency]
    balance = {i.id: i.number("total") - i.number("paid") for i in counted}
    overdue = [i for i in counted if is_overdue(i, today)]
    return {
        "figures.last_order": None if last is None else last.values.get("number"),
        "figures.last_order_state": None if last is None else deal_state(last),
        "figures.open_orders": sum(o.values.get("state") in _OPEN_ORDER for o in numbered),
        "figures.in_production": sum(
            p.values.get("state") in _OPEN_PRODUCTION for p in productions
        ),
        "figures.invoiced": plain(sum((i.number("total") for i in counted), Decimal(0))),
        "figures.open_balance": plain(sum(balance.values(), Decimal(0))),
        "figures.overdue_balance": plain(sum((balance[i.id] for i in overdue), Decimal(0))),
        "figures.currency": currency,
    }


def is_overdue(invoice: Fact, today: date) -> bool:
    """Returns True if an invoice is past its due date and not paid.

    >>> bill = Fact("1", "invoice", {"state": "posted", "due_date": "2026-01-31", "total": "5"})
    >>> is_overdue(bill, date(2026, 1, 31)), is_overdue(bill, date(2026, 2, 1))
    (False, True)
    """
    due = invoice.text("due_date")
    owed = invoice.number("total") > invoice.number("paid")
    return invoice.values.get("state") == "posted" and owed and due is not None and due < str(today)


def _age(order: Fact) -> tuple[str, int, str]:
    number = order.text("number") or ""
    digits = "".join(c for c in number if c.isdigit())
    return order.text("order_date") or "", int(digits or 0), order.id
