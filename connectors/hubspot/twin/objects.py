"""Routes of single records: list, create, read, update, archive, merge."""

from __future__ import annotations

from typing import Any

from connectors.hubspot.twin.account import Drafts
from connectors.hubspot.twin.calls import Call, Reply, part_field, text_field, whole_number
from connectors.hubspot.twin.error_bodies import invalid, lacking, missing
from connectors.hubspot.twin.page_faults import bring_back, turn_page
from connectors.hubspot.twin.render import View, show, written
from connectors.hubspot.twin.stored_record import Label

Row = dict[str, Any]


def view_of(call: Call) -> View:
    """Returns what the query asks to see."""
    return View(
        call.names("properties"), call.names("propertiesWithHistory"), call.names("associations")
    )


def list_page(call: Call) -> Reply:
    """Answers a page of records in order of their ids; `after` is the next one's id."""
    view = view_of(call)
    limit = call.limit(10, 50 if view.history else 100)
    after = call.query.get("after", "0")
    archived = call.flag("archived")
    limit = min(limit, call.account.settings.most_rows)
    if after != "0":
        turn_page(call.account, call.kind)
    else:
        bring_back(call.account)
    rows: list[Row] = []
    for record in call.account.after(call.kind, whole_number(after)):
        if (record.archived is not None) != archived:
            continue
        if len(rows) == limit:
            link = f"https://api.hubapi.com{call.path}?after={record.id}"
            return Reply(
                200, {"results": rows, "paging": {"next": {"after": str(record.id), "link": link}}}
            )
        rows.append(show(call.account, record, view))
    return Reply(200, {"results": rows})


def properties_of(row: Row) -> dict[str, Any]:
    """Returns the properties of an input. Raises: Refusal (400)."""
    values = row.get("properties")
    if not isinstance(values, dict):
        raise lacking("properties")
    return values


def labels_of(types: Any) -> list[Label]:
    """Returns association types given as category and id. Raises: Refusal (400)."""
    if not isinstance(types, list) or not all(isinstance(spec, dict) for spec in types):
        raise lacking("types")
    return [
        (
            text_field(spec, "associationCategory"),
            whole_number(text_field(spec, "associationTypeId")),
        )
        for spec in types
    ]


def drafts_of(call: Call, row: Row) -> Drafts:
    """Finds the records that a new one shall be linked to. Raises: Refusal."""
    drafts: Drafts = []
    for link in row.get("associations") or ():
        if not isinstance(link, dict):
            raise lacking("to")
        key = text_field(part_field(link, "to"), "id")
        labels = labels_of(link.get("types"))
        if not labels:
            raise lacking("types")
        for kind in call.account.catalogue.kinds.values():
            types = call.account.links.types.between(call.kind.name, kind.name)
            if any((t.category, t.id) in labels for t in types):
                target = call.account.find(kind, key)
                if target is None:
                    raise missing(f"The association target {key} does not exist")
                drafts.append((target, labels))
                break
        else:
            raise invalid(f"One or more association types are not valid: {labels}")
    return drafts


def create(call: Call) -> Reply:
    """Makes a record."""
    row = call.json()
    links = drafts_of(call, row)
    record = call.account.create(call.kind, properties_of(row), links=links)
    return Reply(201, written(record, record.values))


def read(call: Call) -> Reply:
    """Answers one record."""
    by = call.query.get("idProperty")
    record = call.account.need(call.kind, call.params["id"], by=by, archived=call.flag("archived"))
    return Reply(200, show(call.account, record, view_of(call)))


def update(call: Call) -> Reply:
    """Changes a record."""
    values = properties_of(call.json())
    record = call.account.need(call.kind, call.params["id"], by=call.query.get("idProperty"))
    changed = call.account.update(record, values)
    return Reply(200, written(record, changed))


def archive(call: Call) -> Reply:
    """Archives a record; idempotent."""
    record = call.account.find(call.kind, call.params["id"])
    if record is not None:
        call.account.archive(record)
    elif call.account.find(call.kind, call.params["id"], archived=True) is None:
        raise missing()
    return Reply(204)


def merge(call: Call) -> Reply:
    """Makes one new record of two."""
    kind, row = call.kind, call.json()
    if not kind.facts.merges:
        raise missing(f"{kind.name} cannot be merged")
    winner = call.account.need(kind, text_field(row, "primaryObjectId"))
    loser = call.account.need(kind, text_field(row, "objectIdToMerge"))
    if winner is loser:
        raise invalid("A record cannot be merged with itself")
    survivor = call.account.merge(winner, loser)
    return Reply(200, written(survivor, survivor.values))


def forget(call: Call) -> Reply:
    """Deletes a contact for good (GDPR)."""
    row = call.json()
    kind = call.account.catalogue["contacts"]
    record = call.account.find(kind, text_field(row, "objectId"), by=row.get("idProperty"))
    if record is not None:
        call.account.purge(record)
    return Reply(204)
