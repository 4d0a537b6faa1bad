"""Which policy a path has, and who may set what."""

from __future__ import annotations

import pytest

from hub.model.policy import EntityPolicy, FieldPolicy, item_of

ERP = FieldPolicy(owners=frozenset({"erp"}))
CRM = FieldPolicy(owners=frozenset({"crm"}))
HUB = FieldPolicy(owners=frozenset())


@pytest.mark.parametrize(
    ("path", "owner"),
    [
        ("name", None),
        ("address", "erp"),
        ("address.city", "erp"),
        ("address.geo.latitude", "erp"),
        ("address.email", "crm"),
        ("addressee", None),
        ("lines[SKU-1].quantity", "erp"),
        ("lines[SKU-1].price", "crm"),
        ("lines[A.B].price", "crm"),
        ("lines[A].B].price", "crm"),
        ("order.lines[A].price", "erp"),
        ("notes[1].text", None),
    ],
)
def test_the_nearest_branch_decides(path: str, owner: str | None) -> None:
    policy = EntityPolicy(
        {
            "address": ERP,
            "address.email": CRM,
            "lines[]": ERP,
            "lines[].price": CRM,
            "order": ERP,
        }
    )
    assert policy.of(path).owners == (frozenset({owner}) if owner else None)
    assert policy.of(path) is policy.of(path)


def test_the_empty_path_is_the_default() -> None:
    policy = EntityPolicy({"": HUB, "name": ERP})
    assert policy.of("phone") is HUB
    assert policy.of("name") is ERP
    assert policy.of("lines[A].price").owners == frozenset()


def test_in_lists_a_blank_is_news() -> None:
    policy = EntityPolicy({"lines[]": FieldPolicy(when_blank="keep")})
    assert policy.of("lines[A].price").when_blank == "write"
    assert policy.of("name").when_blank == "keep"


def test_who_may_set_a_field() -> None:
    assert FieldPolicy().may_set("crm")
    assert ERP.may_set("erp")
    assert not ERP.may_set("crm")
    assert not HUB.may_set("erp")


def test_a_path_belongs_to_the_unit_of_its_branch() -> None:
    policy = EntityPolicy({"address": FieldPolicy(unit="address")})
    assert policy.unit_of("address.city") == "address"
    assert policy.unit_of("name") is None


@pytest.mark.parametrize(
    ("path", "item"),
    [
        ("name", None),
        ("address.city", None),
        ("lines[A].price", "lines[A]."),
        ("lines[A].B].price", "lines[A].B]."),
        ("odd].price", None),
    ],
)
def test_the_item_of_a_path(path: str, item: str | None) -> None:
    assert item_of(path) == item
