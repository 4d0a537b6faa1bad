"""Which models are streams, what their payloads are made of, and what belongs to their version.

Tables. A record's version covers all rows that its payload is made of, so that a person who edits
an address on its own form is noticed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Literal

from connectors.kit.contract import Payload
from connectors.tryton.client import Domain, Row
from connectors.tryton.wire_values import MARK, from_wire, unmarked

#: Read of every row that a version covers.
STAMPS = ("_timestamp", "create_date", "write_date")
SALE_LINE = "sale.line,"
INVOICE = "account.invoice,"
#: Contact mechanisms by which one calls a person.
PHONES = ("phone", "mobile")


@dataclass(frozen=True, slots=True)
class Plain:
    """A scalar."""

    #: Where to read it when it has another name or lives on a parent.
    path: str = ""
    #: Where to write it; blank: it cannot be written.
    write: str = ""
    #: quirk(tryton): SQLite has 1 and 0 for related booleans. Source: trytond 8.2, seen live.
    flag: bool = False


@dataclass(frozen=True, slots=True)
class One:
    """A reference: `{"id": "5", "code": "DE"}`."""

    shown: tuple[str, ...] = ()
    write: bool = True
    #: A region: looked for in what this other field of the item refers to, blank when not there.
    within: str = ""


@dataclass(frozen=True, slots=True)
class Keys:
    """A list of references: `[{"id": "5"}]`, read only."""


@dataclass(frozen=True, slots=True)
class Many:
    """A list of rows that belong to the record."""

    model: str
    parts: Mapping[str, Plain | One]
    #: Removing an item makes it inactive instead of deleting it.
    archive: bool = False
    #: Only items with this value of this field are shown.
    only: tuple[str, str] | None = None
    #: The model has no such field: the connector puts the rows together.
    gathered: bool = False


Part = Plain | One | Keys | Many


@dataclass(frozen=True, slots=True)
class Draft:
    """A payload in the making."""

    row: Row
    payload: Payload
    #: Sale line reference -> key of its sale.
    sales: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Stream:
    """One stream: a model and how to read, recognise and write its records."""

    model: str
    parts: Mapping[str, Part]
    #: Field path -> model of further rows that the version covers.
    covers: Mapping[str, str] = field(default_factory=dict)
    #: Paths whose rows' dates show a change; None: the lists of `parts` and all of `covers`.
    watch: tuple[str, ...] | None = None
    #: Paths of which only some rows' dates show a change.
    watch_some: Mapping[str, Domain] = field(default_factory=dict)
    #: Further fields that `finish`, `member` or `trace` need.
    extra: tuple[str, ...] = ()
    #: What every record of the stream always is.
    scope: Domain = field(default_factory=list)
    #: What it must be on top right now, as a domain and as a question to a row.
    filter: Domain = field(default_factory=list)
    member: Callable[[Row], bool] | None = None
    by_company: bool = True
    #: Where `Create.once` goes.
    once: Literal["identifiers", "reference", "comment", ""] = ""
    #: Makes the payload's computed fields.
    finish: Callable[[Draft], None] | None = None
    #: References to sale lines in a row.
    trace: Callable[[Row], Sequence[str]] | None = None
    #: Action -> states in which nothing is left to do.
    actions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    create: bool = False
    update: bool = False
    #: `Delete` makes inactive; where a payload shows `active`, that field does it instead.
    archive: bool = False
    #: Records are people: see people.py.
    people: bool = False
    #: Parts that series 7.0 has elsewhere.
    before: Mapping[str, Plain] = field(default_factory=dict)

    def of(self, series: str) -> Stream:
        """Returns the stream as a release series has it."""
        if not self.before or not series.startswith("7."):
            return self
        return replace(self, parts={**self.parts, **self.before})

    def fields(self) -> list[str]:
        """Returns what to ask the server for."""
        names = {*STAMPS, *self.extra}
        for name, part in self.parts.items():
            names.update(_fields(name, part))
        names.update(f"{path}.{stamp}" for path in self.covers for stamp in STAMPS)
        if self.once in ("reference", "comment"):
            names.add(self.once)
        return sorted(names)

    def watched(self) -> tuple[str, ...]:
        """Returns the paths whose rows' dates show a change of the record."""
        if self.watch is not None:
            return self.watch
        lists = [name for name, part in self.parts.items() if isinstance(part, Many)]
        return (*lists, *self.covers)

    def part_models(self) -> list[str]:
        """Returns the models of the rows that its payloads list."""
        return [part.model for part in self.parts.values() if isinstance(part, Many)]

    def models(self) -> list[str]:
        """Returns the models of which reading the stream reads rows, its own first."""
        lists = self.part_models()
        traced = ["sale.line"] if self.trace is not None else []
        return list(dict.fromkeys([self.model, *lists, *self.covers.values(), *traced]))

    def rows(self, row: Row) -> Iterator[tuple[str, Row]]:
        """Yields the record's own row and all others that its version covers."""
        yield self.model, row
        for name, part in self.parts.items():
            if isinstance(part, Many):
                yield from ((part.model, item) for item in items_at(row, name))
        for path, model in self.covers.items():
            yield from ((model, item) for item in items_at(row, path))

    def payload(self, row: Row, sales: Mapping[str, str]) -> Payload:
        """Returns the record as the contract has it."""
        payload: Payload = {"id": str(row["id"])}
        for name, part in self.parts.items():
            payload[name] = _value(row, name, part)
        if self.finish is not None:
            self.finish(Draft(row, payload, sales))
        return payload

    def external_id_of(self, row: Row) -> str | None:
        """Returns the hub id that the record carries, when it does."""
        match self.once:
            case "identifiers":
                codes = [str(item.get("code") or "") for item in items_at(row, "identifiers")]
                return next((unmarked(code)[1] for code in codes if code.startswith(MARK)), None)
            case "":
                return None
        return unmarked(row.get(self.once))[1]


def _fields(name: str, part: Part) -> Iterator[str]:
    match part:
        case Plain(path=path):
            yield path or name
        case One(shown=()) | Keys():
            yield name
        case One(shown=shown):
            yield from (f"{name}.{field}" for field in shown)
        case Many(gathered=True):
            return
        case Many():
            own = [*STAMPS, *(["active"] if part.archive else [])]
            own += [part.only[0]] if part.only else []
            for inner, inner_part in part.parts.items():
                own.extend(_fields(inner, inner_part))
            yield from (f"{name}.{field}" for field in own)


def dig(row: Row | None, path: str) -> Any:
    """Returns the value at a dotted path of a row; None when something on the way is missing.

    >>> dig({"template.": {"id": 1, "name": "Widget"}}, "template.name")
    'Widget'
    """
    *way, last = path.split(".")
    for step in way:
        row = (row or {}).get(f"{step}.")
    return (row or {}).get(last)


def items_at(row: Row, path: str) -> list[Row]:
    """Returns the rows that a path leads to, one or many.

    >>> items_at({"template.": {"id": 1}}, "template"), items_at({"lines.": None}, "lines")
    ([{'id': 1}], [])
    """
    found: Any = row
    for step in path.split("."):
        found = (found or {}).get(f"{step}.")
    return found if isinstance(found, list) else [found] if found else []


def _value(row: Row, name: str, part: Part) -> Any:
    match part:
        case Plain(path=path, flag=flag):
            value = dig(row, path or name)
            return bool(value) if flag else from_wire(value)
        case One(shown=()):
            key = row.get(name)
            return None if key is None else {"id": str(key)}
        case One(shown=shown):
            found = row.get(f"{name}.")
            return found and {"id": str(found["id"]), **{each: found.get(each) for each in shown}}
        case Keys():
            return [{"id": str(key)} for key in row.get(name) or ()]
        case Many():
            return [_item(item, part) for item in items_at(row, name) if _shown(item, part)]


def _shown(item: Row, part: Many) -> bool:
    if part.archive and not item.get("active"):
        return False
    return part.only is None or item.get(part.only[0]) == part.only[1]


def _item(item: Row, part: Many) -> dict[str, Any]:
    values = {name: _value(item, name, inner) for name, inner in part.parts.items()}
    return {"id": str(item["id"]), **values}


def _writable(*names: str) -> dict[str, Plain]:
    return {name: Plain(write=name) for name in names}


def _fixed(*names: str) -> dict[str, Plain]:
    return {name: Plain() for name in names}


def _sale(reference: Any, sales: Mapping[str, str]) -> dict[str, str] | None:
    key = sales.get(str(reference))
    return None if key is None else {"id": key}


def _finish_party(draft: Draft) -> None:
    shown = draft.payload["identifiers"]
    draft.payload["identifiers"] = [
        each for each in shown if not str(each["code"] or "").startswith(MARK)
    ]


def _finish_sale(draft: Draft) -> None:
    draft.payload["reference"] = unmarked(draft.row.get("reference"))[0]


def _finish_production(draft: Draft) -> None:
    draft.payload["sale"] = _sale(draft.row.get("origin"), draft.sales)


def _shipment_origins(row: Row) -> list[str]:
    return [str(move.get("origin")) for move in items_at(row, "outgoing_moves")]


def _finish_shipment(draft: Draft) -> None:
    found = {draft.sales[each] for each in _shipment_origins(draft.row) if each in draft.sales}
    draft.payload["sales"] = [{"id": key} for key in sorted(found, key=int)]


def _finish_invoice(draft: Draft) -> None:
    days = [from_wire(line.get("maturity_date")) for line in items_at(draft.row, "lines_to_pay")]
    draft.payload["due_date"] = max((day for day in days if day), default=None)
    open_amount = draft.payload.pop("amount_to_pay")
    paid = Decimal(0)
    if draft.payload["state"] in ("posted", "paid"):
        paid = Decimal(draft.payload["total_amount"] or 0) - Decimal(open_amount or 0)
    draft.payload["amount_paid"] = from_wire({"__class__": "Decimal", "decimal": str(paid)})


def _finish_payment(draft: Draft) -> None:
    origin = str(dig(draft.row, "line.move.origin"))
    key = origin.removeprefix(INVOICE) if origin.startswith(INVOICE) else None
    draft.payload["invoice"] = None if key is None else {"id": key}


PARTY = Stream(
    "party.party",
    {
        **_writable("name", "code"),
        "active": Plain(write="active", flag=True),
        "addresses": Many(
            "party.address",
            {
                **_writable("street", "postal_code", "city"),
                "country": One(("code",)),
                "subdivision": One(("code", "name"), within="country"),
            },
            archive=True,
        ),
        "contact_mechanisms": Many(
            "party.contact_mechanism", _writable("type", "value", "name"), archive=True
        ),
        "identifiers": Many("party.identifier", _writable("type", "code")),
    },
    extra=("replaced_by",),
    filter=[["replaced_by", "=", None]],
    by_company=False,
    once="identifiers",
    finish=_finish_party,
    create=True,
    update=True,
)

#: What of a party's mechanisms tells which of them are a person's.
_MECHANISM = ("type", "value", "name", "comment", "active", *STAMPS)

CONTACT = Stream(
    "party.contact_mechanism",
    {
        **_writable("type", "value", "name"),
        "party": One(),
        "phones": Many(
            "party.contact_mechanism", _writable("type", "value"), archive=True, gathered=True
        ),
    },
    watch=("party",),  # which changes when a mechanism is taken away there
    watch_some={"party.contact_mechanisms": [["type", "in", PHONES]]},
    extra=("active", *(f"party.contact_mechanisms.{name}" for name in _MECHANISM)),
    scope=[["type", "=", "email"]],
    filter=[["name", "!=", None], ["name", "!=", ""], ["active", "=", True]],
    member=lambda row: bool(row.get("name")) and bool(row.get("active")),
    by_company=False,
    once="comment",
    create=True,
    update=True,
    archive=True,
    people=True,
)

PRODUCT = Stream(
    "product.product",
    {
        **_fixed("code"),
        "name": Plain("template.name", write="template.name"),
        **_writable("description"),
        "list_price": Plain("list_price_used", write="template.list_price"),
        **_writable("cost_price"),
        "active": Plain(write="active", flag=True),
    },
    covers={
        "template": "product.template",
        "template.list_prices": "product.list_price",
        "cost_prices": "product.cost_price",
    },
    by_company=False,
    update=True,
    # quirk(tryton): 7.0 has no field for the price that counts. Source: its product.py
    before={"list_price": Plain("template.list_price", write="template.list_price")},
)

SALE = Stream(
    "sale.sale",
    {
        **_fixed("number"),
        **_writable("reference", "description"),
        **_fixed("state"),
        **_writable("sale_date"),
        "party": One(),
        "currency": One(("code",)),
        **_fixed("untaxed_amount", "tax_amount", "total_amount", "shipment_state"),
        **_fixed("invoice_state"),
        "lines": Many(
            "sale.line",
            {"product": One(("code",)), **_writable("description", "quantity", "unit_price")},
            only=("type", "line"),
        ),
    },
    once="reference",
    finish=_finish_sale,
    actions={
        "quote": ("quotation", "confirmed", "processing", "done"),
        "confirm": ("confirmed", "processing", "done"),
        "process": ("processing", "done"),
        "cancel": ("cancelled",),
        "draft": ("draft",),
    },
    create=True,
    update=True,
)

PRODUCTION = Stream(
    "production",
    {
        **_fixed("number", "state", "quantity"),
        "product": One(("code",), write=False),
        **_fixed("planned_date"),
    },
    extra=("origin",),
    finish=_finish_production,
    trace=lambda row: [str(row.get("origin"))],
)

SHIPMENT = Stream(
    "stock.shipment.out",
    {
        **_fixed("number", "state"),
        "customer": One(write=False),
        **_fixed("planned_date", "effective_date"),
    },
    covers={"outgoing_moves": "stock.move"},
    watch=("moves",),  # of `outgoing_moves`, which is computed, the server cannot search the rows
    extra=("outgoing_moves.origin",),
    finish=_finish_shipment,
    trace=_shipment_origins,
)

INVOICES = Stream(
    "account.invoice",
    {
        **_fixed("number", "state"),
        "party": One(write=False),
        "sales": Keys(),
        "currency": One(("code",), write=False),
        **_fixed("invoice_date", "untaxed_amount", "tax_amount", "total_amount"),
        **_fixed("amount_to_pay"),
    },
    covers={"lines_to_pay": "account.move.line", "payment_lines": "account.move.line"},
    # what is paid is computed from these rows; `lines_to_pay` itself cannot be searched
    watch=("move.lines", "payment_lines"),
    extra=("lines_to_pay.maturity_date",),
    scope=[["type", "=", "out"]],
    finish=_finish_invoice,
)

PAYMENT = Stream(
    "account.payment",
    {
        **_fixed("reference", "state"),
        "party": One(write=False),
        **_fixed("amount"),
        "currency": One(("code",), write=False),
        **_fixed("date"),
    },
    extra=("line.move.origin",),
    scope=[["kind", "=", "receivable"]],
    finish=_finish_payment,
    # quirk(tryton): 7.0 calls it so. Source: its payment.py
    before={"reference": Plain("description")},
)

STREAMS: Mapping[str, Stream] = {
    stream.model: stream
    for stream in (
        PARTY,
        CONTACT,
        PRODUCT,
        SALE,
        PRODUCTION,
        SHIPMENT,
        INVOICES,
        PAYMENT,
    )
}
