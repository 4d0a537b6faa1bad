"""Values on the wire and in payloads, external keys inside texts, versions of whole records.

Pure. Tryton's wire has tagged objects for what JSON lacks; payloads have plain text for them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson

#: What marks a hub id inside a text that people also use, such as a sale's reference.
MARK = "tulay:"
_CLOCK = ("hour", "minute", "second", "microsecond")
_MARKED = re.compile(rf"(?:^|\s){MARK}(\S+)\s*$")


def plain_number(number: Decimal) -> str:
    """Writes a number in plain notation without trailing zeros.

    >>> plain_number(Decimal("99.5000")), plain_number(Decimal("1E+2")), plain_number(Decimal("-0"))
    ('99.5', '100', '0')
    """
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def from_wire(value: Any) -> Any:
    """Reads one value off the wire as a payload has it.

    >>> from_wire({"__class__": "Decimal", "decimal": "30.00"}), from_wire(2.0)
    ('30', '2')
    >>> from_wire({"__class__": "date", "year": 2026, "month": 11, "day": 3})
    '2026-11-03'
    """
    if isinstance(value, float):
        return plain_number(Decimal(repr(value)))
    if not isinstance(value, Mapping):
        return value
    match value.get("__class__"):
        case "Decimal":
            return plain_number(Decimal(value["decimal"]))
        case "date":
            return date(value["year"], value["month"], value["day"]).isoformat()
        case "datetime":
            return wire_moment(value).isoformat().replace("+00:00", "Z")
        case _:
            return None  # bytes, time spans: no payload holds them


def wire_moment(value: Mapping[str, Any]) -> datetime:
    """Reads a date and time off the wire, which means UTC.

    >>> wire_moment({"year": 2026, "month": 11, "day": 3, "hour": 7}).isoformat()
    '2026-11-03T07:00:00+00:00'
    """
    day = datetime(value["year"], value["month"], value["day"], tzinfo=UTC)
    return day.replace(**{unit: value.get(unit, 0) for unit in _CLOCK})


def moment_to_wire(moment: datetime) -> dict[str, Any]:
    """Writes a moment for the wire.

    >>> wire_moment(moment_to_wire(datetime(2026, 1, 2, 3, tzinfo=UTC))).hour
    3
    """
    moment = moment.astimezone(UTC)
    units = ("year", "month", "day", *_CLOCK)
    return {"__class__": "datetime", **{unit: getattr(moment, unit) for unit in units}}


def to_wire(value: Any, kind: str) -> Any:
    """Writes a payload's scalar for a field of Tryton's type `kind`.

    Raises: ValueError when the value is not of that kind.

    >>> to_wire("12.5", "numeric"), to_wire("2", "float"), to_wire("7", "many2one")
    ({'__class__': 'Decimal', 'decimal': '12.5'}, 2.0, 7)
    """
    if value is None or kind not in _WRITERS:
        return value
    try:
        return _WRITERS[kind](value)
    except (InvalidOperation, TypeError) as error:
        raise ValueError(f"not a value of type {kind}") from error


def _decimal_to_wire(value: Any) -> dict[str, str]:
    number = Decimal(str(value))
    if not number.is_finite():
        raise ValueError("not a finite number")
    return {"__class__": "Decimal", "decimal": plain_number(number)}


def _date_to_wire(value: Any) -> dict[str, Any]:
    day = date.fromisoformat(value)
    return {"__class__": "date", "year": day.year, "month": day.month, "day": day.day}


_WRITERS: Mapping[str, Callable[[Any], Any]] = {
    "numeric": _decimal_to_wire,
    "float": lambda value: float(Decimal(str(value))),
    "integer": int,
    "many2one": int,
    "boolean": bool,
    "date": _date_to_wire,
    "datetime": lambda value: moment_to_wire(datetime.fromisoformat(value)),
    "timestamp": lambda value: moment_to_wire(datetime.fromisoformat(value)),
}


def marked(text: str | None, external_id: str) -> str:
    """Adds a hub id to a text.

    >>> marked(None, "7"), marked("PO 12", "7")
    ('tulay:7', 'PO 12 tulay:7')
    """
    return f"{text} {MARK}{external_id}" if text else f"{MARK}{external_id}"


def unmarked(text: str | None) -> tuple[str | None, str | None]:
    """Splits a text into what people wrote and the hub id in it.

    >>> unmarked("PO 12 tulay:7"), unmarked("tulay:7"), unmarked("PO 12")
    (('PO 12', '7'), (None, '7'), ('PO 12', None))
    """
    found = _MARKED.search(text or "")
    if found is None:
        return text, None
    return (text or "")[: found.start()] or None, found[1]


def make_version(rows: Iterable[tuple[str, Mapping[str, Any]]]) -> str:
    """Returns the version of a record: the time stamps of all rows it is made of.

    >>> make_version([("party.address", {"id": 3, "_timestamp": "1.5"})])
    '{"party.address,3":"1.5"}'
    """
    stamps = {f"{model},{row['id']}": row.get("_timestamp") for model, row in rows}
    return orjson.dumps(stamps, option=orjson.OPT_SORT_KEYS).decode()


def last_moment(rows: Iterable[Mapping[str, Any]]) -> datetime | None:
    """Returns when the newest of the rows was written; None when none of them says so."""
    dates = [row.get(name) for row in rows for name in ("write_date", "create_date")]
    return max((wire_moment(found) for found in dates if found), default=None)
