"""Describes streams as the server's `fields_get` does, in the contract's words."""

from __future__ import annotations

from collections.abc import Iterator

from connectors.kit.contract import FieldInfo, StreamSchema
from connectors.tryton.client import Row, TrytonClient
from connectors.tryton.stream_models import Keys, Many, One, Part, Plain, Stream

TYPES = {
    "char": "text",
    "text": "text",
    "integer": "integer",
    "float": "number",
    "numeric": "number",
    "boolean": "boolean",
    "date": "date",
    "datetime": "datetime",
    "timestamp": "datetime",
    "selection": "enum",
    "many2one": "reference",
    "one2one": "reference",
    "reference": "text",
    "one2many": "list",
    "many2many": "list",
}
#: Fields that payloads have and no model has.
COMPUTED = {
    "account.invoice": {"due_date": "date", "amount_paid": "number"},
    "account.payment": {"invoice": "reference", "invoice.id": "text"},
    "production": {"sale": "reference", "sale.id": "text"},
    "stock.shipment.out": {"sales": "list", "sales.id": "text"},
}
#: Fields that Tryton requires and that the server or this connector fills in.
FILLED = frozenset({"code", "currency", "type"})
#: Fields that are read for others and are in no payload.
INNER = frozenset({"amount_to_pay"})


def describe(client: TrytonClient, stream: Stream) -> StreamSchema:
    """Returns the live fields of a stream's payload, those of its lists by dotted names."""
    live = client.fields(stream.model)
    fields = {"id": FieldInfo("id", "text", writable=False)}
    for name, part in stream.parts.items():
        for info in _describe(client, live, name, part):
            if info.name not in INNER:
                fields[info.name] = info
    for name, kind in COMPUTED.get(stream.model, {}).items():
        fields[name] = FieldInfo(name, kind, writable=False)
    return StreamSchema(stream.model, fields)


def _describe(
    client: TrytonClient, live: dict[str, Row], name: str, part: Part
) -> Iterator[FieldInfo]:
    facts = live.get(name)
    if isinstance(part, Many) and part.gathered:
        facts = {"type": "one2many"}
    if facts is None:
        return
    yield _info(name, facts, writable=_writable(part))
    match part:
        case One(shown=shown):
            for inner in ("id", *shown):
                yield FieldInfo(f"{name}.{inner}", "text", writable=part.write)
        case Keys():
            yield FieldInfo(f"{name}.id", "text", writable=False)
        case Many(model=model, parts=parts):
            yield FieldInfo(f"{name}.id", "text", writable=False)
            nested = client.fields(model)
            for inner, inner_part in parts.items():
                for info in _describe(client, nested, inner, inner_part):
                    yield _below(name, info)


def _below(name: str, info: FieldInfo) -> FieldInfo:
    return FieldInfo(
        f"{name}.{info.name}",
        info.type,
        required=info.required,
        writable=info.writable,
        options=info.options,
        length=info.length,
    )


def _writable(part: Part) -> bool:
    match part:
        case Plain(write=target):
            return bool(target)
        case One(write=allowed):
            return allowed
    return isinstance(part, Many)


def _info(name: str, facts: Row, *, writable: bool) -> FieldInfo:
    selection = facts.get("selection")
    options = [str(pair[0]) for pair in selection if pair[0]] if isinstance(selection, list) else []
    return FieldInfo(
        name,
        TYPES.get(str(facts["type"]), "object"),
        required=writable and name not in FILLED and bool(facts.get("required")),
        writable=writable,
        options=tuple(options),
        length=facts.get("size") if isinstance(facts.get("size"), int) else None,
    )
