"""Object types and properties as an account has them: native ones, and those made by users."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from connectors.hubspot.twin.error_bodies import missing
from connectors.hubspot.twin.object_types import NATIVE, OPTIONS, SHARED, NativeKind

_TOKEN = re.compile(r"(\w+):(\w+)(?:\((\w+)\))?([!*]?)")
#: The form field of a type when none was chosen.
FIELD_TYPES = {
    "string": "text",
    "number": "number",
    "bool": "booleancheckbox",
    "date": "date",
    "datetime": "date",
    "enumeration": "select",
    "phone_number": "phonenumber",
}
#: Option lists that live in other parts of the account.
EXTERNAL = ("owners", "pipelines", "stages")


@dataclass(slots=True)
class Property:
    """One property definition."""

    name: str
    label: str
    type: str
    field_type: str
    group: str
    options: list[dict[str, Any]] = field(default_factory=list)
    #: owners | pipelines | stages when the options live elsewhere.
    external: str = ""
    unique: bool = False
    read_only: bool = False
    native: bool = False
    description: str = ""
    display_order: int = -1
    hidden: bool = False
    form_field: bool = False
    created: int = 0
    updated: int = 0
    archived: int | None = None

    def allowed(self) -> list[str]:
        """Returns the option values that may be written."""
        return [option["value"] for option in self.options]


@dataclass(slots=True)
class Kind:
    """One object type of the account."""

    name: str
    facts: NativeKind
    properties: dict[str, Property]
    groups: dict[str, str]

    @property
    def defaults(self) -> tuple[str, ...]:
        """Returns what a read shows when nothing is asked for."""
        return (*self.facts.defaults.split(), *self.times)

    @property
    def times(self) -> tuple[str, str, str]:
        """Returns the properties that every read shows."""
        return (self.facts.created, self.facts.modified, "hs_object_id")

    @property
    def group(self) -> str:
        """Returns the name of the native property group."""
        return f"{self.facts.singular.replace('_', '')}information"

    def live(self, name: str) -> Property | None:
        """Returns a property that exists and is not archived."""
        found = self.properties.get(name)
        return found if found is not None and found.archived is None else None

    def stage_names(self) -> tuple[str, str]:
        """Returns the properties that hold pipeline and stage."""
        if self.name == "deals":
            return "pipeline", "dealstage"
        return "hs_pipeline", "hs_pipeline_stage"


def options(values: list[str]) -> list[dict[str, Any]]:
    """Returns an option list as the properties API shows it."""
    return [
        {"label": v.replace("_", " ").title(), "value": v, "displayOrder": i, "hidden": False}
        for i, v in enumerate(values)
    ]


def _native(text: str, group: str) -> dict[str, Property]:
    found: dict[str, Property] = {}
    for name, kind, source, mark in _TOKEN.findall(text):
        listed = [] if source in ("", *EXTERNAL) else options(OPTIONS[source].split())
        label = name.removeprefix("hs_").replace("_", " ").capitalize()
        found[name] = Property(
            name,
            label,
            kind,
            FIELD_TYPES[kind],
            group,
            options=listed,
            external=source if source in EXTERNAL else "",
            unique=mark == "*",
            read_only=mark == "!",
            native=True,
        )
    return found


def fresh_kinds() -> dict[str, Kind]:
    """Returns the object types of an account on its first day."""
    kinds: dict[str, Kind] = {}
    for name, facts in NATIVE.items():
        kind = Kind(name, facts, {}, {})
        kind.groups[kind.group] = f"{facts.singular.replace('_', ' ').capitalize()} information"
        kind.properties = _native(f"{facts.properties} {SHARED}", kind.group)
        kinds[name] = kind
    return kinds


class Catalogue:
    """Finds an object type by any of its names: `companies`, `company`, `0-2`, `COMPANY`."""

    def __init__(self) -> None:
        self.kinds = fresh_kinds()
        self._names: dict[str, str] = {}
        for name, kind in self.kinds.items():
            plain = {name, kind.facts.singular, kind.facts.type_id}
            self._names.update(dict.fromkeys(plain, name))

    def __getitem__(self, name: str) -> Kind:
        """Returns the object type. Raises: Refusal (400) for an unknown one."""
        found = self._names.get(name) or self._names.get(name.lower())
        if found is None:
            raise missing(f"Unable to infer object type from: {name}")
        return self.kinds[found]
