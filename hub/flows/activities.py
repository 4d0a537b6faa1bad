"""Activities of salespeople: thank-you tasks, reminders, notes about waiting deals."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta

from hub.flows.figures import is_overdue
from hub.flows.flow_input import Derived, Fact, derived_id, scalar_text
from hub.flows.settings import FlowSettings
from mappings.canonical.values import Scalar, Values

#: Tasks are due at nine in the morning, UTC.
_MORNING = time(9)


def thank_you_id(order_id: str) -> str:
    """Returns the golden id of an order's thank-you task."""
    return derived_id(order_id, "thank_you")


def reminder_id(invoice_id: str) -> str:
    """Returns the golden id of an invoice's reminder task."""
    return derived_id(invoice_id, "overdue_reminder")


def thank_you(
    order: Fact,
    opportunity: Fact | None,
    company: Fact | None,
    *,
    today: date,
    settings: FlowSettings,
) -> Derived | None:
    """Returns the thank-you task once everything of an order was shipped."""
    if not settings.thank_you or order.values.get("shipment_state") != "shipped":
        return None
    name = _name(company, "the customer")
    number = scalar_text(order.values.get("number"))
    values = _task(
        subject=f"Thank {name} for order {number}",
        body=f"Order {number} was shipped completely. Say thank you, and ask whether all is well.",
        due=today + timedelta(days=settings.thank_you_after_days),
    )
    values |= _about(opportunity, company)
    return Derived(thank_you_id(order.id), "activity", values, "flow:thank_you", once=True)


def overdue_reminder(
    invoice: Fact,
    opportunity: Fact | None,
    company: Fact | None,
    *,
    today: date,
    settings: FlowSettings,
) -> Derived | None:
    """Returns the reminder task of an invoice that has been overdue for long enough."""
    latest = today - timedelta(days=max(settings.overdue_after_days - 1, 0))
    if not settings.overdue_reminder or not is_overdue(invoice, latest):
        return None
    name = _name(company, "the customer")
    number = scalar_text(invoice.values.get("number"))
    amount = (
        f"{scalar_text(invoice.values.get('total'))} {scalar_text(invoice.values.get('currency'))}"
    )
    values = _task(
        subject=f"Remind {name} of invoice {number}",
        body=f"Invoice {number} over {amount.strip()} was due on {invoice.text('due_date')}.",
        due=today,
    )
    values |= _about(opportunity, company)
    return Derived(reminder_id(invoice.id), "activity", values, "flow:overdue_reminder", once=True)


def waiting_note(
    opportunity: Fact, reason: str, *, now: datetime, settings: FlowSettings
) -> Derived | None:
    """Returns the note that explains why a won deal is not an order yet; one per reason."""
    if not settings.waiting_note:
        return None
    why = reason.rstrip(". ")
    values: Values = {
        "kind": "note",
        "body": f"This deal is not an order yet: {why}. It becomes one once that is resolved.",
        "due_at": _instant(now),
    }
    values |= _about(opportunity, None)
    note = derived_id(opportunity.id, "waiting_note", reason)
    return Derived(note, "activity", values, "flow:waiting_note", once=True, subject=opportunity.id)


def _task(*, subject: str, body: str, due: date) -> Values:
    return {
        "kind": "task",
        "subject": subject,
        "body": body,
        "status": "open",
        "due_at": _instant(datetime.combine(due, _MORNING)),
    }


def _about(opportunity: Fact | None, company: Fact | None) -> Values:
    owner: Scalar = None if opportunity is None else opportunity.values.get("owner")
    if owner is None and company is not None:
        owner = company.values.get("owner")
    about: Values = {"owner": owner}
    if opportunity is not None:
        about["opportunity"] = opportunity.id
        about["company"] = opportunity.values.get("company")
    if company is not None:
        about["company"] = company.id
    return {path: value for path, value in about.items() if value is not None}


def _name(company: Fact | None, otherwise: str) -> str:
    return (company.text("name") if company else None) or otherwise


def _instant(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
