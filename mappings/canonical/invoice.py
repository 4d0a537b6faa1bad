"""A claim on a customer."""

from __future__ import annotations

from mappings.canonical.values import Entity, Field

INVOICE = Entity(
    name="invoice",
    fields={
        "number": Field("text", "given when it is posted"),
        "state": Field("enum", options=("draft", "validated", "posted", "paid", "cancelled")),
        "company": Field("reference", entity="company"),
        "sales_order": Field("reference", entity="sales_order"),
        "currency": Field("currency"),
        "invoice_date": Field("date"),
        "due_date": Field("date"),
        "untaxed": Field("decimal", "total before tax"),
        "tax": Field("decimal"),
        "total": Field("decimal", "total with tax"),
        "paid": Field("decimal", "paid so far"),
    },
    match=(("number",),),
    title="number",
    label=("Invoice", " {number}", " of {company}"),
)
