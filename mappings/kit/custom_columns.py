"""The fields that are created in a system for what it cannot store yet."""

from __future__ import annotations

from mappings.canonical.values import Field, Kind
from mappings.kit.files import Declared
from mappings.kit.mapping import CustomField
from mappings.kit.paths import Path

#: Kind -> type of a field that is created for it; text for all others.
_TYPES: dict[Kind, str] = {
    "decimal": "number",
    "integer": "integer",
    "boolean": "boolean",
    "date": "date",
    "datetime": "datetime",
    "enum": "enum",
}


def custom_field(path: str, declared: Declared, field: Field, place: Path) -> CustomField:
    """Returns the field to create. Raises: MappingFileError where none can be created."""
    custom = declared.spec.custom
    label = path.rpartition(".")[2].replace("_", " ").capitalize()
    kind = _TYPES.get(field.kind, "text")
    if not isinstance(custom, bool):
        label, kind = custom.label or label, custom.type or kind
    if place.listed:
        raise declared.error("a field in a list cannot be created", "custom")
    options = _options(declared, field) if kind == "enum" else ()
    return CustomField(place.head[-1], kind, label, options, path)


def _options(declared: Declared, field: Field) -> tuple[str, ...]:
    """Returns the options of an enumeration: the words that the lens writes."""
    words: dict[object, str] = {}
    for theirs, ours in (declared.spec.values or {}).items():
        words.setdefault(ours, theirs)  # of several with the same meaning the first is written
    options = tuple(theirs for ours, theirs in words.items() if ours is not None)
    if not (options or field.options):
        raise declared.error("a field of type enum needs `values`", "custom")
    return options or field.options
