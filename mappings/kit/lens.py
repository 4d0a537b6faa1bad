"""Lenses: two-way translations of one field, each a pair of `get` and `put`.

Laws, for every value a lens accepts: `put(get(raw), raw)` is `raw` (an equal value keeps the
system's spelling, which the mapping ensures), and `get(put(value, raw)) == value`. A lens
refuses a value with a ValueError whose message never contains the value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from mappings.canonical.values import Kind, Scalar
from mappings.kit import convert, names, regional

#: Raw value, never None -> canonical value. Regional lenses take the country as a second argument.
Get = Callable[..., Scalar]
#: Canonical value (None clears) and the current raw value -> what to write.
Put = Callable[[Scalar, Any], Any]


@dataclass(frozen=True, slots=True)
class Lens:
    """One field's translation."""

    get: Get
    put: Put
    #: `get` takes the country of the record as its second argument.
    regional: bool = False
    #: For lenses that share a field: the part of this one, and how the parts are joined.
    part: str = ""
    join: Callable[[Mapping[str, Scalar]], Any] | None = None


@dataclass(frozen=True, slots=True)
class Options:
    """The keys of a field in a mapping file that concern its lens."""

    values: Mapping[str, Scalar] | None = None
    #: Unlisted values pass unchanged, both ways (texts only).
    keep: bool = False
    otherwise: Scalar = None
    zone: str | None = None


Factory = Callable[[Options], Lens]


def _same(value: Scalar, _raw: Any) -> Any:
    return value


def _spelled(value: Scalar, _raw: Any) -> Any:
    """Writes numbers and booleans as text, for systems of strings."""
    if value is None:
        return None
    return str(value).lower() if isinstance(value, bool) else str(value)


def _number(value: Scalar, _raw: Any) -> Any:
    """Writes a decimal as a JSON number, for systems that use floats."""
    if value is None:
        return None
    plain = str(value)
    return float(plain) if "." in plain else int(plain)


def _lines(value: Scalar, raw: Any) -> Any:
    """Writes one line, or several if the field has several now."""
    if isinstance(value, str) and isinstance(raw, str) and "\n" in raw.strip():
        folded = value.replace(", ", "\n")
        if convert.one_line(folded) == value:
            return folded
    return value


def _html(value: Scalar, _raw: Any) -> Any:
    from html import escape

    return None if value is None else escape(str(value), quote=False).replace("\n", "<br>")


def _website(value: Scalar, _raw: Any) -> Any:
    return None if value is None else f"https://{value}"


def _country_name(value: Scalar, raw: Any) -> Any:
    """Writes the English name, or the code if the field holds a code now."""
    if value is None:
        return None
    coded = isinstance(raw, str) and len(raw.strip()) == 2
    return value if coded else regional.country_name(str(value))


def _midnight(value: Scalar, _raw: Any) -> Any:
    """Writes a date as milliseconds of its midnight UTC, for date and datetime fields."""
    when = None if value is None else convert.moment(value)
    return None if when is None else str(round(when.timestamp() * 1000))


def _zone(options: Options) -> tzinfo:
    if options.zone is None:
        return UTC
    try:
        return ZoneInfo(options.zone)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(f"no time zone {options.zone!r}; write one like Europe/Berlin") from None


def _day_of_moment(options: Options) -> Lens:
    zone = _zone(options)

    def get(raw: Any) -> Scalar:
        # A plain date is midnight UTC in HubSpot, too.
        when = convert.moment(raw)
        return None if when is None else when.astimezone(zone).date().isoformat()

    def put(value: Scalar, raw: Any) -> Any:
        """Writes the new date at the current time of day of the field."""
        if value is None:
            return None
        at = time()
        try:
            now = convert.moment(raw) if raw is not None else None
        except ValueError:
            now = None
        if now is not None:
            at = now.astimezone(zone).time()
        day = datetime.fromisoformat(str(value)).date()
        return convert.stamp(datetime.combine(day, at, zone))

    return Lens(get, put)


def _date(options: Options) -> Lens:
    zone = _zone(options)
    if zone is UTC:
        return Lens(convert.day, _same)
    return Lens(lambda raw: convert.day(raw, zone), _same)


class UnlistedError(ValueError):
    """A value that a lens does not list; the message does not show it."""

    def __init__(self, message: str, value: object) -> None:
        super().__init__(message)
        self.value = value


def _enum(options: Options) -> Lens:
    """Returns the lens of a list of values."""
    table = dict(options.values or {})
    back: dict[Scalar, str] = {}
    for theirs, ours in table.items():
        back.setdefault(ours, theirs)

    def get(raw: Any) -> Scalar:
        found = table.get(raw) if raw.__class__ is str else None
        if found is not None:
            return found
        word = convert.text(raw if not isinstance(raw, bool) else str(raw).lower())
        if word is None:
            return None
        if word in table:
            return table[word]
        if options.otherwise is not None:
            return options.otherwise
        if options.keep:
            return word
        raise UnlistedError("has a value that the mapping does not list; add it to `values`", word)

    def put(value: Scalar, _raw: Any) -> Any:
        if value is None or value in back:
            return None if value is None else back[value]
        if options.keep:
            return value
        raise UnlistedError("has no word for this value; add one to `values`", value)

    return Lens(get, put)


def _part(index: int, part: str) -> Factory:
    def get(raw: Any) -> Scalar:
        full = convert.text(raw)
        return None if full is None else names.split(full)[index]

    def join(parts: Mapping[str, Scalar]) -> Any:
        first, last = parts.get("first"), parts.get("last")
        return names.join(
            None if first is None else str(first), None if last is None else str(last)
        )

    return lambda _options: Lens(get, _same, part=part, join=join)


def _plain(get: Get, put: Put = _same, *, regional: bool = False) -> Factory:
    return lambda _options: Lens(get, put, regional=regional)


#: Name in a mapping file -> factory of its lens.
LENSES: dict[str, Factory] = {
    "text": _plain(convert.text),
    "lines": _plain(convert.one_line, _lines),
    "html": _plain(convert.plain_text, _html),
    "email": _plain(convert.email),
    "domain": _plain(convert.domain),
    "website": _plain(convert.domain, _website),
    "region": _plain(regional.region, regional=True),
    "phone": _plain(regional.phone, regional=True),
    "tax_id": _plain(regional.tax_id, regional=True),
    "country": _plain(regional.country),
    "country_name": _plain(regional.country, _country_name),
    "currency": _plain(regional.currency),
    "decimal": _plain(convert.decimal),
    "number": _plain(convert.decimal, _number),
    "integer": _plain(convert.integer),
    "integer_text": _plain(convert.integer, _spelled),
    "boolean": _plain(convert.boolean),
    "boolean_text": _plain(convert.boolean, _spelled),
    "date": _date,
    "date_ms": _plain(convert.day, _midnight),
    "date_of_datetime": _day_of_moment,
    "datetime": _plain(convert.instant),
    "enum": _enum,
    "reference": _plain(convert.text),
    "first_name": _part(0, "first"),
    "last_name": _part(1, "last"),
}

#: Kind of a canonical field -> its default lens.
USUAL: dict[Kind, str] = {
    "text": "text",
    "email": "email",
    "phone": "phone",
    "country": "country",
    "currency": "currency",
    "tax_id": "tax_id",
    "domain": "domain",
    "decimal": "decimal",
    "integer": "integer",
    "boolean": "boolean",
    "date": "date",
    "datetime": "datetime",
    "enum": "enum",
    "reference": "reference",
}

#: Kind -> lenses whose `get` returns that kind.
FITTING: dict[Kind, frozenset[str]] = {
    "text": frozenset(LENSES) - {"integer", "integer_text", "boolean", "boolean_text", "reference"},
    "email": frozenset(("email",)),
    "phone": frozenset(("phone",)),
    "country": frozenset(("country", "country_name")),
    "currency": frozenset(("currency",)),
    "tax_id": frozenset(("tax_id",)),
    "domain": frozenset(("domain", "website")),
    "decimal": frozenset(("decimal", "number")),
    "integer": frozenset(("integer", "integer_text")),
    "boolean": frozenset(("boolean", "boolean_text")),
    "date": frozenset(("date", "date_ms", "date_of_datetime")),
    "datetime": frozenset(("datetime",)),
    "enum": frozenset(("enum",)),
    "reference": frozenset(("reference",)),
}

#: The default policies for values without translation.
UNKNOWN: dict[str, str] = {"email": "blank", "domain": "blank", "website": "blank"}


def tolerant(get: Get, unknown: str, *, regional: bool) -> Get:
    """Returns `get` with a policy for refused values: keep the text, blank, or refuse."""
    if unknown == "refuse":
        return get

    def fallback(raw: Any) -> Scalar:
        return convert.text(raw) if unknown == "keep" else None

    def plain(raw: Any) -> Scalar:
        try:
            return get(raw)
        except ValueError:
            return fallback(raw)

    def with_region(raw: Any, region: str | None) -> Scalar:
        try:
            return get(raw, region)
        except ValueError:
            return fallback(raw)

    return with_region if regional else plain
