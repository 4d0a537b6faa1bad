"""Finds the region of a country by what people call it. Reads only.

A server has the regions that were loaded (`trytond_import_countries`); one that it does not
have cannot be shown there, and is left out instead of refusing the address.
"""

from __future__ import annotations

import unicodedata

import pycountry

from connectors.tryton.client import Row, TrytonClient

MODEL = "country.subdivision"


def folded(text: str) -> str:
    """Returns a name without accents, case and spare spaces.

    >>> folded(" Île-de-France "), folded("Baden-Württemberg")
    ('ile-de-france', 'baden-wurttemberg')
    """
    plain = unicodedata.normalize("NFKD", text)
    return " ".join("".join(c for c in plain if not unicodedata.combining(c)).casefold().split())


class Regions:
    """The regions of one Tryton, remembered by country."""

    def __init__(self, client: TrytonClient) -> None:
        self._client = client
        self._known: dict[int, list[Row]] = {}

    def find(self, country: int | None, text: str) -> int | None:
        """Returns the region with this name or code, `CA` or `US-CA`; None when there is none."""
        if country is None or not text.strip():
            return None
        fresh = country not in self._known
        found = _pick(self._rows(country), text)
        if found is None and not fresh:
            del self._known[country]  # somebody may have loaded them meanwhile
            found = _pick(self._rows(country), text)
        return found

    def _rows(self, country: int) -> list[Row]:
        if country not in self._known:
            wanted = ["code", "name", "country.code"]
            rows = self._client.search_read(MODEL, [["country", "=", country]], wanted)
            self._known[country] = rows
        return self._known[country]


def _pick(rows: list[Row], text: str) -> int | None:
    name = folded(text)
    for names in (_by_name, _by_code):
        for row in rows:
            if name in names(row):
                return int(row["id"])
    # its own names may be in another language: ISO knows the code
    codes = {folded(code) for row in rows[:1] for code in _iso_codes(row, name)}
    return next((int(row["id"]) for row in rows if codes & _by_code(row)), None)


def _by_name(row: Row) -> set[str]:
    return {folded(str(row.get("name") or ""))}


def _by_code(row: Row) -> set[str]:
    code = folded(str(row.get("code") or ""))
    return {code, code.partition("-")[2]} - {""}


def _iso_codes(row: Row, name: str) -> list[str]:
    country = (row.get("country.") or {}).get("code")
    regions = (each for each in pycountry.subdivisions if each.country_code == country)
    return [region.code for region in regions if folded(region.name) == name]
