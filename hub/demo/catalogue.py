"""What the demo's company sells: the CRM's product library beside the ERP's articles."""

from __future__ import annotations

from connectors.hubspot.twin.geography import PRODUCTS
from connectors.tryton.articles import ARTICLES

#: Articles that are made to order.
MADE = frozenset(one.code for one in ARTICLES if one.parts)

_PRICES = {one.code: one.price for one in ARTICLES}

#: Articles whose price the ERP has raised; the CRM does not know yet.
RAISED = frozenset(sku for sku, _, price, *_ in PRODUCTS if _PRICES[sku] != price)
