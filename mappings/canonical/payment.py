"""Money received for an invoice."""

from __future__ import annotations

from mappings.canonical.values import Entity, Field

PAYMENT = Entity(
    name="payment",
    fields={
        "reference": Field("text"),
        "state": Field(
            "enum", options=("draft", "submitted", "approved", "processing", "succeeded", "failed")
        ),
        "company": Field("reference", entity="company"),
        "invoice": Field("reference", entity="invoice"),
        "amount": Field("decimal"),
        "currency": Field("currency"),
        "date": Field("date"),
    },
    title="reference",
    label=("Payment", " {reference}", " of {company}", ": {amount} {currency}"),
)
