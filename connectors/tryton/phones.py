"""Leaves out phones that Tryton would refuse, so that they do not hold up all the rest.

Asks the same as the server: is it a valid number by itself, or in a country of the party's
addresses? What is none ("ask Ann") cannot be shown there and stays where it was typed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any

import phonenumbers

from connectors.tryton.client import Row, TrytonClient
from connectors.tryton.stream_models import PHONES, items_at
from connectors.tryton.write_values import Values, added

_LISTS = ("contact_mechanisms", "phones")


def is_phone(text: str, country: str | None = None) -> bool:
    """Returns True if a text is a valid number.

    >>> is_phone("+49 30 1234567 ext. 5"), is_phone("030 1234567", "DE"), is_phone("ask Ann")
    (True, True, False)
    """
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(text, country))
    except phonenumbers.NumberParseException:
        return False


class Phones:
    """Knows in which countries the numbers of one Tryton's parties are read."""

    def __init__(self, client: TrytonClient) -> None:
        self._client = client

    def screened(self, values: Values, row: Row | None) -> Values:
        """Returns the values without phones that are none; one that became none is archived."""
        lists = [name for name in _LISTS if values.get(name)]
        if not lists:
            return values

        @cache
        def countries() -> Sequence[str]:
            return self._countries(values, row)

        def fits(text: Any) -> bool:
            return is_phone(str(text)) or any(is_phone(str(text), each) for each in countries())

        kept = {name: value for name, value in values.items() if name not in lists}
        for name in lists:
            kinds = {int(item["id"]): item.get("type") for item in items_at(row or {}, name)}
            if commands := [*_screened(values[name], kinds, fits)]:
                kept[name] = commands
        return kept

    def _countries(self, values: Values, row: Row | None) -> Sequence[str]:
        party = values.get("party") or (row or {}).get("party") or (row or {}).get("id")
        found: list[Row] = []
        if party is not None:
            domain = [["party", "=", party]]
            found = self._client.search_read("party.address", domain, ["country.code"])
        codes = [each["country."]["code"] for each in found if each.get("country.")]
        given = [address.get("country") for address in _given(values.get("addresses", ()))]
        if ids := [each for each in given if each is not None]:
            rows = self._client.search_read("country.country", [["id", "in", ids]], ["code"])
            codes += [each["code"] for each in rows]
        return list(dict.fromkeys(codes))


def _given(commands: Sequence[Any]) -> list[Values]:
    return [*added(commands), *(each[2] for each in commands if each[0] == "write")]


def _screened(
    commands: Iterable[Any], kinds: dict[int, Any], fits: Callable[[Any], bool]
) -> Iterable[Any]:
    for command in commands:
        if command[0] == "create":
            fresh = [v for v in command[1] if v.get("type") not in PHONES or fits(v.get("value"))]
            if fresh:
                yield ["create", fresh]
        elif command[0] == "write" and command[2].get("value") is not None:
            kind = command[2].get("type", kinds.get(command[1][0]))
            refused = kind in PHONES and not fits(command[2]["value"])
            yield ["write", command[1], {"active": False} if refused else command[2]]
        else:
            yield command
