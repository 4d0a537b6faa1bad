"""A good or service that is sold."""

from __future__ import annotations

from mappings.canonical.values import Entity, Field

PRODUCT = Entity(
    name="product",
    fields={
        "sku": Field("text", "article number"),
        "name": Field("text"),
        "description": Field("text"),
        "price": Field("decimal", "list price in the company's currency"),
        "cost": Field("decimal", "cost price in the company's currency"),
        "active": Field("boolean"),
    },
    match=(("sku",),),
    suggest=(("name",),),
    contradict=("sku",),
    label=("{name}", " ({sku})"),
)
