"""Records that were merged away before the hub knew them: nothing waits for them forever."""

from __future__ import annotations

from connectors.memory import MemoryConnector
from hub.store.runs import Tally
from hub.sync.ingest.page import ingest
from hub.sync.ingest.pull import pull
from hub.sync.ingest.read_record import Origin


def test_a_merged_contact_is_no_longer_awaited(world):
    """A contact that waited for its company and was merged leaves quarantine."""
    world.map("contacts", "people")
    party = world.erp.create("parties", title="Acme")
    known = world.erp.create("people", given="Ann", family="Lee", mail="ann@acme.example")
    waiting = world.erp.create("people", given="A", family="Lee", party=party)
    pull(world.hub, "erp", "people")
    assert [entry.key for entry in world.quarantine_entries()] == [waiting]
    world.erp.merge("people", waiting, into=known)
    world.agree()
    assert world.quarantine_entries() == []
    assert len(world.golden("contact")) == 1


def test_a_merged_unreadable_record_leaves(world):
    """An unreadable record that was merged leaves quarantine."""
    world.map("bills", "invoices")
    _, party = world.customer()
    good = world.erp.create("bills", party=party, total="10", number="1", state="posted")
    bad = world.erp.create("bills", party=party, total="10", number="2", state="sideways")
    known = world.erp.create("bills", party=party, total="10", number="3", state="posted")
    world.quiet()
    world.erp.edit("bills", known, state="sideways")
    world.quiet()
    assert {entry.key for entry in world.quarantine_entries()} == {bad, known}
    world.erp.merge("bills", bad, into=good)
    world.erp.merge("bills", known, into=good)
    world.agree()
    assert world.quarantine_entries() == []


def test_a_merged_record_closes_its_review(world):
    keys = [world.crm.create("companies", name=f"Acme {n}", domain="acme.example") for n in "AB"]
    world.restart(policies={"company": {"create": ["crm"]}})
    world.quiet()
    world.erp.create("parties", title="Zenith", website="zenith.example")
    party = world.erp.create("parties", title="Acme", website="acme.example")
    world.quiet()
    assert len(world.reviews()) == 1
    world.erp.merge("parties", party, into="1")
    world.agree()
    assert world.reviews() == []
    assert len(world.crm.records("companies")) == len(keys) + 1


def test_references_reach_an_unknown_survivor(world):
    """References to a company merged before the hub knew it point to the survivor."""
    world.map("contacts", "people")
    first, second = (world.erp.create("parties", title=title) for title in ("Acme", "Zenith"))
    world.erp.create("people", given="Ann", family="Lee", mail="ann@acme.example", party=first)
    pull(world.hub, "erp", "people")
    world.erp.merge("parties", first, into=second)
    world.agree()
    assert world.quarantine_entries() == []
    (contact,) = world.golden("contact")
    (company,) = world.golden("company")
    assert contact.values["company"] == company.id


def test_a_company_merged_into_a_gone_one_ends(world):
    """A company merged, before the hub knew it, into one that is gone is not waited for."""
    world.map("contacts", "people")
    first, second = (world.erp.create("parties", title=title) for title in ("Acme", "Zenith"))
    world.erp.create("people", given="Ann", family="Lee", mail="ann@acme.example", party=first)
    pull(world.hub, "erp", "people")
    world.erp.merge("parties", first, into=second)
    world.erp.delete("parties", second)
    world.agree()
    assert world.quarantine_entries() == []
    (contact,) = world.golden("contact")
    assert contact.values.get("company") is None


def test_a_late_page_opens_no_review_of_the_gone(world):
    """A page read earlier opens no review about a record that is gone."""
    for n in "AB":
        world.crm.create("companies", name=f"Acme {n}", domain="acme.example")
    world.restart(policies={"company": {"create": ["crm"]}})
    world.quiet()
    party = world.erp.create("parties", title="Acme", website="acme.example")
    page = next(iter(MemoryConnector.of(world.erp).pages("parties", None)))
    world.erp.delete("parties", party)
    world.quiet()
    channel = world.hub.connection("erp").channel("parties")
    with world.hub.store.begin() as tx:
        tally = Tally(world.hub.fresh_id(), "pull", "erp", "parties", world.clock())
        ingest(world.hub, tx, channel, page=page, tally=tally, origin=Origin.LISTED)
    assert tally.adds_up
    world.quiet()
    assert world.reviews() == []
