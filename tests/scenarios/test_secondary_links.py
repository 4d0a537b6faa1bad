"""Of an entity's records in a stream one is the primary, whatever is deleted and restored."""

from __future__ import annotations

import pytest

from connectors.kit.errors import UnavailableError
from hub.store import audit
from hub.store.runs import Tally
from hub.sync.ingest.page import ingest
from hub.sync.ingest.pull import pull
from hub.sync.ingest.read_record import Origin
from hub.sync.ingest.sweep import sweep
from hub.sync.push.push import push


def test_edits_of_a_secondary_reach_the_primary(world):
    """What a user types into the secondary record reaches the primary one."""
    company, party = world.customer()
    other, secondary = world.customer(name="Acme Shipping", domain="ship.example")
    world.crm.merge("companies", other, into=company)
    # Makes the ERP's two records equal, but for what is typed next.
    world.crm.edit("companies", company, name="Acme Shipping", domain="ship.example")
    world.quiet()
    world.erp.edit("parties", secondary, branch="Shipping")
    world.agree()
    assert world.crm.get("companies", company)["industry"] == "Shipping"
    assert world.erp.get("parties", party)["branch"] == "Shipping"


@pytest.fixture
def twice(world):
    """A company with one record in the CRM and two in the ERP: (company, party, secondary)."""
    company, party = world.customer()
    other, secondary = world.customer(name="Acme Shipping", domain="ship.example")
    world.crm.merge("companies", other, into=company)
    world.quiet()
    return company, party, secondary


@pytest.mark.parametrize("delete", ["keep", "propagate"])
@pytest.mark.parametrize("swept", [False, True])
def test_deleting_one_record_keeps_the_entity(world, twice, delete, swept):
    """A user who deletes one of two records of an entity has not deleted the entity."""
    company, party, secondary = twice
    world.restart(policies={"company": {"delete": delete}})
    if swept:
        world.only_sweeps()
    world.erp.delete("parties", party)
    if swept:
        sweep(world.hub, "erp", "parties")
    world.agree()
    world.crm.edit("companies", company, name="Acme SE")
    world.agree()
    assert world.erp.get("parties", secondary)["title"] == "Acme SE"
    world.erp.edit("parties", secondary, title="Acme from the ERP")
    world.agree()
    assert world.crm.get("companies", company)["name"] == "Acme from the ERP"


@pytest.mark.parametrize("forgotten", [False, True])
def test_an_audit_lists_live_secondary_records(world, twice, monkeypatch, forgotten):
    _company, party, secondary = twice
    if forgotten:
        monkeypatch.setattr("hub.sync.ingest.deletions.next_primaries", lambda *_args: {})
    world.erp.delete("parties", party)
    world.quiet()
    with world.store.read() as tx:
        found = audit.unwritten(tx)
    assert found == ([("erp", "parties", secondary)] if forgotten else [])


@pytest.mark.parametrize("at_once", [False, True])
def test_deleting_both_records_deletes_the_entity(world, twice, at_once):
    _company, party, secondary = twice
    world.restart(policies={"company": {"delete": "propagate"}})
    for key in (party, secondary):
        world.erp.delete("parties", key)
        if not at_once:
            world.quiet()
    world.agree()
    assert world.crm.records("companies") == world.erp.records("parties") == {}


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("at_once", [False, True])
def test_a_restored_record_becomes_primary(world, twice, first, at_once):
    """Of two deleted records the one that is restored becomes the primary."""
    company, *parties = twice
    for key in parties:
        world.erp.delete("parties", key)
        if not at_once:
            world.quiet()
    world.quiet()
    world.erp.restore("parties", parties[first])
    world.agree()
    world.crm.edit("companies", company, name="Acme SE")
    world.agree()
    assert world.erp.get("parties", parties[first])["title"] == "Acme SE"
    world.erp.restore("parties", parties[1 - first])
    world.agree()
    with world.store.read() as tx:
        assert audit.unwritten(tx) == []


def test_the_survivor_of_a_merge_is_primary(world, twice):
    """Of two records merged in the remote system the survivor is the primary."""
    company, party, secondary = twice
    world.erp.merge("parties", party, into=secondary)
    world.agree()
    world.crm.edit("companies", company, name="Acme SE")
    world.agree()
    assert world.erp.get("parties", secondary)["title"] == "Acme SE"
    with world.store.read() as tx:
        assert audit.unwritten(tx) == []


def test_a_deletion_reaches_both_records(world, twice):
    company, _party, _further = twice
    world.restart(policies={"company": {"delete": "propagate"}})
    world.crm.delete("companies", company)
    world.agree()
    assert world.crm.records("companies") == world.erp.records("parties") == {}


def test_references_move_to_the_remaining_record(world, twice):
    """References to an entity with two records move to the one that is left."""
    company, party, secondary = twice
    world.map("contacts", "people")
    world.crm.create("contacts", last="Lee", email="lee@acme.example", company=company)
    world.quiet()
    (person,) = world.erp.records("people")
    assert world.erp.get("people", person)["party"] == party
    world.erp.delete("parties", party)
    world.erp.edit("people", person, party=None)
    world.agree()
    assert world.erp.get("people", person)["party"] == secondary


def test_a_third_record_becomes_primary_and_last(world, monkeypatch):
    """One was deleted, the secondary merged into a third: that is the primary, none is created.

    This is the state of databases in which the secondary has not become the primary.
    """
    monkeypatch.setattr("hub.sync.ingest.deletions.next_primaries", lambda *_args: {})
    company, party = world.customer()
    other, secondary = world.customer(name="Acme Shipping", domain="ship.example")
    world.crm.merge("companies", other, into=company)
    world.quiet()
    world.erp.delete("parties", party)
    world.quiet()
    world.only_sweeps()
    other_party = world.erp.create("parties", title="Bolt", website="bolt.example")
    world.erp.inject_faults("merged")
    third = world.erp.merge("parties", secondary, into=other_party)
    pull(world.hub, "erp", "parties")
    sweep(world.hub, "erp", "parties")
    world.agree()
    for name in ("Zenith", "Nadir", "Acme"):
        for key in world.crm.records("companies"):
            world.crm.edit("companies", key, industry=name)
        world.agree()
    assert list(world.erp.records("parties")) == [third]
    assert world.erp.get("parties", third)["branch"] == "Acme"


@pytest.mark.parametrize("gone", [0, 1])
def test_the_other_new_record_becomes_primary(world, gone):
    """When one of two new records of an entity is gone, the other becomes the primary."""
    merged, kept = (
        world.crm.create("companies", name=name, domain=f"{name.lower()}.example")
        for name in ("Acme", "Zenith")
    )
    pull(world.hub, "crm", "companies")
    world.erp.inject_faults(script=("lost",))
    with pytest.raises(UnavailableError):
        push(world.hub, "erp")
    world.crm.merge("companies", merged, into=kept)
    pull(world.hub, "crm", "companies")
    channel = world.hub.connection("erp").channel("parties")
    parties = list(world.erp.records("parties"))
    both = channel.connector.fetch("parties", parties)
    world.erp.delete("parties", deleted := parties.pop(gone))
    fetched = channel.connector.fetch("parties", [deleted])
    with world.store.begin() as tx:
        for page, origin in ((fetched, Origin.FETCHED), (both, Origin.LISTED)):
            tally = Tally(world.hub.fresh_id(), "pull", "erp", "parties", world.clock())
            ingest(world.hub, tx, channel, page=page, tally=tally, origin=origin)
            assert tally.adds_up
    world.agree()
    with world.store.read() as tx:
        assert audit.unwritten(tx) == []
    world.crm.edit("companies", kept, name="Acme SE")
    world.agree()
    (party,) = parties
    assert world.erp.get("parties", party)["title"] == "Acme SE"


def test_a_merge_during_creates_has_one_primary(world, monkeypatch):
    """Two entities merged while both were being created elsewhere have one primary there."""
    merged, kept = (
        world.crm.create("companies", name=name, domain=f"{name.lower()}.example")
        for name in ("Acme", "Zenith")
    )
    pull(world.hub, "crm", "companies")
    other = world.another_worker()
    connector = world.hub.connection("erp").channel("parties").connector
    write = connector.write

    def merging(stream, writes):
        done = write(stream, writes)
        if merged in world.crm.records("companies"):
            world.crm.merge("companies", merged, into=kept)
            pull(other, "crm", "companies")
        return done

    monkeypatch.setattr(connector, "write", merging)
    world.quiet()
    assert len(world.erp.records("parties")) == 2
    with world.store.read() as tx:
        assert audit.unwritten(tx) == []
    world.crm.edit("companies", kept, name="Acme SE")
    world.agree()
    assert "Acme SE" in [party["title"] for party in world.erp.records("parties").values()]
