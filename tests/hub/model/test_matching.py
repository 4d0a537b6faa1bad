"""Identity: normalised names, fingerprints, and when a person must decide."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.model.matching import Candidate, Linked, Unclear, Unknown, decide, fingerprints, plain_name
from mappings.canonical.company import COMPANY
from mappings.canonical.contact import CONTACT
from mappings.canonical.product import PRODUCT
from mappings.canonical.values import Entity, Scalar, Values


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("ACME Ltd.", "acme"),
        ("Acme Limited", "acme"),
        ("Müller & Söhne GmbH & Co. KG", "muller sohne"),
        ("Straße", "strasse"),
        ("  O'Neill_Sons  Inc ", "o neill sons"),
        ("Ὀδυσσεύς", "οδυσσευσ"),
        ("Acme S.p.A.", "acme"),
        ("Acme SpA", "acme"),
        ("J.P. Morgan", "jp morgan"),
        ("Route 1.2", "route 1 2"),
        ("株式会社トヨタ", "株式会社トヨタ"),
        # A name that consists of legal forms only is still a name.
        ("SE", "se"),
        ("!!!", ""),
    ],
)
def test_names_are_made_plain(text: str, plain: str) -> None:
    assert plain_name(text) == plain


@given(st.text(st.characters(codec="ascii")))
def test_a_plain_name_stays_as_it_is_in_any_case(text: str) -> None:
    plain = plain_name(text)
    assert plain_name(plain) == plain
    assert plain_name(text.upper()) == plain


def strong(entity: Entity, **values: Scalar) -> set[int]:
    named = {path.replace("__", "."): value for path, value in values.items()}
    return {f.value for f in fingerprints(entity, named) if f.strong}


def test_a_rule_needs_all_its_fields() -> None:
    values: Values = {"name": "Acme", "address.postal_code": None, "email": "a@acme.example"}
    assert [f.strong for f in fingerprints(COMPANY, values)] == [True, False]
    assert fingerprints(COMPANY, {}) == []


def test_equal_names_and_towns_match() -> None:
    one = strong(COMPANY, name="Müller GmbH", address__postal_code="80331")
    other = strong(COMPANY, name="MULLER", address__postal_code="80331")
    assert one == other
    assert one != strong(COMPANY, name="MULLER", address__postal_code="80332")


@pytest.mark.parametrize(
    ("path", "one", "other"),
    [
        ("domain", "acme.se", "acme.co"),
        ("email", "info@acme.se", "info@acme.as"),
        ("tax_id", "SE556", "556"),
    ],
)
def test_only_names_have_legal_forms(path: str, one: str, other: str) -> None:
    assert strong(COMPANY, **{path: one}) != strong(COMPANY, **{path: other})
    assert strong(COMPANY, **{path: one}) == strong(COMPANY, **{path: one.upper()})


def test_article_numbers_are_not_names() -> None:
    assert strong(PRODUCT, sku="CO-1") != strong(PRODUCT, sku="SE-1")


def test_rules_and_entities_do_not_mix() -> None:
    assert strong(COMPANY, domain="1") != strong(COMPANY, tax_id="1")
    assert strong(COMPANY, email="a@b.example").isdisjoint(strong(CONTACT, email="a@b.example"))


def test_a_name_without_letters_is_compared_raw() -> None:
    assert fingerprints(PRODUCT, {"name": "!!!"}) != fingerprints(PRODUCT, {"name": "???"})


def candidate(id_: str, /, rule: int = 0, *, certain: bool = True, **values: Scalar) -> Candidate:
    named = {path.replace("__", "."): value for path, value in values.items()}
    return Candidate(id_, named, rule, certain)


ACME: Values = {"name": "Acme Ltd", "tax_id": "GB1", "address.country": "GB", "phone": "+441"}


def test_without_similar_records_it_is_unknown() -> None:
    assert decide(COMPANY, ACME, []) == Unknown()


def test_one_certain_candidate_links() -> None:
    assert decide(COMPANY, ACME, [candidate("g1", tax_id="GB1")]) == Linked("g1")


def test_one_candidate_found_by_two_rules_is_one() -> None:
    found = [candidate("g1", 0, tax_id="GB1"), candidate("g1", 1, tax_id="GB1")]
    assert decide(COMPANY, ACME, found) == Linked("g1")


def test_the_stronger_rule_decides() -> None:
    assert decide(COMPANY, ACME, [candidate("g1", 2), candidate("g2", 1)]) == Linked("g2")


def test_several_certain_candidates_are_a_review() -> None:
    found = decide(COMPANY, ACME, [candidate("g2", 3), candidate("g1", 3)])
    assert found == Unclear(("g1", "g2"), "2 records have the same name + address.postal_code")


@pytest.mark.parametrize("values", [{"tax_id": "GB2"}, {"address__country": "IE"}])
def test_a_contradiction_excludes(values: dict[str, Scalar]) -> None:
    assert decide(COMPANY, ACME, [candidate("g1", 1, **values)]) == Unknown()
    both = [candidate("g1", 1, **values), candidate("g2", 1)]
    assert decide(COMPANY, ACME, both) == Linked("g2")


def test_a_blank_contradicts_nothing() -> None:
    assert decide(COMPANY, ACME, [candidate("g1", 1, tax_id=None)]) == Linked("g1")


def test_similar_records_are_a_review() -> None:
    found = [
        candidate("g2", 4, certain=False, name="ACME limited"),
        candidate("g1", 4, certain=False, name="Acme", phone="+441"),
        candidate("g3", 4, certain=False, name="Zenith"),
        candidate("g4", 4, certain=False),
    ]
    reason = "looks similar, but without a certain match"
    assert decide(COMPANY, ACME, found) == Unclear(("g1", "g2"), reason)


def test_a_contradiction_is_not_even_suggested() -> None:
    twin = candidate("g1", 4, certain=False, name="Acme Ltd", tax_id="GB2")
    assert decide(COMPANY, ACME, [twin]) == Unknown()
