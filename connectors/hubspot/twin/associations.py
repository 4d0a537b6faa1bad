"""Routes of associations: one by one, in batches, labels; the v4, the dated and the v3 paths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from connectors.hubspot.twin.association_store import CUSTOM, LinkType
from connectors.hubspot.twin.calls import (
    Call,
    Reply,
    batch_reply,
    part_field,
    text_field,
    whole_number,
)
from connectors.hubspot.twin.error_bodies import Refusal, invalid, missing
from connectors.hubspot.twin.objects import Row, labels_of
from connectors.hubspot.twin.properties_schema import Kind
from connectors.hubspot.twin.render import View, show
from connectors.hubspot.twin.stored_record import Label, Record

MOST_READ, MOST_WRITTEN, PAGE = 1_000, 2_000, 500


def _ends(call: Call) -> tuple[Kind, Kind]:
    return call.kind, call.account.catalogue[call.params["to_type"]]


def _pair(call: Call) -> tuple[Record, Record]:
    here, there = _ends(call)
    return (
        call.account.need(here, call.params["id"]),
        call.account.need(there, call.params["to_id"]),
    )


def _link(call: Call, pair: tuple[Record, Record], labels: Sequence[Label]) -> None:
    here, there = pair
    for label in labels:
        call.account.links.types.find(here.kind.name, there.kind.name, label)
    call.account.link(here, there, labels)


def _shown_pair(call: Call, pair: tuple[Record, Record], labels: Sequence[Label]) -> Row:
    one, other = pair
    types = call.account.links.types
    rows = [types.find(one.kind.name, other.kind.name, label) for label in labels]
    return {
        "fromObjectTypeId": one.kind.facts.type_id,
        "fromObjectId": str(one.id),
        "toObjectTypeId": other.kind.facts.type_id,
        "toObjectId": str(other.id),
        "labels": [row.label for row in rows if row.label],
    }


def put(call: Call) -> Reply:
    """Links two records with the types in the body, a list."""
    pair = _pair(call)
    labels = labels_of(call.json_list())
    _link(call, pair, labels)
    return Reply(201, _shown_pair(call, pair, labels))


def put_default(call: Call) -> Reply:
    """Links two records with the plain type."""
    pair = _pair(call)
    _link(call, pair, ())
    return batch_reply(call, _default_rows(call, pair), [])


def _default_rows(call: Call, pair: tuple[Record, Record]) -> list[Row]:
    """Shows the link from both sides, as the vendor does."""
    one, other = pair
    plain = call.account.links.types.plain(one.kind.name, other.kind.name)
    if plain is None:
        raise invalid(f"{one.kind.name} and {other.kind.name} cannot be associated")
    return [
        _default_row(one, other, (plain.category, plain.id)),
        _default_row(other, one, (plain.category, plain.inverse)),
    ]


def _default_row(one: Record, other: Record, label: Label) -> Row:
    spec = {"associationCategory": label[0], "associationTypeId": label[1]}
    return {"from": {"id": str(one.id)}, "to": {"id": str(other.id)}, "associationSpec": spec}


def remove(call: Call) -> Reply:
    """Removes all links between two records."""
    here, there = _ends(call)
    one = call.account.find(here, call.params["id"])
    other = call.account.find(there, call.params["to_id"])
    if one is not None and other is not None:
        call.account.unlink(one, other)
    return Reply(204)


def _targets(call: Call, one: Record, there: Kind) -> list[Row]:
    rows = []
    for key, types in call.account.links.rows(one, there.name):
        other = call.account.records(there).get(key)
        if other is not None and other.archived is None:
            rows.append({"toObjectId": str(key), "associationTypes": [t.spec() for t in types]})
    return rows


def read(call: Call) -> Reply:
    """Lists the links of one record to records of one type."""
    here, there = _ends(call)
    one = call.account.need(here, call.params["id"])
    limit, start = call.limit(PAGE, PAGE), whole_number(call.query.get("after", "0"))
    rows = _targets(call, one, there)
    reply: Row = {"results": rows[start : start + limit]}
    if start + limit < len(rows):
        reply["paging"] = {"next": {"after": str(start + limit)}}
    return Reply(200, reply)


def batch_read(call: Call) -> Reply:
    """Lists the links of many records; those without any come back in one error row, status 207."""
    here, there = _ends(call)
    results: list[Row] = []
    bare: list[str] = []
    for row in call.inputs(MOST_READ):
        key = text_field(row, "id")
        one = call.account.find(here, key)
        targets = _targets(call, one, there) if one is not None else []
        if targets:
            results.append({"from": {"id": key}, "to": targets})
        else:
            bare.append(key)
    return batch_reply(call, results, _no_links(here, there, bare))


def _no_links(here: Kind, there: Kind, keys: list[str]) -> list[Row]:
    """Says which records have no link at all.

    quirk(hubspot): one row per record, sub-category NO_ASSOCIATIONS_FOUND (seen in public clients).
    """
    names = f"{here.facts.singular} is associated with {there.facts.singular}"
    return [
        missing(f"No {names}.", subCategory="crm.associations.NO_ASSOCIATIONS_FOUND").row(
            {"fromObjectId": [key], "fromObjectType": [here.facts.singular]}
        )
        for key in keys
    ]


def _input_pair(call: Call, row: Row) -> tuple[Record, Record]:
    here, there = _ends(call)
    one = text_field(part_field(row, "from"), "id")
    other = text_field(part_field(row, "to"), "id")
    return call.account.need(here, one), call.account.need(there, other)


def _each(call: Call, write: Any, *, good: int) -> Reply:
    results: list[Row] = []
    errors: list[Row] = []
    for row in call.inputs(MOST_WRITTEN):
        try:
            results += write(row)
        except Refusal as refusal:
            ends = {"fromObjectId": row.get("from"), "toObjectId": row.get("to")}
            known = {key: end for key, end in ends.items() if isinstance(end, dict)}
            errors.append(refusal.row({key: [str(end.get("id"))] for key, end in known.items()}))
    return batch_reply(call, results, errors, good=good)


def batch_create(call: Call) -> Reply:
    """Links many pairs with given types."""

    def write(row: Row) -> list[Row]:
        pair, labels = _input_pair(call, row), labels_of(row.get("types"))
        _link(call, pair, labels)
        return [_shown_pair(call, pair, labels)]

    return _each(call, write, good=201)


def batch_default(call: Call) -> Reply:
    """Links many pairs with the plain type."""

    def write(row: Row) -> list[Row]:
        pair = _input_pair(call, row)
        _link(call, pair, ())
        return _default_rows(call, pair)

    return _each(call, write, good=200)


def batch_archive(call: Call) -> Reply:
    """Removes all links of many pairs; unknown ones are passed over."""
    here, there = _ends(call)
    for row in call.inputs(MOST_WRITTEN):
        one = call.account.find(here, text_field(part_field(row, "from"), "id"))
        ends = row.get("to")
        for end in ends if isinstance(ends, list) else [ends]:
            other = call.account.find(there, text_field(part_field({"to": end}, "to"), "id"))
            if one is not None and other is not None:
                call.account.unlink(one, other)
    return Reply(204)


def batch_labels_archive(call: Call) -> Reply:
    """Removes some labels of many pairs."""
    for row in call.inputs(MOST_WRITTEN):
        one, other = _input_pair(call, row)
        call.account.unlink(one, other, labels_of(row.get("types")))
    return Reply(204)


# -- labels ----------------------------------------------------------------------------------------


def labels(call: Call) -> Reply:
    """Lists the association types of one direction."""
    here, there = _ends(call)
    rows = call.account.links.types.between(here.name, there.name)
    return Reply(200, {"results": [row.spec() for row in rows]})


def define_label(call: Call) -> Reply:
    """Adds a label of the user's own."""
    here, there = _ends(call)
    row = call.json()
    name, label = text_field(row, "name"), text_field(row, "label")
    made = call.account.links.types.define(
        here.name, there.name, name=name, label=label, inverse=str(row.get("inverseLabel") or "")
    )
    return Reply(200, {"results": [made.spec()]})


def forget_label(call: Call) -> Reply:
    """Removes a label of the user's own."""
    here, there = _ends(call)
    number = call.params["type_id"]
    types = call.account.links.types
    if not any(
        t.category == CUSTOM and str(t.id) == number for t in types.between(here.name, there.name)
    ):
        raise missing()
    types.forget(here.name, there.name, int(number))
    return Reply(204)


# -- version 3: a link has a type name -------------------------------------------------------------


def _v3_name(here: Kind, there: Kind, link: LinkType) -> str:
    return link.name or f"{here.facts.singular}_to_{there.facts.singular}"


def v3_types(call: Call) -> Reply:
    """Lists the association types of one direction by name."""
    here, there = _ends(call)
    rows = call.account.links.types.between(here.name, there.name)
    return Reply(
        200, {"results": [{"id": str(t.id), "name": _v3_name(here, there, t)} for t in rows]}
    )


def v3_read(call: Call) -> Reply:
    """Lists the links of one record, each with one type name."""
    here, there = _ends(call)
    one = call.account.need(here, call.params["id"])
    return Reply(200, {"results": _v3_targets(call, one, there)})


def v3_put(call: Call) -> Reply:
    """Links two records by type name or number; answers the first one."""
    pair, name = _pair(call), call.params["name"]
    one, other = pair
    here, there = one.kind, other.kind
    for link in call.account.links.types.between(here.name, there.name):
        if name in (str(link.id), _v3_name(here, there, link)):
            _link(call, pair, [(link.category, link.id)])
            return Reply(200, show(call.account, one, View(associations=[there.name])))
    raise invalid(f"{name} is not an association type of {here.name} and {there.name}")


def _v3_targets(call: Call, one: Record, there: Kind) -> list[Row]:
    name = f"{one.kind.facts.singular}_to_{there.facts.singular}"
    return [{"id": row["toObjectId"], "type": name} for row in _targets(call, one, there)]


def v3_batch_read(call: Call) -> Reply:
    """Lists the links of many records, each with one type name."""
    here, there = _ends(call)
    results = []
    for row in call.inputs(MOST_READ):
        one = call.account.find(here, text_field(row, "id"))
        shown = _v3_targets(call, one, there) if one is not None else []
        if shown:
            results.append({"from": {"id": text_field(row, "id")}, "to": shown})
    return batch_reply(call, results, [])


def v3_batch_create(call: Call) -> Reply:
    """Links many pairs by type name."""

    def write(row: Row) -> list[Row]:
        pair = _input_pair(call, row)
        _link(call, pair, ())
        one, other = pair
        ends = {"from": {"id": str(one.id)}, "to": {"id": str(other.id)}}
        return [{**ends, "type": str(row.get("type", ""))}]

    return _each(call, write, good=201)
