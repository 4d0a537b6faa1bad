"""Goods on their way to a customer."""

from __future__ import annotations

from mappings.canonical.values import Entity, Field

SHIPMENT = Entity(
    name="shipment",
    fields={
        "number": Field("text"),
        "state": Field(
            "enum",
            options=(
                "draft",
                "waiting",
                "assigned",
                "picked",
                "packed",
                "shipped",
                "done",
                "cancelled",
            ),
        ),
        "company": Field("reference", entity="company"),
        "sales_order": Field("reference", entity="sales_order"),
        "planned_date": Field("date"),
        "shipped_date": Field("date"),
    },
    title="number",
    label=("Shipment", " {number}", " to {company}"),
)
