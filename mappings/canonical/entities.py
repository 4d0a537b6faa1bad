"""All entities by name, parents before children."""

from __future__ import annotations

from mappings.canonical.activity import ACTIVITY
from mappings.canonical.company import COMPANY
from mappings.canonical.contact import CONTACT
from mappings.canonical.invoice import INVOICE
from mappings.canonical.opportunity import OPPORTUNITY
from mappings.canonical.payment import PAYMENT
from mappings.canonical.product import PRODUCT
from mappings.canonical.production_order import PRODUCTION_ORDER
from mappings.canonical.sales_order import SALES_ORDER
from mappings.canonical.shipment import SHIPMENT
from mappings.canonical.values import Entity

#: In the order of reading and writing: no entity refers to a later one.
ENTITIES: dict[str, Entity] = {
    entity.name: entity
    for entity in (
        COMPANY,
        CONTACT,
        PRODUCT,
        OPPORTUNITY,
        SALES_ORDER,
        PRODUCTION_ORDER,
        SHIPMENT,
        INVOICE,
        PAYMENT,
        ACTIVITY,
    )
}
