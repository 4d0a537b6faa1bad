"""The names of records for people, made from the `label` of their entity.

Pure: callers pass the names of the records that a record refers to (the company of an invoice).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from mappings.canonical.values import Entity, Scalar

_PATHS = re.compile(r"\{([^}]+)\}")
#: Characters to strip before the first filled part.
_JOINTS = " ,:"
_BRACKETS = " ,:<>()"


def name_of(
    entity: Entity, values: Mapping[str, Scalar], parents: Mapping[str, str] | None = None
) -> str:
    """Returns the name of a record; `parents` are the short names of what it refers to, by id.

    A part of the label with a blank path is left out.

    >>> from mappings.canonical.invoice import INVOICE
    >>> name_of(INVOICE, {"number": "17", "company": "0f3a"}, {"0f3a": "Acme"})
    'Invoice 17 of Acme'
    >>> name_of(INVOICE, {"company": "0f3a"})
    'Invoice (no number)'
    """
    parts = [(part, _filled(part, entity, values, parents or {})) for part in entity.label]
    known = [text for _, text in parts if text]
    if any(text for part, text in parts if _PATHS.search(part)):
        alone = len(known) == 1 and not parts[0][1]
        return "".join(known).strip(_BRACKETS if alone else _JOINTS)
    short = short_name(entity, values)
    if short is not None and not noun(entity):
        return short
    missing = "number" if "number" in entity.fields else "name"
    return f"{noun(entity) or entity.name} ({short or f'no {missing}'})"


def short_name(entity: Entity, values: Mapping[str, Scalar]) -> str | None:
    """Returns the name of a record for use in another one's; None if it has none.

    >>> from mappings.canonical.contact import CONTACT
    >>> short_name(CONTACT, {"first_name": "Léa", "last_name": "Gauthier"})
    'Léa Gauthier'
    """
    paths = ["first_name"] if "first_name" in entity.fields else []
    title = " ".join(_line(values[p]) for p in (*paths, entity.title) if values.get(p)).strip()
    others = ("name", "description", *(path for group in entity.match for path in group))
    known = (values[path] for path in others if path in entity.fields and values.get(path))
    return title or next((_line(value) for value in known), None)


def noun(entity: Entity) -> str:
    """Returns the word for the kind of record that the label begins with, or "".

    >>> from mappings.canonical.invoice import INVOICE
    >>> noun(INVOICE)
    'Invoice'
    """
    first = entity.label[0] if entity.label else ""
    return "" if _PATHS.search(first) else first


def in_full(entity: Entity, name: str) -> str:
    """Returns a name with the kind of record, for sentences that do not mention it otherwise.

    >>> from mappings.canonical.company import COMPANY
    >>> in_full(COMPANY, "Acme")
    'company Acme'
    """
    word = noun(entity)
    return name if word and name.startswith(word) else f"{entity.name.replace('_', ' ')} {name}"


def parents_in(entity: Entity, values: Mapping[str, Scalar]) -> Iterator[str]:
    """Yields the ids of the records that a label refers to."""
    for part in entity.label:
        for path in _PATHS.findall(part):
            declared, value = entity.field(path), values.get(path)
            if declared is not None and declared.kind == "reference" and value is not None:
                yield str(value)


def _filled(
    part: str, entity: Entity, values: Mapping[str, Scalar], parents: Mapping[str, str]
) -> str | None:
    """Returns a part of a label with its values; None if one is missing."""
    found = {}
    for path in _PATHS.findall(part):
        value, declared = values.get(path), entity.field(path)
        if declared is not None and declared.kind == "reference":
            value = parents.get(str(value))
        found[path] = "" if value is None else _line(value)
        if not found[path].strip(_BRACKETS):
            return None
    return _PATHS.sub(lambda match: found[match[1]], part)


def _line(value: Scalar) -> str:
    return " ".join(str(value).split())
