"""A customer or prospect: an organisation that buys or may buy."""

from __future__ import annotations

from mappings.canonical.values import Entity, Field

COMPANY = Entity(
    name="company",
    fields={
        "name": Field("text"),
        "domain": Field("domain", "web domain without www"),
        "email": Field("email"),
        "phone": Field("phone"),
        "tax_id": Field("tax_id", "VAT or tax number"),
        "address.street": Field("text", "street and number; several lines allowed"),
        "address.city": Field("text"),
        "address.postal_code": Field("text"),
        "address.region": Field("text", "state or province"),
        "address.country": Field("country"),
        "industry": Field("text"),
        "owner": Field("text", "the salesperson, as the CRM names them"),
        "figures.last_order": Field("text", "number of the newest order in the ERP"),
        "figures.last_order_state": Field("text"),
        "figures.open_orders": Field("integer", "orders confirmed and not done"),
        "figures.in_production": Field("integer", "production orders not done"),
        "figures.invoiced": Field("decimal", "sum of posted invoices"),
        "figures.open_balance": Field("decimal", "posted and not yet paid"),
        "figures.overdue_balance": Field("decimal", "of it past its due date"),
        "figures.currency": Field("currency"),
    },
    match=(("tax_id",), ("domain",), ("email",), ("name", "address.postal_code")),
    suggest=(("name",), ("phone",)),
    contradict=("tax_id", "address.country"),
    label=("{name}",),
)
