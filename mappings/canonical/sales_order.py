"""A customer's order: from quotation to delivery and invoice."""

from __future__ import annotations

from mappings.canonical.values import Entity, Field, States

SALES_ORDER = Entity(
    name="sales_order",
    fields={
        "number": Field("text", "the ERP's number"),
        "description": Field("text"),
        "company": Field("reference", entity="company"),
        "opportunity": Field("reference", entity="opportunity"),
        "state": Field(
            "enum", options=("draft", "quoted", "confirmed", "processing", "done", "cancelled")
        ),
        "order_date": Field("date"),
        "currency": Field("currency"),
        "untaxed": Field("decimal", "total before tax"),
        "tax": Field("decimal"),
        "total": Field("decimal", "total with tax"),
        "shipment_state": Field(
            "enum", options=("none", "waiting", "partly_shipped", "shipped", "exception")
        ),
        "invoice_state": Field(
            "enum",
            options=("none", "pending", "awaiting_payment", "partly_paid", "paid", "exception"),
        ),
        "production_state": Field(
            "enum", "derived from the production orders", ("none", "waiting", "running", "done")
        ),
    },
    lists={
        "lines": {
            "product": Field("reference", entity="product"),
            "description": Field("text"),
            "quantity": Field("decimal"),
            "unit_price": Field("decimal"),
        }
    },
    match=(("number",),),
    title="number",
    label=("Order", " {number}", " of {company}", ": {opportunity}"),
    states=States(
        "state",
        {
            "draft": ("quoted", "cancelled"),
            "quoted": ("confirmed", "cancelled"),
            "confirmed": ("processing",),
            "processing": ("done",),
            "done": ("processing",),
            "cancelled": (),
        },
    ),
)
