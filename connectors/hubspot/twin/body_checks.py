"""Which JSON a body may be made of, by the names of its fields; everything else is a 400."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from connectors.hubspot.twin.error_bodies import invalid


def _scalar(value: Any) -> bool:
    return not isinstance(value, dict | list)


def _whole(value: Any) -> bool:
    if isinstance(value, str):
        return value.removeprefix("-").isdecimal() and len(value) <= 18
    return value is None or (isinstance(value, int) and not isinstance(value, bool))


def _rows(value: Any) -> bool:
    return value is None or (isinstance(value, list) and all(isinstance(r, dict) for r in value))


def _texts(value: Any) -> bool:
    return value is None or (isinstance(value, list) and all(isinstance(t, str) for t in value))


def _scalars(value: Any) -> bool:
    return value is None or (isinstance(value, list) and all(map(_scalar, value)))


def _values(value: Any) -> bool:
    return value is None or (isinstance(value, dict) and all(map(_scalar, value.values())))


def _sorts(value: Any) -> bool:
    return _texts(value) or _rows(value)


#: Field -> what it must be. Fields that are not named here must be scalars.
_SHAPES: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(
        ("inputs", "filterGroups", "filters", "associations", "types", "stages", "options"), _rows
    ),
    "properties": lambda value: _values(value) or _texts(value),
    "propertiesWithHistory": _texts,
    "values": _scalars,
    "metadata": _values,
    "sorts": _sorts,
    "throttling": lambda value: value is None or isinstance(value, dict),
    "from": lambda value: isinstance(value, dict),
    "to": lambda value: isinstance(value, dict) or (value is not None and _rows(value)),
    "limit": _whole,
    "displayOrder": _whole,
    "maxConcurrentRequests": _whole,
    "associationTypeId": _whole,
}


def check_shape(body: dict[str, Any]) -> None:
    """Goes through a body with all that is in it. Raises: Refusal (400)."""
    for name, value in body.items():
        if not _SHAPES.get(name, _scalar)(value):
            raise invalid(
                "Invalid input JSON on line 1, column 1: Cannot deserialize value of "
                f"field `{name}`"
            )
        if name in ("properties", "metadata"):
            continue
        inner = [value] if isinstance(value, dict) else value if isinstance(value, list) else ()
        for part in inner:
            if isinstance(part, dict):
                check_shape(part)
