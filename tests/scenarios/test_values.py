"""What people type travels, what policy forbids does not, and nobody is overwritten unasked."""

from __future__ import annotations

import pytest

from hub.sync.operate.resolve import resolve_conflict, resolve_with_value


def test_a_new_customer_of_the_crm_appears_in_the_erp(world_on_each):
    world = world_on_each
    _, party = world.customer()
    assert world.erp.get("parties", party)["title"] == "Acme"
    assert world.erp.get("parties", party)["address"]["town"] == "Hamburg"
    world.agree()


def test_a_customer_renamed_in_the_crm_is_renamed_in_the_erp(world):
    company, party = world.customer()
    world.crm.edit("companies", company, name="Acme SE")
    world.quiet()
    assert world.erp.get("parties", party)["title"] == "Acme SE"
    world.agree()


def test_a_customer_renamed_in_the_erp_is_renamed_in_the_crm(world):
    company, party = world.customer()
    world.erp.edit("parties", party, title="Acme SE")
    world.quiet()
    assert world.crm.get("companies", company)["name"] == "Acme SE"
    world.agree()


def test_both_sides_edit_different_fields_and_both_edits_live(world):
    company, party = world.customer()
    world.crm.edit("companies", company, name="Acme SE")
    world.erp.edit("parties", party, branch="Shipping")
    world.agree()
    assert world.crm.get("companies", company)["industry"] == "Shipping"
    assert world.erp.get("parties", party)["title"] == "Acme SE"


@pytest.fixture
def quarrel(world):
    """Both sides have renamed the customer."""
    company, party = world.customer()
    world.crm.edit("companies", company, name="Acme SE")
    world.erp.edit("parties", party, title="Acme AG")
    world.quiet()
    return company, party


def names(world, quarrel):
    company, party = quarrel
    return world.crm.get("companies", company)["name"], world.erp.get("parties", party)["title"]


def test_both_sides_edit_one_field_and_a_person_is_asked(world, quarrel):
    (conflict,) = world.conflicts()
    assert (conflict.path, conflict.base) == ("name", "Acme")
    assert {conflict.ours, conflict.theirs} == {"Acme SE", "Acme AG"}
    assert names(world, quarrel) == ("Acme SE", "Acme AG")


def test_a_conflict_does_not_stop_the_other_fields(world, quarrel):
    company, party = quarrel
    world.crm.edit("companies", company, industry="Shipping")
    world.erp.edit("parties", party, telephone="+49 40 123456")
    world.quiet()
    assert world.erp.get("parties", party)["branch"] == "Shipping"
    assert world.crm.get("companies", company)["phone"] == "+4940123456"
    assert names(world, quarrel) == ("Acme SE", "Acme AG")
    assert len(world.conflicts()) == 1


def test_words_typed_anew_while_in_conflict_stay_in_history(world, quarrel):
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


def test_a_conflict_closes_by_itself_when_both_sides_say_the_same(world, quarrel):
    company, _ = quarrel
    world.crm.edit("companies", company, name="Acme AG")
    world.agree()
    assert names(world, quarrel) == ("Acme AG", "Acme AG")
    assert world.conflicts() == []


def test_the_later_edit_wins_where_policy_says_latest(world):
    world.restart(policies={"company": {"fields": {"name": {"on_conflict": "latest"}}}})
    company, party = world.customer()
    world.erp.edit("parties", party, title="Acme AG")
    world.clock.later(seconds=30)
    world.crm.edit("companies", company, name="Acme SE")
    world.agree()
    assert names(world, (company, party)) == ("Acme SE", "Acme SE")


def test_the_named_side_wins_and_history_keeps_the_loser(world):
    world.restart(policies={"company": {"fields": {"name": {"on_conflict": "erp"}}}})
    company, party = world.customer()
    world.crm.edit("companies", company, name="Acme SE")
    world.erp.edit("parties", party, title="Acme AG")
    world.agree()
    assert names(world, (company, party)) == ("Acme AG", "Acme AG")
    (golden,) = world.golden("company")
    lost = [row for row in world.history(golden, "name") if row.decision == "superseded"]
    assert "Acme SE" in {row.old for row in lost}


def test_a_field_that_the_erp_owns_is_repaired_in_the_crm(world):
    world.restart(policies={"company": {"fields": {"tax_id": {"owner": "erp"}}}})
    company, party = world.customer()
    world.erp.edit("parties", party, vat="DE136695976")
    world.quiet()
    world.crm.edit("companies", company, tax_id="DE129273398")
    world.agree()
    assert world.crm.get("companies", company)["tax_id"] == "DE136695976"
    assert world.erp.get("parties", party)["vat"] == "DE136695976"


@pytest.mark.parametrize("way", ["upper", "truncate:6", "lower"])
def test_a_system_with_its_own_way_of_writing_causes_no_ping_pong(world, way):
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


def test_a_system_that_rounds_prices_causes_no_ping_pong(world):
    world.map("products", "articles")
    world.crm.declare("products", ways={"price": "round:1"})
    article = world.erp.create("articles", code="WID-1", name="Widget", list_price="9.99")
    world.agree()
    (product,) = world.crm.records("products").values()
    assert product["price"] == "10.0"
    assert world.erp.get("articles", article)["list_price"] == "9.99"


def test_an_edit_undone_before_the_sync_is_no_edit(world):
    company, party = world.customer()
    world.crm.edit("companies", company, name="Typo")
    world.crm.edit("companies", company, name="Acme")
    world.erp.edit("parties", party, title="Acme SE")
    world.agree()
    assert world.crm.get("companies", company)["name"] == "Acme SE"
    assert world.conflicts() == []


def test_an_edit_undone_after_the_sync_is_undone_everywhere(world):
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


def test_an_emptied_field_is_emptied_everywhere_where_policy_says_so(world):
    world.restart(policies={"company": {"fields": {"industry": {"when_blank": "write"}}}})
    company, party = world.customer(industry="Shipping")
    world.crm.edit("companies", company, industry=None)
    world.agree()
    assert world.crm.get("companies", company)["industry"] is None
    assert world.erp.get("parties", party)["branch"] is None


def test_an_address_is_one_thing(world):
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


def test_a_part_of_an_address_travels_with_the_rest(world):
    company, party = world.customer()
    world.erp.edit("parties", party, {"address": {"street": "Quay 2", "postcode": "28195"}})
    world.agree()
    here = world.crm.get("companies", company)["address"]
    assert (here["street"], here["zip"], here["city"]) == ("Quay 2", "28195", "Hamburg")


def test_what_only_the_hub_may_set_is_not_taken_from_people(world):
    company, _ = world.customer()
    world.crm.edit("companies", company, open_orders=99)
    world.agree()
    (golden,) = world.golden("company")
    assert golden.values.get("figures.open_orders") != 99


def test_a_field_of_ones_own_travels_by_a_mapping_of_ones_own(world, tmp_path):
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
