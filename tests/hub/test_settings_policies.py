"""Policies: the shipped ones, how tulay.yaml overrides them, and which systems a role means."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.model.policy import EntityPolicy
from hub.settings import load_settings, resolve_policies
from hub.settings.policies import shipped, valid_paths
from mappings.canonical.entities import ENTITIES

BOTH = "connections: {crm: {system: memory}, erp: {system: memory}}\n"


def resolved(folder: Path, text: str) -> dict[str, EntityPolicy]:
    path = folder / "tulay.yaml"
    path.write_text(text, encoding="utf-8")
    settings = load_settings(path, environ={})
    return resolve_policies(settings.policies, settings.connections)


def test_every_entity_has_a_shipped_policy() -> None:
    assert list(shipped()) == list(ENTITIES)


def test_shipped_policies_name_existing_fields() -> None:
    for entity, text in shipped().items():
        known = valid_paths(ENTITIES[entity])
        assert {path if path != "lines" else "lines[]" for path in text.fields} <= known


def test_customers_may_be_set_by_all(tmp_path: Path) -> None:
    company = resolved(tmp_path, BOTH)["company"]
    assert company.create == {"crm", "erp"}
    assert company.imports is None
    assert company.of("name").owners is None
    assert (company.of("name").on_conflict, company.of("name").on_first_match) == ("ask", "crm")
    assert (company.of("address.city").on_first_match, company.unit_of("address.city")) == (
        "erp",
        "address",
    )
    assert company.of("tax_id").on_first_match == "erp"
    assert company.of("figures.invoiced").owners == frozenset()


def test_the_erp_leads_orders_and_the_crm_deals(tmp_path: Path) -> None:
    policies = resolved(tmp_path, BOTH)
    order, deal = policies["sales_order"], policies["opportunity"]
    assert (order.create, order.imports) == ({"crm", "erp"}, {"erp"})
    assert order.of("state").owners == {"erp"}
    assert order.of("lines[A-1].quantity").owners == {"erp"}
    assert deal.create == frozenset()
    assert deal.of("amount").owners == {"crm"}
    assert deal.of("order_number").owners == frozenset()
    assert policies["invoice"].create == {"crm"}
    assert policies["payment"].create == frozenset()
    assert policies["activity"].imports == frozenset()
    assert policies["activity"].of("status").owners == {"crm"}
    assert policies["activity"].of("body").owners == frozenset()


def test_policies_of_the_user_override_by_field(tmp_path: Path) -> None:
    text = BOTH + (
        "policies:\n"
        "  company:\n"
        "    create: [erp]\n"
        "    delete: propagate\n"
        "    fields:\n"
        "      phone: {on_conflict: latest, when_blank: write}\n"
        "      address.city: {on_conflict: erp}\n"
        "      tax_id: {owner: erp}\n"
        "  sales_order: {fields: {lines: {owner: any}, lines.quantity: {owner: crm}}}\n"
    )
    policies = resolved(tmp_path, text)
    company, order = policies["company"], policies["sales_order"]
    assert (company.create, company.delete) == ({"erp"}, "propagate")
    phone = company.of("phone")
    assert (phone.on_conflict, phone.on_first_match, phone.when_blank) == ("latest", "crm", "write")
    city = company.of("address.city")
    assert (city.on_conflict, city.on_first_match, city.unit) == ("erp", "erp", "address")
    assert company.of("address.street").on_conflict == "ask"
    assert company.of("tax_id").owners == {"erp"}
    assert order.of("lines[A].unit_price").owners is None
    assert order.of("lines[A].quantity").owners == {"crm"}


def test_a_role_means_every_system_that_has_it(tmp_path: Path) -> None:
    text = (
        "connections:\n"
        "  sales: {system: memory, role: crm}\n"
        "  north: {system: memory, role: erp}\n"
        "  south: {system: memory, role: erp}\n"
    )
    policies = resolved(tmp_path, text)
    assert policies["product"].of("price").owners == {"north", "south"}
    assert policies["company"].of("tax_id").on_first_match == "north"
    assert policies["company"].create == {"sales", "north", "south"}


def test_a_role_without_a_system_limits_nothing(tmp_path: Path) -> None:
    text = "connections: {a: {system: memory, role: crm}, b: {system: memory, role: crm}}\n"
    policies = resolved(tmp_path, text)
    assert policies["product"].of("price").owners is None
    assert policies["company"].of("tax_id").on_first_match == "ask"
    assert policies["company"].of("figures.invoiced").owners == frozenset()


def test_a_name_in_a_policy_beats_a_role(tmp_path: Path) -> None:
    text = (
        "connections: {crm: {system: memory, role: erp}, x: {system: memory, role: crm}}\n"
        "policies: {company: {fields: {name: {owner: crm}, phone: {owner: erp}}}}\n"
    )
    company = resolved(tmp_path, text)["company"]
    assert company.of("name").owners == {"crm"}
    assert company.of("phone").owners == {"crm"}
    assert company.create == {"crm", "x"}


@pytest.mark.parametrize("entity", list(ENTITIES))
@given(data=st.data())
def test_a_branch_policy_holds_for_all_below(entity: str, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(valid_paths(ENTITIES[entity]))))
    below = [p for p in valid_paths(ENTITIES[entity]) if p.startswith(f"{path}.")]
    policy = resolve_policies({}, {})[entity]
    said = shipped()[entity].fields
    for one in below:
        if one not in said and one.replace("[]", "") not in said:
            assert policy.of(one.replace("[]", "[K]")).owners == policy.of(path).owners
