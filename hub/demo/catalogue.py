"""What the demo's company sells: the CRM's product library, and the ERP's articles behind it."""

from __future__ import annotations

from connectors.hubspot.twin.places import PRODUCTS
from connectors.tryton.seed import Article

#: Article -> its parts and how many of each; everything else is bought and stocked.
RECIPES: dict[str, tuple[tuple[str, int], ...]] = {
    "WID-100": (("STL-001", 1), ("PNT-003", 1)),
    "WID-150": (("STL-001", 2), ("PNT-003", 1)),
    "GBX-310": (("STL-001", 6), ("BRG-062", 4)),
    "PMP-040": (("STL-001", 4), ("BRG-062", 2), ("PNT-003", 1)),
    "CTL-900": (("PCB-104", 1), ("CBL-005", 2)),
    "FRM-200": (("STL-001", 40), ("PNT-003", 3)),
}

#: What only the ERP knows.
PARTS = (
    Article("STL-001", "Steel bar, 1 m", "8.50", "3.20", stock=50_000),
    Article("BRG-062", "Ball bearing 6202", "6.40", "2.10", stock=20_000),
    Article("PCB-104", "Control board", "310.00", "188.00", stock=5_000),
    Article("PNT-003", "Powder coat, kg", "14.00", "6.50", stock=20_000),
)

#: The ERP has raised these prices; the CRM does not know yet.
RAISED = {"CTL-900": "1240.00", "SVC-001": "1020.00"}


def articles() -> tuple[Article, ...]:
    """Returns the ERP's articles: those of the product library, and its own parts.

    >>> [one.price for one in articles() if one.code == "CTL-900"]
    ['1240.00']
    """
    sold = (
        Article(
            sku,
            name,
            RAISED.get(sku, price),
            cost,
            stock=0 if sku in RECIPES else 5_000,
            parts=RECIPES.get(sku, ()),
        )
        for sku, name, price, cost, _ in PRODUCTS
    )
    return (*PARTS, *sold)
