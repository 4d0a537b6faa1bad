"""The `flows:` part of tulay.yaml: which flows run, and their parameters."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class FlowSettings(BaseModel):
    """Flows are on by default; each can be switched off."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    #: A won deal becomes a sales order in the ERP, confirmed there.
    won_deal_to_order: bool = True
    #: Confirm the order at once; otherwise it stays a quotation for a person.
    confirm_orders: bool = True
    #: Order, invoice and balance figures on the company and the deal in the CRM.
    figures: bool = True
    #: A task for the deal's owner when everything was shipped.
    thank_you: bool = True
    thank_you_after_days: int = Field(default=2, ge=0, le=365)
    #: A task for the deal's owner when an invoice is overdue.
    overdue_reminder: bool = True
    overdue_after_days: int = Field(default=1, ge=0, le=365)
    #: A note on a deal that cannot become an order yet, with the reason.
    waiting_note: bool = True
