"""Shows records as the API does: strings, wanted properties, history, associations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from connectors.hubspot.twin.account import Account
from connectors.hubspot.twin.association_store import LinkType
from connectors.hubspot.twin.property_values import iso
from connectors.hubspot.twin.stored_record import Record


@dataclass(frozen=True, slots=True)
class View:
    """What a caller wants to see of records."""

    properties: Sequence[str] = ()
    history: Sequence[str] = ()
    associations: Sequence[str] = ()


def show(account: Account, record: Record, view: View | None = None) -> dict[str, Any]:
    """Returns a record as a read shows it; wanted properties without a value are null.

    quirk(hubspot): naming properties replaces the default ones, except the two times and the id;
    unknown names are ignored (seen in the vendor's search examples).
    """
    view = view or View()
    known = record.kind.properties
    names = [n for n in view.properties if n in known and known[n].archived is None]
    wanted = {*names, *record.kind.times} if view.properties else set(record.kind.defaults)
    shown = _frame(record, {name: record.value(name) for name in sorted(wanted)})
    if view.history:
        shown["propertiesWithHistory"] = {
            n: _history(record, n) for n in view.history if n in known
        }
    if view.associations:
        shown["associations"] = _associations(account, record, view.associations)
        if not shown["associations"]:
            del shown["associations"]
    return shown


def whole(account: Account, record: Record) -> dict[str, Any]:
    """Returns a record with every property that has a value, and the ids of what it is linked to.

    As a user sees it in the UI; no endpoint answers in this form.
    """
    names = {*record.values, *record.kind.times}
    links = {
        there: [str(key) for key, _ in account.links.rows(record, there)]
        for there, targets in record.links.items()
        if targets
    }
    return {
        "id": str(record.id),
        "properties": {name: record.value(name) for name in sorted(names)},
        "associations": links,
        "createdAt": iso(record.created),
        "updatedAt": iso(record.updated),
        "archived": record.archived is not None,
    }


def written(record: Record, names: Iterable[str]) -> dict[str, Any]:
    """Returns a record as a write echoes it: what was written, and defaults that have a value."""
    values = {name: record.value(name) for name in sorted({*names, *record.kind.defaults})}
    return _frame(record, {name: text for name, text in values.items() if text is not None})


def _frame(record: Record, properties: dict[str, str | None]) -> dict[str, Any]:
    shown = {
        "id": str(record.id),
        "properties": properties,
        "createdAt": iso(record.created),
        "updatedAt": iso(record.updated),
        "archived": record.archived is not None,
    }
    if record.archived is not None:
        shown["archivedAt"] = iso(record.archived)
    return shown


def _history(record: Record, name: str) -> list[dict[str, Any]]:
    return [
        {
            "value": change.value,
            "timestamp": iso(change.at),
            "sourceType": change.source.type,
            "sourceId": change.source.id,
        }
        for change in record.changes(name)
    ]


def _associations(
    account: Account, record: Record, wanted: Sequence[str]
) -> dict[str, dict[str, Any]]:
    shown: dict[str, dict[str, Any]] = {}
    for name in wanted:
        kind = account.catalogue[name]
        rows = [
            {"id": str(key), "type": _type_name(record, kind.facts.singular, kind.name, link)}
            for key, types in account.links.rows(record, kind.name)
            for link in sorted(types, key=lambda t: not t.primary)
            if (found := account.records(kind).get(key)) and found.archived is None
        ]
        if rows:
            shown[kind.name.replace("_", " ")] = {"results": rows}
    return shown


def _type_name(record: Record, singular: str, there: str, link: LinkType) -> str:
    """Returns such as `contact_to_company`; beside a primary one, plain is `_unlabeled`."""
    name = f"{record.kind.facts.singular}_to_{singular}"
    if link.name:
        return link.name
    paired = {record.kind.name, there} in (
        {"contacts", "companies"},
        {"deals", "companies"},
        {"tickets", "companies"},
    )
    return f"{name}_unlabeled" if paired and not link.primary else name
