"""Values that depend on a country: countries themselves, regions, phones, tax numbers, currencies.

Based on pycountry, phonenumbers and python-stdnum, each imported with the first value that needs
it. What they cannot parse is kept as text where that does no harm (region, phone, tax number), and
refused with a ValueError elsewhere.
"""

from __future__ import annotations

import gettext
import re
import unicodedata
from functools import cache, lru_cache
from typing import Any

from mappings.kit.convert import text

_E164 = re.compile(r"\+[1-9]\d{6,14}").fullmatch
#: Common spellings that ISO 3166 does not list.
_SPOKEN = {
    "uk": "GB",
    "great britain": "GB",
    "england": "GB",
    "scotland": "GB",
    "wales": "GB",
    "northern ireland": "GB",
    "usa": "US",
    "u.s.a.": "US",
    "u.s.": "US",
    "united states of america": "US",
    "america": "US",
    "holland": "NL",
    "the netherlands": "NL",
    "czech republic": "CZ",
    "brd": "DE",
    "turkey": "TR",
    "ivory coast": "CI",
    "swaziland": "SZ",
    "macedonia": "MK",
    "burma": "MM",
    "uae": "AE",
    "the philippines": "PH",
}
#: Languages in which country names are recognised, with pycountry's own translations.
_LANGUAGES = ("de", "fr", "es", "it", "nl", "pt", "pl", "sv", "da", "nb", "fi", "cs", "hu", "tr")


@cache
def _codes() -> frozenset[str]:
    import pycountry

    return frozenset(country.alpha_2 for country in pycountry.countries)


@cache
def _currencies() -> frozenset[str]:
    import pycountry

    return frozenset(currency.alpha_3 for currency in pycountry.currencies)


@cache
def _names() -> dict[str, str]:
    """Returns {name or code of a country in lower case: alpha-2}; English names win."""
    import pycountry

    known: dict[str, str] = {}
    for country in pycountry.countries:
        for attribute in ("alpha_2", "alpha_3", "name", "common_name", "official_name"):
            name = getattr(country, attribute, None)
            if name:
                known[name.lower()] = country.alpha_2
    for spoken, code in _SPOKEN.items():
        known.setdefault(spoken, code)
    return known


@cache
def _foreign_names() -> dict[str, str]:
    import pycountry

    known: dict[str, str] = {}
    for language in _LANGUAGES:
        speak = gettext.translation(
            "iso3166-1", pycountry.LOCALES_DIR, languages=[language], fallback=True
        ).gettext
        for country in pycountry.countries:
            for attribute in ("name", "common_name"):
                name = getattr(country, attribute, None)
                if name:
                    known.setdefault(speak(name).lower(), country.alpha_2)
    return known


def country(raw: Any) -> str | None:
    """Returns the ISO 3166 code of a country given by code or name, in fifteen languages.

    >>> country("Germany"), country("Deutschland"), country("de")
    ('DE', 'DE', 'DE')
    """
    if raw.__class__ is str and raw in _codes():
        return raw
    return _country(raw)


@lru_cache(maxsize=4096)
def _country(raw: Any) -> str | None:
    found = text(raw)
    if found is None:
        return None
    name = " ".join(found.lower().split())
    code = _names().get(name) or _foreign_names().get(name)
    if code is None:
        raise ValueError("expected a country by its code or name")
    return code


@lru_cache(maxsize=512)
def country_name(code: str) -> str:
    """Returns the common English name of a country code.

    >>> country_name("BO")
    'Bolivia'
    """
    import pycountry

    found = pycountry.countries.get(alpha_2=code)
    if found is None:
        return code
    return str(getattr(found, "common_name", None) or found.name)


def currency(raw: Any) -> str | None:
    """Returns the ISO 4217 code of a currency.

    >>> currency(" eur")
    'EUR'
    """
    if raw.__class__ is str and raw in _currencies():
        return raw
    found = text(raw)
    if found is None:
        return None
    if found.upper() not in _currencies():
        raise ValueError("expected a currency code of ISO 4217")
    return found.upper()


@lru_cache(maxsize=16384)
def region(raw: Any, country_code: str | None = None) -> str | None:
    """Returns the ISO 3166-2 name of a region given by name or code; otherwise the trimmed text.

    >>> region("CA", "US"), region("US-CA", "US"), region("bayern", "DE"), region("CA")
    ('California', 'California', 'Bayern', 'CA')
    """
    found = text(raw)
    if found is None or country_code is None:
        return found
    return _regions(country_code).get(_folded(found), found)


@lru_cache(maxsize=256)
def _regions(country_code: str) -> dict[str, str]:
    """Returns {name or code of a region, folded: name}; the largest regions come first."""
    import pycountry

    found = [one for one in pycountry.subdivisions if one.country_code == country_code]
    ordered = sorted(found, key=lambda one: (one.parent_code is not None, one.code))
    known: dict[str, str] = {}
    for one in ordered:
        known.setdefault(_folded(one.name), one.name)
    for one in ordered:
        for code in (one.code, one.code.partition("-")[2]):
            known.setdefault(_folded(code), one.name)
    return known


def _folded(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name)
    return " ".join("".join(c for c in plain if not unicodedata.combining(c)).casefold().split())


def phone(raw: Any, region: str | None = None) -> str | None:
    """Returns E.164; `region` is the country of national numbers; otherwise the trimmed text.

    >>> phone("030 / 12 34 56", "DE"), phone("ask Ann"), phone("+49 30 123456 x5")
    ('+4930123456', 'ask Ann', '+4930123456 ext. 5')
    """
    if raw.__class__ is str and _E164(raw):
        return raw
    return _phone(raw, region)


@lru_cache(maxsize=16384)
def _phone(raw: Any, region: str | None) -> str | None:
    found = text(raw)
    if found is None:
        return None
    import phonenumbers

    try:
        number = phonenumbers.parse(found, region)
    except phonenumbers.NumberParseException:
        return found
    if not phonenumbers.is_possible_number(number):
        return found
    plain = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    # E.164 has no extensions: append it in the usual notation.
    return f"{plain} ext. {number.extension}" if number.extension else plain


@lru_cache(maxsize=16384)
def tax_id(raw: Any, region: str | None = None) -> str | None:
    """Returns a tax number compact, with its country if it is a valid VAT number.

    A number that python-stdnum does not know or rejects is kept, compacted: the user's input is
    not lost, and the ERP still checks it.
    >>> tax_id("DE 136 695 976"), tax_id("136695976", "DE"), tax_id("12-3456789", "US")
    ('DE136695976', 'DE136695976', '123456789')
    """
    found = text(raw)
    if found is None:
        return None
    compact = "".join(c for c in found.upper() if c.isalnum())
    if not compact:
        return None
    from stdnum import get_cc_module

    if is_vat(compact):
        from stdnum.eu import vat

        return str(vat.compact(compact))
    module = get_cc_module(region.lower(), "vat") if region else None
    if module is None or not module.is_valid(compact):
        return compact
    national = "".join(c for c in str(module.compact(compact)) if c.isalnum())
    prefix = {"GR": "EL"}.get(str(region), str(region))
    return national if national.startswith(prefix) else prefix + national


@lru_cache(maxsize=4096)
def is_vat(code: str) -> bool:
    """Returns True if this is a valid VAT number of the European Union, including its country.

    >>> is_vat("DE136695976"), is_vat("DE136695977")
    (True, False)
    """
    from stdnum.eu import vat
    from stdnum.exceptions import ValidationError

    try:
        return bool(vat.is_valid(code))
    except ValidationError:
        return False
