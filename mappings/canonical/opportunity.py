"""A deal that is open, won or lost."""

from __future__ import annotations

from mappings.canonical.values import Entity, Field

OPPORTUNITY = Entity(
    name="opportunity",
    fields={
        "name": Field("text"),
        "stage": Field("enum", options=("open", "won", "lost")),
        "amount": Field("decimal"),
        "currency": Field("currency"),
        "close_date": Field("date"),
        "company": Field("reference", entity="company"),
        "contact": Field("reference", entity="contact"),
        "owner": Field("text", "the salesperson, as the CRM names them"),
        "order_number": Field("text", "number of the order this deal became"),
        "order_state": Field("text", "state of the order this deal became"),
    },
    lists={
        "lines": {
            "product": Field("reference", entity="product"),
            "name": Field("text"),
            "quantity": Field("decimal"),
            "unit_price": Field("decimal"),
        }
    },
    label=("{name}",),
)
