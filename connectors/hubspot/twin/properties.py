"""Routes of the properties API: definitions of properties and groups, single and in batches."""

from __future__ import annotations

import re
from typing import Any

from connectors.hubspot.twin.calls import Call, Reply, batch_reply, text_field
from connectors.hubspot.twin.error_bodies import Refusal, invalid, missing
from connectors.hubspot.twin.objects import Row
from connectors.hubspot.twin.properties_schema import Kind, Property, options
from connectors.hubspot.twin.property_values import iso

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_MOST_UNIQUE = 10
#: Type -> field types it may have.
_FIELD_TYPES: dict[str, tuple[str, ...]] = {
    "string": ("text", "textarea", "html", "file", "phonenumber", "calculation_equation"),
    "number": ("number", "calculation_equation"),
    "bool": ("booleancheckbox", "calculation_equation"),
    "date": ("date",),
    "datetime": ("date",),
    "enumeration": ("select", "radio", "checkbox", "booleancheckbox", "calculation_equation"),
    "phone_number": ("phonenumber",),
}
_FIELDS = {
    "label": "label",
    "type": "type",
    "fieldType": "field_type",
    "groupName": "group",
    "description": "description",
    "displayOrder": "display_order",
    "hidden": "hidden",
    "formField": "form_field",
}


def shown(call: Call, kind: Kind, prop: Property) -> Row:
    """Returns a definition as the API shows it."""
    made = {} if prop.native else {"createdAt": iso(prop.created), "createdUserId": "5001"}
    bool_options = options(["true", "false"]) if prop.type == "bool" else []
    row: Row = {
        "name": prop.name,
        "options": prop.options or bool_options,
        "externalOptions": bool(prop.external),
        "hasUniqueValue": prop.unique,
        "calculated": prop.read_only and prop.name not in kind.times,
        "hubspotDefined": prop.native,
        "archived": prop.archived is not None,
        "dataSensitivity": "non_sensitive",
        "modificationMetadata": {
            "archivable": not prop.native,
            "readOnlyDefinition": prop.native,
            "readOnlyValue": prop.read_only,
        },
        "updatedAt": iso(prop.updated),
        **made,
        **{key: getattr(prop, name) for key, name in _FIELDS.items()},
    }
    if prop.external == "owners":
        row["referencedObjectType"] = "OWNER"
        row["options"] = [
            {
                "label": f"{owner.first} {owner.last}",
                "value": str(owner.id),
                "displayOrder": -1,
                "hidden": False,
            }
            for owner in call.account.owners.values()
        ]
    if prop.archived is not None:
        row["archivedAt"] = iso(prop.archived)
    return row


def listing(call: Call) -> Reply:
    """Lists the properties of an object type."""
    kind, archived = call.kind, call.flag("archived")
    found = [p for p in kind.properties.values() if (p.archived is not None) == archived]
    return Reply(200, {"results": [shown(call, kind, prop) for prop in found]})


def _need(call: Call, name: str, *, archived: bool = False) -> Property:
    prop = call.kind.properties.get(name)
    if prop is None or (prop.archived is not None) != archived:
        raise missing(f"Property {name} for {call.kind.facts.type_id} does not exist")
    return prop


def read(call: Call) -> Reply:
    """Answers one definition."""
    prop = _need(call, call.params["name"], archived=call.flag("archived"))
    return Reply(200, shown(call, call.kind, prop))


def _make(call: Call, row: Row) -> Property:
    kind, name = call.kind, text_field(row, "name")
    texts = {key: text_field(row, key) for key in ("label", "type", "fieldType", "groupName")}
    if not _NAME.fullmatch(name):
        raise invalid(f"Property name {name} is invalid: lower case letters, digits and _ only")
    if texts["fieldType"] not in _FIELD_TYPES.get(texts["type"], ()):
        raise invalid(
            f"fieldType {texts['fieldType']} is not allowed for type {texts['type']}",
            errors=[{"message": "invalid combination", "code": "INVALID_FIELD_TYPE"}],
        )
    if texts["groupName"] not in kind.groups:
        raise invalid(f"Property group {texts['groupName']} does not exist")
    if kind.live(name) is not None:
        raise Refusal(409, f"A property named '{name}' already exists.", "OBJECT_ALREADY_EXISTS")
    unique = row.get("hasUniqueValue") is True
    _guard_unique(kind, unique, texts["type"])
    now = call.account.clock.ms()
    prop = Property(
        name, texts["label"], texts["type"], texts["fieldType"], texts["groupName"], unique=unique
    )
    prop.created = prop.updated = now
    _change(prop, {key: row[key] for key in row if key not in ("name", *texts)})
    if prop.type == "enumeration" and not prop.options and not row.get("externalOptions"):
        raise invalid("Enumeration properties need options")
    kind.properties[name] = prop
    return prop


def _guard_unique(kind: Kind, unique: bool, kind_of_value: str) -> None:
    if not unique:
        return
    if kind_of_value not in ("string", "number"):
        raise invalid(f"Properties of type {kind_of_value} cannot have unique values")
    mine = [p for p in kind.properties.values() if p.unique and not p.native]
    if len([p for p in mine if p.archived is None]) >= _MOST_UNIQUE:
        raise invalid(f"At most {_MOST_UNIQUE} properties of a type can have unique values")


def _change(prop: Property, row: Row) -> None:
    for key, name in _FIELDS.items():
        if row.get(key) is not None:
            setattr(prop, name, row[key])
    if isinstance(row.get("options"), list):
        prop.options = [
            {
                "label": text_field(option, "label"),
                "value": text_field(option, "value"),
                "displayOrder": option.get("displayOrder", -1),
                "hidden": bool(option.get("hidden", False)),
            }
            for option in row["options"]
        ]
    if row.get("referencedObjectType") == "OWNER":
        prop.external = "owners"


def create(call: Call) -> Reply:
    """Makes a custom property."""
    return Reply(201, shown(call, call.kind, _make(call, call.json())))


def update(call: Call) -> Reply:
    """Changes a definition; uniqueness cannot be changed."""
    prop, row = _need(call, call.params["name"]), call.json()
    if prop.native and set(row) - {"options"}:
        raise invalid(f"Property {prop.name} is defined by HubSpot and cannot be changed")
    if "groupName" in row and row["groupName"] not in call.kind.groups:
        raise invalid(f"Property group {row['groupName']} does not exist")
    _change(prop, row)
    prop.updated = call.account.clock.ms()
    return Reply(200, shown(call, call.kind, prop))


def archive(call: Call) -> Reply:
    """Archives a custom property."""
    _archive(call, _need(call, call.params["name"]))
    return Reply(204)


def _archive(call: Call, prop: Property) -> None:
    if prop.native:
        raise invalid(f"Property {prop.name} is defined by HubSpot and cannot be archived")
    prop.archived = call.account.clock.ms()


def batch_read(call: Call) -> Reply:
    """Answers many definitions; missing ones in the error rows."""
    results: list[Row] = []
    errors: list[Row] = []
    for row in call.inputs():
        name = text_field(row, "name")
        try:
            results.append(shown(call, call.kind, _need(call, name)))
        except Refusal as refusal:
            errors.append(refusal.row({"name": [name]}))
    return batch_reply(call, results, errors)


def batch_create(call: Call) -> Reply:
    """Makes many properties; those that cannot be are in the error rows."""
    results: list[Row] = []
    errors: list[Row] = []
    for row in call.inputs():
        try:
            results.append(shown(call, call.kind, _make(call, row)))
        except Refusal as refusal:
            errors.append(refusal.row({"name": [str(row.get("name"))]}))
    return batch_reply(call, results, errors, good=201)


def batch_archive(call: Call) -> Reply:
    """Archives many custom properties; unknown ones are passed over."""
    for row in call.inputs():
        prop = call.kind.live(text_field(row, "name"))
        if prop is not None:
            _archive(call, prop)
    return Reply(204)


# -- groups ----------------------------------------------------------------------------------------


def _group(kind: Kind, name: str) -> dict[str, Any]:
    if name not in kind.groups:
        raise missing(f"Property group {name} does not exist")
    return {"name": name, "label": kind.groups[name], "displayOrder": -1, "archived": False}


def groups(call: Call) -> Reply:
    """Lists the groups of an object type."""
    return Reply(200, {"results": [_group(call.kind, name) for name in call.kind.groups]})


def read_group(call: Call) -> Reply:
    """Answers one group."""
    return Reply(200, _group(call.kind, call.params["name"]))


def create_group(call: Call) -> Reply:
    """Makes a group."""
    row = call.json()
    name, label = text_field(row, "name"), text_field(row, "label")
    if name in call.kind.groups:
        raise Refusal(409, f"A group named '{name}' already exists.", "OBJECT_ALREADY_EXISTS")
    call.kind.groups[name] = label
    return Reply(201, _group(call.kind, name))


def update_group(call: Call) -> Reply:
    """Renames a group."""
    name = call.params["name"]
    _group(call.kind, name)
    call.kind.groups[name] = text_field(call.json(), "label")
    return Reply(200, _group(call.kind, name))


def archive_group(call: Call) -> Reply:
    """Removes an empty group."""
    name = call.params["name"]
    _group(call.kind, name)
    if any(p.group == name and p.archived is None for p in call.kind.properties.values()):
        raise invalid(f"Property group {name} still has properties")
    del call.kind.groups[name]
    return Reply(204)
