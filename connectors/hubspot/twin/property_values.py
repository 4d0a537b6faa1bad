"""What HubSpot accepts as a property value, and in which form it keeps it. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from connectors.hubspot.twin.error_bodies import Issue
from connectors.hubspot.twin.properties_schema import Property

_EMAIL = re.compile(r"[^@\s,;<>]+@[^@\s,;<>.]+(\.[^@\s,;<>.]+)+")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_DAY_MS = 86_400_000
MAX_TEXT = 65_536
#: The years 1 to 9999, which is what a date can say.
_EARLIEST, _LATEST = -62_135_596_800_000, 253_402_300_799_999


def iso(ms: int) -> str:
    """Returns milliseconds since 1970 the way HubSpot writes a time.

    >>> iso(1757318400000)
    '2025-09-08T08:00:00.000Z'
    """
    at = datetime.fromtimestamp(ms // 1000, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}Z"


def stored_moment(ms: int) -> str:
    """Returns a time as the value of a property: whole seconds go without a fraction.

    >>> stored_moment(1757318400000)
    '2025-09-08T08:00:00Z'
    """
    return iso(ms).replace(".000Z", "Z")


def moment(text: str) -> int | None:
    """Reads epoch milliseconds or ISO 8601 as milliseconds; None when it is neither.

    >>> moment("2025-09-08T08:00:00Z"), moment("1757318400000"), moment("soon")
    (1757318400000, 1757318400000, None)
    """
    if re.fullmatch(r"-?[0-9]{1,15}", text):
        return int(text) if _EARLIEST <= int(text) <= _LATEST else None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return min(max(round(at.timestamp() * 1000), _EARLIEST), _LATEST)


def as_text(value: Any) -> str | None:
    """Returns a JSON scalar as HubSpot stores it: text, or None for nothing."""
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else str(value)


def accept(
    prop: Property, text: str, allowed: Collection[str]
) -> tuple[str, None] | tuple[None, Issue]:
    """Returns the stored form of a value, or what is wrong with it."""
    check = _CHECKS.get(prop.type)
    if check is not None:
        return check(prop, text)
    if prop.type == "enumeration" and (allowed or prop.external):
        return _option(prop, text, allowed)
    if prop.name == "email":
        return _email(prop, text)
    if len(text) > MAX_TEXT:
        return None, Issue(prop.name, "INVALID_LENGTH", f"{prop.name} is longer than {MAX_TEXT}.")
    return (text.strip().lower() if prop.name == "domain" else text), None


Verdict = tuple[str, None] | tuple[None, Issue]


def _email(prop: Property, text: str) -> Verdict:
    if not _EMAIL.fullmatch(text.strip()):
        return None, Issue(prop.name, "INVALID_EMAIL", f"Email address {text} is invalid")
    return text.strip().lower(), None


def _option(prop: Property, text: str, allowed: Collection[str]) -> Verdict:
    many = prop.field_type == "checkbox"
    wanted = [part for part in text.split(";") if part] if many else [text]
    wrong = [part for part in wanted if part not in allowed]
    if wrong:
        message = f"{wrong[0]} was not one of the allowed options: [{', '.join(allowed)}]"
        return None, Issue(prop.name, "INVALID_OPTION", message)
    return (";".join(wanted) if many else text), None


def _bool(prop: Property, text: str) -> Verdict:
    if text.lower() not in ("true", "false"):
        return None, Issue(
            prop.name, "INVALID_OPTION", f"{text} was not one of the allowed options: [true, false]"
        )
    return text.lower(), None


def _number(prop: Property, text: str) -> Verdict:
    if not _NUMBER.fullmatch(text.strip()):
        return None, Issue(prop.name, "INVALID_DOUBLE", f"{text} was not a valid number.")
    return text.strip(), None


def _datetime(prop: Property, text: str) -> Verdict:
    ms = moment(text.strip())
    if ms is None:
        return None, Issue(prop.name, "INVALID_LONG", f"{text} was not a valid long.")
    return stored_moment(ms), None


def _date(prop: Property, text: str) -> Verdict:
    ms = moment(text.strip())
    if ms is None:
        return None, Issue(prop.name, "INVALID_DATE", f"{text} was not a valid date.")
    if ms % _DAY_MS:
        # quirk(hubspot): a date is midnight UTC or nothing (docs: how to format timestamps)
        clock = iso(ms)[11:23]
        return None, Issue(prop.name, "INVALID_DATE", f"{text} is at {clock} UTC, not midnight!")
    return iso(ms)[:10], None


_CHECKS = {"bool": _bool, "number": _number, "datetime": _datetime, "date": _date}
