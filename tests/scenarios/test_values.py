"""What users type propagates, what policies forbid does not, and no edit is overwritten
silently."""

from __future__ import annotations

import pytest

from hub.sync.operate.resolve import resolve_conflict, resolve_with_value


def test_a_new_customer_reaches_the_erp(world_on_each):
    world = world_on_each
    _, party = world.customer()
    assert world.erp.get("parties", party)["title"] == "Acme"
    assert world.erp.get("parties", party)["address"]["town"] == "Hamburg"
    world.agree()


def test_a_rename_in_the_crm_reaches_the_erp(world):
    company, party = world.customer()
    world.crm.edit("companies", company, name="Acme SE")
    world.quiet()
    assert world.erp.get("parties", party)["title"] == "Acme SE"
    world.agree()


def test_a_rename_in_the_erp_reaches_the_crm(world):
    company, party = world.customer()
    world.erp.edit("parties", party, title="Acme SE")
    world.quiet()
    assert world.crm.get("companies", company)["name"] == "Acme SE"
    world.agree()


def test_edits_of_different_fields_both_survive(world):
    company, party = world.customer()
    world.crm.edit("companies", company, name="Acme SE")
    world.erp.edit("parties", party, branch="Shipping")
    world.agree()
    assert world.crm.get("companies", company)["industry"] == "Shipping"
    assert world.erp.get("parties", party)["title"] == "Acme SE"


@pytest.fixture
def quarrel(world):
    """Both systems have renamed the customer."""
    company, party = world.customer()
    world.crm.edit("companies", company, name="Acme SE")
    world.erp.edit("parties", party, title="Acme AG")
    world.quiet()
    return company, party


def names(world, quarrel):
    company, party = quarrel
    return world.crm.get("companies", company)["name"], world.erp.get("parties", party)["title"]


def test_edits_of_one_field_ask_a_person(world, quarrel):
    (conflict,) = world.conflicts()
    assert (conflict.path, conflict.base) == ("name", "Acme")
    assert {conflict.ours, conflict.theirs} == {"Acme SE", "Acme AG"}
    assert names(world, quarrel) == ("Acme SE", "Acme AG")


def test_a_conflict_stops_no_other_field(world, quarrel):
    company, party = quarrel
    world.crm.edit("companies", company, industry="Shipping")
    world.erp.edit("parties", party, telephone="+49 40 123456")
    world.quiet()
    assert world.erp.get("parties", party)["branch"] == "Shipping"
    assert world.crm.get("companies", company)["phone"] == "+4940123456"
    assert names(world, quarrel) == ("Acme SE", "Acme AG")
    assert len(world.conflicts()) == 1


def test_edits_during_a_conflict_stay_in_history(world, quarrel):
    world.erp.edit("parties", quarrel[1], title="Acme KG")
    world.quiet()
    (conflict,) = world.conflicts()
    assert conflict.theirs == "Acme KG"
    (golden,) = world.golden("company")
    kept = [(row.old, row.new, row.decision) for row in world.history(golden, "name")]
    assert ("Acme AG", "Acme KG", "superseded") in kept


@pytest.mark.parametrize(("side", "name"), [("ours", "Acme SE"), ("theirs", "Acme AG")])
def test_a_person_chooses_a_side(world, quarrel, side, name):
    (conflict,) = world.conflicts()
    assert (conflict.ours, conflict.theirs) == ("Acme SE", "Acme AG")
    resolve_conflict(world.hub, conflict.id, side)
    world.agree()
    assert names(world, quarrel) == (name, name)
    assert world.conflicts() == []


def test_a_person_decides_on_a_third_value(world, quarrel):
    (conflict,) = world.conflicts()
    resolve_with_value(world.hub, conflict.id, "Acme Group")
    world.agree()
    assert names(world, quarrel) == ("Acme Group", "Acme Group")


def test_a_conflict_closes_when_both_sides_agree(world, quarrel):
    company, _ = quarrel
    world.crm.edit("companies", company, name="Acme AG")
    world.agree()
    assert names(world, quarrel) == ("Acme AG", "Acme AG")
    assert world.conflicts() == []


def test_the_later_edit_wins_under_latest(world):
    world.restart(policies={"company": {"fields": {"name": {"on_conflict": "latest"}}}})
    company, party = world.customer()
    world.erp.edit("parties", party, title="Acme AG")
    world.clock.later(seconds=30)
    world.crm.edit("companies", company, name="Acme SE")
    world.agree()
    assert names(world, (company, party)) == ("Acme SE", "Acme SE")


def test_the_named_side_wins(world):
    """The side that the policy names wins, and the history keeps the other value."""
    world.restart(policies={"company": {"fields": {"name": {"on_conflict": "erp"}}}})
    company, party = world.customer()
    world.crm.edit("companies", company, name="Acme SE")
    world.erp.edit("parties", party, title="Acme AG")
    world.agree()
    assert names(world, (company, party)) == ("Acme AG", "Acme AG")
    (golden,) = world.golden("company")
    lost = [row for row in world.history(golden, "name") if row.decision == "superseded"]
    assert "Acme SE" in {row.old for row in lost}


def test_a_field_of_the_erp_is_restored_in_crm(world):
    world.restart(policies={"company": {"fields": {"tax_id": {"owner": "erp"}}}})
    company, party = world.customer()
    world.erp.edit("parties", party, vat="DE136695976")
    world.quiet()
    world.crm.edit("companies", company, tax_id="DE129273398")
    world.agree()
    assert world.crm.get("companies", company)["tax_id"] == "DE136695976"
    assert world.erp.get("parties", party)["vat"] == "DE136695976"


@pytest.mark.parametrize("way", ["upper", "truncate:6", "lower"])
def test_a_systems_own_spelling_settles(world, way):
    """A system with its own spelling of values causes no endless writes."""
    world.erp.declare("parties", ways={"title": way})
    company, party = world.customer(name="Acme Ship Yard")
    world.agree()
    assert world.crm.get("companies", company)["name"] == "Acme Ship Yard"
    world.crm.edit("companies", company, name="Zenith Ship Yard")
    world.agree()
    assert world.crm.get("companies", company)["name"] == "Zenith Ship Yard"
    world.erp.edit("parties", party, title="Other")
    world.agree()
    assert world.crm.get("companies", company)["name"].casefold() == "other"


def test_rounded_prices_settle(world):
    """A system that rounds prices causes no endless writes."""
    world.map("products", "articles")
    world.crm.declare("products", ways={"price": "round:1"})
    article = world.erp.create("articles", code="WID-1", name="Widget", list_price="9.99")
    world.agree()
    (product,) = world.crm.records("products").values()
    assert product["price"] == "10.0"
    assert world.erp.get("articles", article)["list_price"] == "9.99"


def test_an_edit_reverted_before_a_sync_is_none(world):
    company, party = world.customer()
    world.crm.edit("companies", company, name="Typo")
    world.crm.edit("companies", company, name="Acme")
    world.erp.edit("parties", party, title="Acme SE")
    world.agree()
    assert world.crm.get("companies", company)["name"] == "Acme SE"
    assert world.conflicts() == []


def test_a_late_revert_is_reverted_everywhere(world):
    company, party = world.customer()
    world.crm.edit("companies", company, name="Typo")
    world.agree()
    world.crm.edit("companies", company, name="Acme")
    world.agree()
    assert world.erp.get("parties", party)["title"] == "Acme"


def test_an_emptied_field_is_filled_again(world):
    company, party = world.customer(industry="Shipping")
    world.crm.edit("companies", company, industry=None)
    world.agree()
    assert world.crm.get("companies", company)["industry"] == "Shipping"
    assert world.erp.get("parties", party)["branch"] == "Shipping"


def test_a_blank_propagates_by_policy(world):
    world.restart(policies={"company": {"fields": {"industry": {"when_blank": "write"}}}})
    company, party = world.customer(industry="Shipping")
    world.crm.edit("companies", company, industry=None)
    world.agree()
    assert world.crm.get("companies", company)["industry"] is None
    assert world.erp.get("parties", party)["branch"] is None


def test_an_address_is_one_unit(world):
    company, party = world.customer()
    world.crm.edit("companies", company, {"address": {"street": "Quay 2"}})
    world.erp.edit("parties", party, {"address": {"town": "Bremen"}})
    world.quiet()
    conflicts = world.conflicts()
    assert {c.path for c in conflicts} <= {"address.street", "address.city"}
    assert world.erp.get("parties", party)["address"]["town"] == "Bremen"
    assert world.erp.get("parties", party)["address"]["street"] == "Dock 1"
    resolve_conflict(world.hub, conflicts[0].id, "theirs")
    world.agree()
    here = world.crm.get("companies", company)["address"]
    assert (here["street"], here["city"]) == ("Dock 1", "Bremen")
    assert world.conflicts() == []


def test_an_edited_address_part_takes_the_rest(world):
    company, party = world.customer()
    world.erp.edit("parties", party, {"address": {"street": "Quay 2", "postcode": "28195"}})
    world.agree()
    here = world.crm.get("companies", company)["address"]
    assert (here["street"], here["zip"], here["city"]) == ("Quay 2", "28195", "Hamburg")


def test_hub_fields_ignore_users_edits(world):
    """A field that only the hub may set is not taken from users."""
    company, _ = world.customer()
    world.crm.edit("companies", company, open_orders=99)
    world.agree()
    (golden,) = world.golden("company")
    assert golden.values.get("figures.open_orders") != 99


def test_a_custom_mapping_carries_a_custom_field(world, tmp_path):
    for system, stream, name in (("sales", "companies", "rating"), ("works", "parties", "grade")):
        (tmp_path / system).mkdir()
        (tmp_path / system / "own.yaml").write_text(
            f"entity: company\nstream: {stream}\nextends: true\n"
            f"fields:\n  custom.rating: {{field: {name}, kind: text}}\n"
        )
    company, party = world.customer()
    world.crm.edit("companies", company, rating="A")
    world.quiet()
    assert "grade" not in world.erp.get("parties", party)
    world.restart(extra=[*world.extra, tmp_path])
    world.agree()
    assert world.erp.get("parties", party)["grade"] == "A"
    world.erp.edit("parties", party, grade="B")
    world.agree()
    assert world.crm.get("companies", company)["rating"] == "B"
