"""Matches new records with golden records: fingerprints find candidates, rules decide.

A strong match (tax id, e-mail, domain, name and postal code) links; a suggestion opens a review.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

from mappings.canonical.values import Entity, Scalar

#: Legal forms do not identify a company: "ACME Ltd" and "Acme Limited" are one name.
_FORMS = (
    "ab ag aps as bv bvba co company corp corporation doo ek eirl eood gbr gmbh inc kft kg kk lda"
    " limited llc llp ltd ltda mbh nv og ohg ooo oy oyj plc pte pty pvt sa sagl sarl sas se sl slu"
    " spa spzoo sprl srl srls sro ug und and"
)
_LEGAL_FORMS = frozenset(_FORMS.split())
#: "S.p.A." is "SpA".
_DOTS = re.compile(r"(?<=\b[^\W\d_])\.(?=[^\W\d_]\b)")
_WORDS = re.compile(r"[^\W_]+")


class Fingerprint(NamedTuple):
    """A value by which a record can be recognised, as a signed 64-bit number."""

    value: int
    strong: bool
    #: Index of the rule among `match` and `suggest` of the entity.
    rule: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """A golden record that shares a fingerprint."""

    id: str
    values: Mapping[str, Scalar]
    #: Index of the strongest rule that found it; suggestions come after all strong rules.
    rule: int
    strong: bool


@dataclass(frozen=True, slots=True)
class Linked:
    """The record belongs to this golden record."""

    id: str


@dataclass(frozen=True, slots=True)
class Unclear:
    """A person must decide to which of these it belongs, if any."""

    ids: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """The record matches no golden record."""


@lru_cache(maxsize=65_536)
def plain_name(text: str) -> str:
    """Returns a name without case, accents, punctuation and legal form.

    >>> plain_name("Müller & Söhne GmbH"), plain_name("MULLER  SOHNE")
    ('muller sohne', 'muller sohne')
    """
    if not text.isascii():
        decomposed = unicodedata.normalize("NFKD", text)
        text = "".join(c for c in decomposed if not unicodedata.combining(c))
    text = text.casefold()
    words = _WORDS.findall(_DOTS.sub("", text) if "." in text else text)
    return " ".join([w for w in words if w not in _LEGAL_FORMS] or words)


def fingerprints(entity: Entity, values: Mapping[str, Scalar]) -> list[Fingerprint]:
    """Returns the fingerprints of a record, from rules whose fields are all filled.

    >>> from mappings.canonical.product import PRODUCT
    >>> [f.strong for f in fingerprints(PRODUCT, {"sku": "A-1", "name": None})]
    [True]
    """
    found = []
    for number, prefix, strong, parts in _rules(entity.name, entity.match, entity.suggest):
        text = prefix
        for path, is_name in parts:
            value = values.get(path)
            if value is None:
                break
            written = str(value)
            # Only names have legal forms: acme.se is not acme.co, article CO-1 is not SE-1.
            plain = plain_name(written) if is_name else written.casefold()
            text += "\x1f" + (plain or written)
        else:
            digest = blake2b(text.encode(), digest_size=8).digest()
            value_of = int.from_bytes(digest, "big", signed=True)
            found.append(Fingerprint(value_of, strong, number))
    return found


def certain_prints(entity: Entity, values: Mapping[str, Scalar]) -> list[int]:
    """Returns the strong fingerprints of a record, each of which is enough to link it.

    >>> from mappings.canonical.company import COMPANY
    >>> certain_prints(COMPANY, {"name": "Acme"})
    []
    """
    return [one.value for one in fingerprints(entity, values) if one.strong]


Rule = tuple[int, str, bool, tuple[tuple[str, bool], ...]]


@lru_cache(maxsize=64)
def _rules(
    name: str, match: tuple[tuple[str, ...], ...], suggest: tuple[tuple[str, ...], ...]
) -> tuple[Rule, ...]:
    """Returns the rules of an entity, prepared: number, prefix, strong, (path, is it a name)."""
    return tuple(
        (
            number,
            f"{name}\x1f{number}",
            number < len(match),
            tuple((path, path.rpartition(".")[2].endswith("name")) for path in rule),
        )
        for number, rule in enumerate((*match, *suggest))
    )


def decide(
    entity: Entity, values: Mapping[str, Scalar], candidates: Sequence[Candidate]
) -> Linked | Unclear | Unknown:
    """Returns to which of the candidates a new record belongs.

    Candidates must not have a link to the record's connection yet. Exactly one strong candidate
    without a contradiction is linked; several, or a likely suggestion, are left to a person.
    """
    fitting = [c for c in candidates if not _contradicts(entity, values, c.values)]
    strong = [c for c in fitting if c.strong]
    if strong:
        best = min(c.rule for c in strong)
        first = sorted({c.id for c in strong if c.rule == best})
        if len(first) == 1:
            return Linked(first[0])
        rule = " + ".join(entity.match[best])
        return Unclear(tuple(first), f"{len(first)} records have the same {rule}")
    likely = sorted({c.id for c in fitting if _alike(entity, values, c.values) >= _LIKELY})
    if likely:
        return Unclear(tuple(likely), "looks similar, but without a certain match")
    return Unknown()


#: Out of 100: below this, two names are two customers.
_LIKELY = 88.0


def _contradicts(
    entity: Entity, values: Mapping[str, Scalar], others: Mapping[str, Scalar]
) -> bool:
    pairs = ((values.get(p), others.get(p)) for p in entity.contradict)
    return any(a is not None and b is not None and a != b for a, b in pairs)


def _alike(entity: Entity, values: Mapping[str, Scalar], others: Mapping[str, Scalar]) -> float:
    """Returns the similarity of two records over the text that both have, 0 to 100."""
    # Imported on first use, because most records need no such comparison.
    from rapidfuzz import fuzz

    paths = dict.fromkeys(p for rule in entity.suggest for p in rule)
    scores = [
        fuzz.token_sort_ratio(plain_name(str(values[p])), plain_name(str(others[p])))
        for p in paths
        if values.get(p) is not None and others.get(p) is not None
    ]
    return sum(scores) / len(scores) if scores else 0.0
