"""Every record has a name that a person recognises, whichever fields are filled."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.canonical.entities import ENTITIES
from mappings.canonical.naming import in_full, name_of, parents_in, short_name
from mappings.canonical.values import Entity, Field, Scalar

ACME, DEAL, WIDGET = "a" * 32, "d" * 32, "b" * 32
PARENTS = {ACME: "Acme", DEAL: "Spring deal", WIDGET: "Widget"}
LEA: dict[str, Scalar] = {
    "first_name": "Léa",
    "last_name": "Gauthier",
    "email": "lea@acme.example",
    "company": ACME,
}


@pytest.mark.parametrize(
    ("entity", "values", "name"),
    [
        ("contact", LEA, "Gauthier, Léa <lea@acme.example>"),
        ("contact", {"first_name": "Léa"}, "Léa"),
        ("contact", {"email": "lea@acme.example"}, "lea@acme.example"),
        ("contact", {}, "contact (no name)"),
        ("company", {"name": "Acme", "domain": "acme.example"}, "Acme"),
        ("company", {"domain": "acme.example"}, "acme.example"),
        ("product", {"name": "Widget", "sku": "W-1"}, "Widget (W-1)"),
        ("product", {"sku": "W-1"}, "W-1"),
        ("opportunity", {"name": "Spring deal"}, "Spring deal"),
        ("invoice", {"number": "17", "company": ACME}, "Invoice 17 of Acme"),
        ("invoice", {"company": ACME}, "Invoice of Acme"),
        ("invoice", {"state": "draft"}, "Invoice (no number)"),
        (
            "sales_order",
            {"number": "3", "company": ACME, "opportunity": DEAL},
            "Order 3 of Acme: Spring deal",
        ),
        ("sales_order", {"company": ACME, "opportunity": DEAL}, "Order of Acme: Spring deal"),
        ("sales_order", {"description": "Spares"}, "Order (Spares)"),
        (
            "production_order",
            {"number": "5", "product": WIDGET, "quantity": "40"},
            "Production 5: Widget x 40",
        ),
        ("shipment", {"number": "8", "company": ACME}, "Shipment 8 to Acme"),
        (
            "payment",
            {"reference": "PAY-1", "company": ACME, "amount": "99.5", "currency": "EUR"},
            "Payment PAY-1 of Acme: 99.5 EUR",
        ),
        ("activity", {"subject": "Call back", "company": ACME}, "Activity about Acme: Call back"),
    ],
)
def test_a_record_is_called_as_people_do(entity: str, values: dict[str, Scalar], name: str) -> None:
    assert name_of(ENTITIES[entity], values, PARENTS) == name


def test_an_unknown_parent_is_left_out() -> None:
    assert name_of(ENTITIES["invoice"], {"number": "17", "company": "f" * 32}) == "Invoice 17"


def test_a_name_is_one_line_and_whole() -> None:
    name = name_of(ENTITIES["company"], {"name": "Acme\n and\t" + "sons " * 40})
    assert name.split() == ["Acme", "and", *["sons"] * 40]
    assert name == " ".join(name.split())


def test_the_short_name_is_what_others_say() -> None:
    assert short_name(ENTITIES["contact"], LEA) == "Léa Gauthier"
    assert short_name(ENTITIES["product"], {"sku": "W-1"}) == "W-1"
    assert short_name(ENTITIES["invoice"], {}) is None


def test_the_kind_is_said_once() -> None:
    assert in_full(ENTITIES["invoice"], "Invoice 17") == "Invoice 17"
    assert in_full(ENTITIES["sales_order"], "Order 3") == "Order 3"
    assert in_full(ENTITIES["opportunity"], "Spring deal") == "opportunity Spring deal"


def test_only_parents_of_the_label_are_asked_for() -> None:
    values: dict[str, Scalar] = {"number": "17", "company": ACME, "sales_order": "c" * 32}
    assert list(parents_in(ENTITIES["invoice"], values)) == [ACME]


def test_an_entity_without_a_label_has_a_name() -> None:
    plain = Entity("ticket", {"name": Field("text")})
    assert name_of(plain, {"name": "Broken"}) == "Broken"
    assert name_of(plain, {}) == "ticket (no name)"


@pytest.mark.parametrize("entity", ENTITIES.values(), ids=lambda entity: entity.name)
def test_labels_name_paths_that_exist(entity: Entity) -> None:
    assert entity.label
    for path in re.findall(r"\{([^}]+)\}", "".join(entity.label)):
        assert entity.field(path) is not None, path


@given(entity=st.sampled_from(list(ENTITIES.values())), data=st.data())
def test_a_name_never_shows_an_id(entity: Entity, data: st.DataObject) -> None:
    """Whichever fields are blank, a reference shows the name of its target, or nothing."""
    text = st.none() | st.sampled_from(["", "x", "Acme", "a,b", "<>", " - "])
    values: dict[str, Scalar] = {
        path: data.draw(st.none() | st.just("e" * 32) if field.kind == "reference" else text)
        for path, field in entity.fields.items()
    }
    name = name_of(entity, values, data.draw(st.sampled_from([{}, {"e" * 32: "Acme"}])))
    assert name
    assert "e" * 32 not in name
    assert "{" not in name
