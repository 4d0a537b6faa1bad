"""What a fresh Tryton needs before it can sell: company, chart, taxes, products, stock.

Everything over JSON-RPC, as an administrator would do it by hand; for the sandbox only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import pycountry

from connectors.tryton.articles import ARTICLES, Article
from connectors.tryton.client import TrytonClient
from connectors.tryton.wire_values import to_wire

#: Modules to activate; theirs follow by themselves.
MODULES = (
    "account_invoice_stock",
    "account_payment",
    "sale_supply_production",
)


@dataclass(frozen=True, slots=True)
class Seed:
    """What the sandbox's company is like."""

    company: str = "Tulay Works"
    #: ISO 4217.
    currency: str = "EUR"
    #: Share of the price.
    tax: str = "0.20"
    payment_days: int = 30
    articles: tuple[Article, ...] = ARTICLES
    login: str = "admin"
    password: str = field(default="admin", repr=False)
    #: The first of two fiscal years: bills of last month must find theirs in January, too.
    year: int = field(default_factory=lambda: (date.today() - timedelta(days=45)).year)  # noqa: DTZ011


def fill(client: TrytonClient, seed: Seed) -> None:
    """Sets up an empty database, ready to sell."""
    _finish_wizards(client)
    company = _create_company(client, seed)
    # the client has cached the user's preferences without the company: give it along
    office = _Office(client, company)
    _create_countries(office)
    accounts = _create_chart(office)
    _create_years(office, seed.year)
    tax = _create_tax(office, seed.tax, accounts)
    _create_term(office, seed.payment_days)
    category = _create_category(office, tax, accounts)
    products = _create_articles(office, seed.articles, category)
    _count_stock(office, seed.articles, products)
    _create_payment_ways(office, seed, accounts)


@dataclass(frozen=True, slots=True)
class _Office:
    """Calls methods of models in one company."""

    client: TrytonClient
    company: int

    def call(self, model: str, method: str, *params: Any) -> Any:
        context = {"company": self.company}
        return self.client.call(f"model.{model}.{method}", *params, context=context)

    def create(self, model: str, *values: dict[str, Any]) -> list[int]:
        found: list[int] = self.call(model, "create", list(values))
        return found

    def one(self, model: str, *domain: Any) -> int:
        found: list[int] = self.call(model, "search", list(domain), 0, 1, None)
        return found[0]


def _number(value: str) -> Any:
    return to_wire(value, "numeric")


def _finish_wizards(client: TrytonClient) -> None:
    items = client.search("ir.module.config_wizard.item", [["state", "!=", "done"]])
    client.call("model.ir.module.config_wizard.item.write", items, {"state": "done"})


def _create_company(client: TrytonClient, seed: Seed) -> int:
    iso = pycountry.currencies.lookup(seed.currency)
    values = {
        "name": iso.name,
        "code": iso.alpha_3,
        "numeric_code": iso.numeric,
        "symbol": iso.alpha_3,
        "digits": 2,
        "rounding": _number("0.01"),
    }
    (currency,) = client.call("model.currency.currency.create", [values])
    (party,) = client.call("model.party.party.create", [{"name": seed.company}])
    values = {"party": party, "currency": currency}
    (company,) = client.call("model.company.company.create", [values])
    (user,) = client.search("res.user", [["login", "=", seed.login]])
    client.call(
        "model.res.user.write", [user], {"companies": [["add", [company]]], "company": company}
    )
    return int(company)


def _create_countries(office: _Office) -> None:
    countries = [
        {"name": iso.name, "code": iso.alpha_2, "code3": iso.alpha_3, "code_numeric": iso.numeric}
        for iso in pycountry.countries
    ]
    ids = office.create("country.country", *countries)
    by_code = {values["code"]: number for values, number in zip(countries, ids, strict=True)}
    regions = [
        {"name": iso.name, "code": iso.code, "type": "state", "country": by_code[iso.country_code]}
        for iso in pycountry.subdivisions
        if iso.country_code in {"US", "DE", "CA", "AU"} and not iso.parent_code
    ]
    office.create("country.subdivision", *regions)


def _create_chart(office: _Office) -> dict[str, int]:
    template = office.one("account.account.template", ["parent", "=", None])
    wizard = "wizard.account.create_chart"
    client, context = office.client, {"company": office.company}
    session = client.call(f"{wizard}.create", context=context)[0]
    data: dict[str, Any] = {"account": {"account_template": template, "company": office.company}}
    client.call(f"{wizard}.execute", session, data, "create_account", context=context)
    company = ["company", "=", office.company]
    kinds = {"receivable": True, "payable": True, "revenue": False, "expense": False}
    accounts = {
        kind: office.one(
            "account.account",
            [f"type.{kind}", "=", True],
            ["party_required", "=", by_party],
            ["closed", "!=", True],
            company,
        )
        for kind, by_party in kinds.items()
    }
    data["properties"] = {
        "company": office.company,
        "account_receivable": accounts["receivable"],
        "account_payable": accounts["payable"],
        "category_account_expense": accounts["expense"],
        "category_account_revenue": accounts["revenue"],
    }
    client.call(f"{wizard}.execute", session, data, "create_properties", context=context)
    client.call(f"{wizard}.delete", session, context=context)
    # quirk(tryton): the chart of 7.0 is smaller and has no codes. Source: its minimal_chart_en.xml
    cash = ["OR", ["code", "=", "1.1.1"], ["name", "=", "Main Cash"]]
    tax = ["OR", ["code", "=", "6.3.6"], ["name", "=", "Main Tax"]]
    accounts["cash"] = office.one("account.account", cash, company)
    accounts["tax"] = office.one("account.account", tax, company)
    return accounts


def _create_years(office: _Office, first: int) -> None:
    kinds = {name: _sequence_kind(office, name) for name in ("Account Move", "Invoice")}
    known = office.client.fields("account.fiscalyear")
    # quirk(tryton): 7.0 has another name for it, and another kind. Source: its fiscalyear.py
    move_field = next(n for n in ("move_sequence", "post_move_sequence") if n in known)
    for year in (first, first + 1):
        moves, invoices = (
            office.create(
                relation,
                {"name": f"{name} {year}", "sequence_type": kinds[name], "company": office.company},
            )[0]
            for name, relation in (
                ("Account Move", known[move_field]["relation"]),
                ("Invoice", "ir.sequence.strict"),
            )
        )
        ways = ("out_invoice", "in_invoice", "out_credit_note", "in_credit_note")
        sequences = {f"{way}_sequence": invoices for way in ways}
        years = office.create(
            "account.fiscalyear",
            {
                "name": str(year),
                "company": office.company,
                "start_date": to_wire(f"{year}-01-01", "date"),
                "end_date": to_wire(f"{year}-12-31", "date"),
                move_field: moves,
                "invoice_sequences": [["create", [{"company": office.company, **sequences}]]],
            },
        )
        office.call("account.fiscalyear", "create_period", years)


def _sequence_kind(office: _Office, name: str) -> int:
    return office.one("ir.sequence.type", ["name", "=", name])


def _create_tax(office: _Office, rate: str, accounts: dict[str, int]) -> int:
    (tax,) = office.create(
        "account.tax",
        {
            "name": f"Tax {rate}",
            "description": f"Tax {rate}",
            "type": "percentage",
            "rate": _number(rate),
            "company": office.company,
            "invoice_account": accounts["tax"],
            "credit_note_account": accounts["tax"],
        },
    )
    return tax


def _create_term(office: _Office, days: int) -> None:
    line = {"type": "remainder", "relativedeltas": [["create", [{"days": days}]]]}
    office.create(
        "account.invoice.payment_term", {"name": f"{days} days", "lines": [["create", [line]]]}
    )


def _create_category(office: _Office, tax: int, accounts: dict[str, int]) -> int:
    (category,) = office.create(
        "product.category",
        {
            "name": "Goods",
            "accounting": True,
            "account_expense": accounts["expense"],
            "account_revenue": accounts["revenue"],
            "customer_taxes": [["add", [tax]]],
        },
    )
    return category


def _create_articles(office: _Office, articles: Sequence[Article], category: int) -> dict[str, int]:
    unit = office.one("product.uom", ["name", "=", "Unit"])
    templates = [_template(article, unit, category) for article in articles]
    ids = office.create("product.template", *templates)
    rows = office.call("product.template", "read", ids, ["products"])
    variants = {row["id"]: row["products"][0] for row in rows}
    products = {
        article.code: variants[number] for article, number in zip(articles, ids, strict=True)
    }
    for article in articles:
        if article.parts:
            _create_recipe(office, article, products, unit)
    return products


def _template(article: Article, unit: int, category: int) -> dict[str, Any]:
    made = bool(article.parts)
    return {
        "name": article.name,
        "code": article.code,
        "type": "goods",
        "default_uom": unit,
        "sale_uom": unit,
        "list_price": _number(article.price),
        "account_category": category,
        "salable": True,
        "producible": made,
        "supply_on_sale": "always" if made else None,
        "products": [["create", [{"cost_price": _number(article.cost)}]]],
    }


def _create_recipe(office: _Office, article: Article, products: dict[str, int], unit: int) -> None:
    inputs = [
        {"product": products[code], "quantity": float(pieces), "unit": unit}
        for code, pieces in article.parts
    ]
    output = {"product": products[article.code], "quantity": 1.0, "unit": unit}
    (recipe,) = office.create(
        "production.bom",
        {
            "name": article.name,
            "inputs": [["create", inputs]],
            "outputs": [["create", [output]]],
        },
    )
    change = {"boms": [["create", [{"bom": recipe}]]]}
    office.call("product.product", "write", [products[article.code]], change)


def _count_stock(office: _Office, articles: Sequence[Article], products: dict[str, int]) -> None:
    lines = [
        {"product": products[article.code], "quantity": float(article.stock)}
        for article in articles
        if article.stock
    ]
    storage = office.one("stock.location", ["code", "=", "STO"])
    ids = office.create(
        "stock.inventory",
        {"location": storage, "company": office.company, "lines": [["create", lines]]},
    )
    office.call("stock.inventory", "confirm", ids)


def _create_payment_ways(office: _Office, seed: Seed, accounts: dict[str, int]) -> None:
    journal = office.one("account.journal", ["type", "=", "cash"])
    office.create(
        "account.invoice.payment.method",
        {
            "name": "Cash",
            "journal": journal,
            "company": office.company,
            "credit_account": accounts["cash"],
            "debit_account": accounts["cash"],
        },
    )
    currency = office.one("currency.currency", ["code", "=", seed.currency])
    office.create(
        "account.payment.journal",
        {
            "name": "Manual",
            "process_method": "manual",
            "company": office.company,
            "currency": currency,
        },
    )
