"""Describes the live properties of a stream and creates those that our mappings want."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from connectors.hubspot.client import HubSpotClient, Json
from connectors.hubspot.vocabulary import (
    GROUP,
    LINES,
    NEW_PROPERTIES,
    ONCE,
    TEXT_LENGTH,
    TYPES,
    StreamNames,
    stream_names,
)
from connectors.kit.contract import FieldInfo, FieldNeed, Finding, StreamSchema


def describe(client: HubSpotClient, names: StreamNames) -> StreamSchema:
    """Returns the properties of a stream, named `properties.x`, and what else a record has."""
    fields = [_field(one, names) for one in client.properties(names.name)]
    fields.append(FieldInfo("id", "text", writable=False))
    fields += [FieldInfo(f"associations.{to}", "reference") for to in names.associations]
    if names.lines:
        fields.append(FieldInfo(LINES, "list"))
    return StreamSchema(names.name, {field.name: field for field in fields})


def _field(one: Json, names: StreamNames) -> FieldInfo:
    meta = one.get("modificationMetadata") or {}
    kind = TYPES.get(str(one.get("type")), "text")
    options = one.get("options") or ()
    return FieldInfo(
        name=f"properties.{one['name']}",
        type=kind,
        required=one["name"] in names.required,
        writable=not meta.get("readOnlyValue") and not one.get("calculated"),
        # Owners and other external options change without notice and are not listed.
        options=() if one.get("externalOptions") else tuple(str(o["value"]) for o in options),
        length=TEXT_LENGTH if kind == "text" else None,
    )


def prepare(client: HubSpotClient, needs: Sequence[FieldNeed]) -> list[Finding]:
    """Creates the properties that are missing, the one for the hub id included."""
    findings: list[Finding] = []
    for stream in dict.fromkeys(need.stream for need in needs):
        mine = [need for need in needs if need.stream == stream]
        findings += _prepare_stream(client, stream_names(stream), mine)
    return findings


def _prepare_stream(
    client: HubSpotClient, names: StreamNames, needs: Sequence[FieldNeed]
) -> Iterator[Finding]:
    present = {one["name"]: one for one in client.properties(names.name)}
    wanted = {_own(need.name): need for need in needs}
    wanted.setdefault(ONCE, FieldNeed(names.name, ONCE, "text", "Tulay id", external_id=True))
    missing = [name for name in wanted if name not in present]
    if missing:
        client.create_group(names.name, GROUP, GROUP.capitalize())
    for name, need in wanted.items():
        unique = need.external_id or name == ONCE
        if name not in present:
            client.create_property(names.name, _new_property(name, need, unique=unique))
            yield Finding("ok", f"HubSpot: property {name} of {names.name} was created")
        elif unique and not present[name].get("hasUniqueValue"):
            yield Finding(
                "error",
                f"HubSpot: property {name} of {names.name} is not unique",
                "archive it and run prepare again; uniqueness cannot be changed later",
            )
        elif lacking := _lacking(present[name], need):
            yield Finding(
                "warning",
                f"HubSpot: property {name} of {names.name} lacks the options {', '.join(lacking)}",
                "add them in the property's settings; a value that is not listed is refused",
            )


def _lacking(property_: Json, need: FieldNeed) -> list[str]:
    """Returns the options that an enumeration should have and has not."""
    if property_.get("type") != "enumeration" or property_.get("externalOptions"):
        return []
    known = {str(option["value"]) for option in property_.get("options") or ()}
    return [value for value in need.options if value not in known]


def _own(name: str) -> str:
    return name.removeprefix("properties.")


def _new_property(name: str, need: FieldNeed, *, unique: bool) -> Json:
    kind, field_kind = NEW_PROPERTIES[need.type]
    body: Json = {
        "name": name,
        "label": need.label,
        "type": kind,
        "fieldType": field_kind,
        "groupName": GROUP,
        "hasUniqueValue": unique,
        "formField": False,
    }
    if kind == "bool":
        body["options"] = [_option("Yes", "true", 0), _option("No", "false", 1)]
    if kind == "enumeration":
        body["options"] = [
            _option(value.replace("_", " ").capitalize(), value, order)
            for order, value in enumerate(need.options)
        ]
    return body


def _option(label: str, value: str, order: int) -> Json:
    return {"label": label, "value": value, "displayOrder": order, "hidden": False}
