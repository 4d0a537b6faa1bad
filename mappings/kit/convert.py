"""Converts single values to canonical form, using libraries behind a cache.

Every function takes a system's value and returns the canonical scalar, None for a blank; a value
in canonical form is recognised before any library is used. A ValueError means that a value has no
canonical form; its message never holds the value.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

_PLAIN_DECIMAL = re.compile(r"(?:0|-?[1-9]\d*|-?(?:0|[1-9]\d*)\.\d*[1-9])").fullmatch
_EMAIL = re.compile(r"[^\s@<>\"(),;:]+@[^\s@<>\"(),;:.]+(?:\.[^\s@<>\"(),;:.]+)*").fullmatch
_DATE = re.compile(r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])").fullmatch
_MOMENT = re.compile(
    r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{3}Z"
).fullmatch
_HOST = re.compile(r"(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.)+[^\W\d_](?:[\w-]{0,61}[^\W_])?").fullmatch
_PLAIN_HOST = re.compile(
    r"(?!www\.)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}"
).fullmatch
_SCHEME = re.compile(r"^[a-z][a-z0-9+.-]*://")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def text(raw: Any) -> str | None:
    """Returns trimmed text.

    >>> text("  ACME ")
    'ACME'
    """
    if raw.__class__ is str:
        return raw.strip() or None
    if isinstance(raw, bool | dict | list):
        raise ValueError("expected a text")
    return str(raw).strip() or None


def one_line(raw: Any) -> str | None:
    """Returns the lines of a text as one, joined by commas.

    >>> one_line("Hof 2\\nMain Street 5")
    'Hof 2, Main Street 5'
    """
    found = text(raw)
    if found is None or ("\n" not in found and "\r" not in found):
        return found
    return ", ".join(part.strip(" ,") for part in found.splitlines() if part.strip(" ,")) or None


def plain_text(raw: Any) -> str | None:
    """Returns the text of simple HTML, as in CRM notes.

    >>> plain_text("<p>Call <b>Ann</b> &amp; Bob</p><p>soon</p>")
    'Call Ann & Bob\\nsoon'
    """
    found = text(raw)
    if found is None or ("<" not in found and "&" not in found):
        return found
    return _plain(found)


@lru_cache(maxsize=1024)
def _plain(found: str) -> str | None:
    from html import unescape

    broken = re.sub(r"(?i)<br\s*/?>|</(?:p|div|li|h[1-6])>", "\n", found)
    bare = re.sub(r"(?s)<[A-Za-z/!][^>]*>", "", broken).replace("&nbsp;", " ")
    return unescape(bare).strip() or None


def email(raw: Any) -> str | None:
    """Returns an e-mail address in lower case.

    >>> email("mailto:Ann@ACME.example")
    'ann@acme.example'
    """
    found = text(raw)
    if found is None:
        return None
    found = found.lower().removeprefix("mailto:").strip()
    if _EMAIL(found):
        return found
    raise ValueError("expected an e-mail address")


def domain(raw: Any) -> str | None:
    """Returns the host name of a web address, without `www.`.

    >>> domain("https://www.acme.example/contact")
    'acme.example'
    """
    if raw.__class__ is str and _PLAIN_HOST(raw):
        return raw
    return _domain(raw)


@lru_cache(maxsize=16384)
def _domain(raw: Any) -> str | None:
    found = text(raw)
    if found is None:
        return None
    host = _SCHEME.sub("", found.lower())
    host = re.split(r"[/?#]", host, maxsplit=1)[0].rpartition("@")[2]
    host = re.sub(r":\d+$", "", host).rstrip(".")
    while host.startswith("www.") and _HOST(host[4:]):
        host = host[4:]
    if _HOST(host):
        return host
    raise ValueError("expected a web domain")


def decimal(raw: Any) -> str | None:
    """Returns a number in plain notation without trailing zeros.

    >>> decimal("1E+2"), decimal("99.50"), decimal(3.0)
    ('100', '99.5', '3')
    """
    if raw.__class__ is str and _PLAIN_DECIMAL(raw):
        return raw
    return _decimal(str(raw) if not isinstance(raw, bool) else "bool")


@lru_cache(maxsize=8192)
def _decimal(raw: str) -> str | None:
    if not raw.strip():
        return None
    try:
        number = Decimal(raw.strip())
    except InvalidOperation:
        raise ValueError("expected a number") from None
    if not number.is_finite() or abs(number.adjusted()) > 60:
        raise ValueError("expected a number of ordinary size")
    plain = format(number, "f")
    if "." in plain:
        plain = plain.rstrip("0").rstrip(".")
    return "0" if plain in ("-0", "") else plain


def integer(raw: Any) -> int | None:
    """Returns a whole number.

    >>> integer("12.0")
    12
    """
    if raw.__class__ is int:
        return raw
    plain = decimal(raw)
    if plain is None:
        return None
    if "." in plain:
        raise ValueError("expected a whole number")
    return int(plain)


_TRUTH = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def boolean(raw: Any) -> bool | None:
    """Returns a truth value; understands 1, 0 and the usual words.

    >>> boolean("false"), boolean(1)
    (False, True)
    """
    if raw is True or raw is False:
        return raw
    found = str(raw).strip().lower()
    if not found:
        return None
    if found not in _TRUTH:
        raise ValueError("expected true or false")
    return _TRUTH[found]


def moment(raw: Any) -> datetime | None:
    """Returns the aware time in ISO 8601 text or epoch milliseconds; naive text is UTC."""
    found = str(raw).strip()
    if not found:
        return None
    try:
        if re.fullmatch(r"-?\d{9,}", found):
            return _EPOCH + timedelta(milliseconds=int(found))
        parsed = datetime.fromisoformat(found)
    except (ValueError, OverflowError):
        raise ValueError("expected a date and time in ISO 8601") from None
    return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def stamp(when: datetime) -> str:
    """Returns the canonical text of an aware time: UTC, whole milliseconds.

    >>> stamp(datetime(2026, 11, 23, 8, tzinfo=UTC))
    '2026-11-23T08:00:00.000Z'
    """
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def instant(raw: Any) -> str | None:
    """Returns a date and time in canonical form.

    >>> instant("2026-11-23 09:00:00+01:00")
    '2026-11-23T08:00:00.000Z'
    """
    if raw.__class__ is str and _MOMENT(raw):
        return raw
    when = moment(raw)
    return None if when is None else stamp(when)


def day(raw: Any, zone: tzinfo = UTC) -> str | None:
    """Returns the date of a date, or of a date and time as seen in a time zone.

    >>> day("2026-11-23T23:30:00Z")
    '2026-11-23'
    """
    if raw.__class__ is str and _DATE(raw):
        return raw
    found = str(raw).strip()
    if re.fullmatch(r"\d{4}-\d\d-\d\d", found):
        try:
            return date.fromisoformat(found).isoformat()
        except ValueError:
            raise ValueError("expected an existing date") from None
    when = moment(found)
    return None if when is None else when.astimezone(zone).date().isoformat()
