"""An order to produce a quantity of a product."""

from __future__ import annotations

from mappings.canonical.values import Entity, Field

PRODUCTION_ORDER = Entity(
    name="production_order",
    fields={
        "number": Field("text"),
        "state": Field(
            "enum",
            options=("requested", "draft", "waiting", "assigned", "running", "done", "cancelled"),
        ),
        "product": Field("reference", entity="product"),
        "quantity": Field("decimal"),
        "sales_order": Field("reference", entity="sales_order"),
        "planned_date": Field("date"),
    },
    title="number",
    label=("Production", " {number}", ": {product} x {quantity}"),
)
