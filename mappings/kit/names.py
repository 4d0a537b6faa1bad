"""Splits a person's full name into first and last name, and joins them: two inverse functions.

Particles come from nameparser ("van der Berg" is one last name). A pair of names that could not be
split again in the usual order is written "Last, First".
"""

from __future__ import annotations

from functools import cache, lru_cache

#: Words after a last name that belong to it.
SUFFIXES = frozenset(("jr", "sr", "ii", "iii", "iv", "esq", "phd", "md"))

#: First name, last name.
Name = tuple[str | None, str | None]


@cache
def _particles() -> frozenset[str]:
    # Imported late, because most commands handle no names.
    from nameparser.config import CONSTANTS

    return frozenset(str(prefix) for prefix in CONSTANTS.prefixes)


@lru_cache(maxsize=16384)
def split(full: str) -> Name:
    """Returns the first and the last name in a full name; a single word is a last name.

    >>> split("Anna Maria van der Berg"), split("García Márquez, Gabriel"), split("Cher")
    (('Anna Maria', 'van der Berg'), ('Gabriel', 'García Márquez'), (None, 'Cher'))
    """
    if "," in full:
        last, _, first = full.partition(",")
        words = first.split()
        if not words or _tail(words) < len(words):
            return _tidy(first), _tidy(last)
    words = full.replace(",", " ").split()
    at = len(words) - 1 - min(_tail(words), max(len(words) - 2, 0))
    while at > 1 and words[at - 1].lower().rstrip(".") in _particles():
        at -= 1
    return _tidy(" ".join(words[:at])), _tidy(" ".join(words[at:]))


def _tail(words: list[str]) -> int:
    """Returns how many words at the end are suffixes like Jr."""
    count = 0
    for word in reversed(words):
        if word.lower().replace(".", "") not in SUFFIXES:
            break
        count += 1
    return count


def _tidy(words: str) -> str | None:
    return " ".join(words.split()) or None


def join(first: str | None, last: str | None) -> str | None:
    """Returns the full name for a first and a last name.

    >>> join("Ann", "Smith"), join("Gabriel", "García Márquez"), join(None, "Cher")
    ('Ann Smith', 'García Márquez, Gabriel', 'Cher')
    """
    if not first or not last:
        return first or last
    plain = f"{first} {last}"
    if split(plain) == (_tidy(first), _tidy(last)):
        return plain
    turned = f"{last}, {first}"
    return turned if split(turned) == (_tidy(first), _tidy(last)) else plain
