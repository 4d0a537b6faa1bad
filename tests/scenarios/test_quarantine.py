"""A record that cannot be ingested yet is not created a second time, and holds up nothing else."""

from __future__ import annotations

import pytest

from hub.store import quarantine
from hub.sync.ingest.pull import pull
from hub.sync.operate.decide import decide_review
from hub.sync.push.push import push

NOWHERE = {"street": "Dock 1", "postcode": "20095", "town": "Hamburg", "country": "Atlantis"}


@pytest.fixture
def unreadable(world):
    """A party that cannot be read, and the same customer in the CRM."""
    party = world.erp.create(
        "parties", title="ACME", website="www.acme.example", address=dict(NOWHERE)
    )
    world.quiet()
    assert [entry.key for entry in world.quarantine_entries()] == [party]
    world.crm.create("companies", name="Acme", domain="acme.example")
    world.crm.create("companies", name="Zenith", domain="zenith.example")
    world.quiet()
    return party


def test_an_unreadable_record_is_not_recreated(world, unreadable):
    """A record that cannot be read in the remote system is not created a second time."""
    assert [p["title"] for p in world.erp.records("parties").values()] == ["ACME", "Zenith"]
    (entry,) = world.held_writes()
    assert f"parties {unreadable} in erp" in entry.reason
    world.erp.edit("parties", unreadable, address={"country": "DE"})
    world.agree()
    assert len(world.erp.records("parties")) == len(world.crm.records("companies")) == 2
    assert world.quarantine_entries() == world.held_writes() == []


def test_a_dropped_entry_lets_the_create_happen(world, unreadable):
    """After a person drops the quarantine entry, the record is created."""
    with world.hub.store.begin() as tx:
        quarantine.drop(tx, [entry.id for entry in world.quarantine_entries()])
    world.clock.later(hours=2)
    world.quiet()
    assert len(world.erp.records("parties")) == 3


def test_a_quarantined_record_deleted_is_created(world, unreadable):
    """A record deleted in the remote system while it was quarantined is created there."""
    world.erp.delete("parties", unreadable)
    world.agree()
    assert [p["title"] for p in world.erp.records("parties").values()] == ["Zenith", "Acme"]


def test_a_waiting_contact_is_not_recreated(world):
    """A contact that waits for its company is not created a second time."""
    world.map("contacts", "people")
    party = world.erp.create("parties", title="Zenith", website="zenith.example")
    world.erp.create("people", given="Ann", family="Lee", mail="ann@acme.example", party=party)
    world.crm.create("contacts", last="Lee", email="Ann@acme.example")
    pull(world.hub, "erp", "people")
    pull(world.hub, "crm", "contacts")
    push(world.hub, "erp")
    assert len(world.erp.records("people")) == 1
    world.agree()
    assert len(world.erp.records("people")) == len(world.crm.records("contacts")) == 1
    assert world.quarantine_entries() == world.held_writes() == []


def test_a_record_under_review_is_not_recreated(world):
    """A record under review is not created a second time for a new customer."""
    for n in "AB":
        world.crm.create("companies", name=f"Acme {n}", domain="acme.example")
    world.restart(policies={"company": {"create": ["crm"]}})
    world.quiet()
    world.erp.create("parties", title="Acme", website="acme.example")
    world.quiet()
    (review,) = world.reviews()
    world.restart(policies={})
    world.crm.create("companies", name="Acme C", domain="acme.example")
    world.quiet()
    assert len(world.erp.records("parties")) == 1
    decide_review(world.hub, review.id, review.candidates[0])
    world.clock.later(hours=2)
    world.quiet()
    assert world.reviews() == world.held_writes() == []
    assert len(world.erp.records("parties")) == 2
