"""Writes without an answer are looked up before they are repeated, and happen once."""

from __future__ import annotations

import pytest

from connectors.kit.errors import UnavailableError
from hub.sync.ingest.pull import pull
from hub.sync.push.push import push


@pytest.mark.parametrize("fault", ["before", "lost", "partial", "row_lost", "rate"])
def test_a_create_in_doubt_is_probed(world, fault):
    world.crm.create("companies", name="Acme", domain="acme.example")
    world.crm.create("companies", name="Zenith", domain="zenith.example")
    world.crm.create("companies", name="Nadir", domain="nadir.example")
    world.erp.inject_faults(script=(fault,))
    world.sync()
    world.agree()
    assert world.titles() == ["Acme", "Nadir", "Zenith"]


def test_a_row_without_an_answer_is_probed(world):
    """A row that the answer omits is looked up before it is written again."""
    for name in ("Acme", "Zenith", "Nadir"):
        world.crm.create("companies", name=name, domain=f"{name.lower()}.example")
    for connection, stream in (("crm", "companies"), ("erp", "parties")):
        pull(world.hub, connection, stream)
    world.erp.declare("parties", once_unique=False)  # otherwise it would refuse the second one
    world.erp.inject_faults(script=("row_lost",))
    for _ in range(2):
        push(world.hub, "erp")  # nothing is read in between
        world.clock.later(minutes=1)
    assert world.titles() == ["Acme", "Nadir", "Zenith"]
    world.agree()


def test_an_unreadable_probe_is_not_recreated(world):
    """A record that a probe found but that cannot be read is not created again."""
    world.crm.create("companies", name="Acme", domain="acme.example")
    world.erp.inject_faults(script=("lost",))
    world.sync()
    (party,) = world.erp.records("parties")
    world.erp.edit("parties", party, address={"country": "Atlantis"})
    world.quiet()
    assert list(world.erp.records("parties")) == [party]
    assert world.backlog() == {("erp", "in_flight"): 1}
    world.erp.edit("parties", party, address={"country": "DE"})
    world.agree()
    assert list(world.erp.records("parties")) == [party]
    assert world.backlog() == {}


def test_a_create_merged_in_doubt_is_one_record(world):
    """A record created and merged in the remote system before its answer arrived is one."""
    world.crm.create("companies", name="Acme", domain="acme.example")
    world.crm.create("companies", name="Zenith", domain="zenith.example")
    world.erp.inject_faults(script=("lost",))
    world.sync()
    parties = {p["title"]: key for key, p in world.erp.records("parties").items()}
    world.erp.merge("parties", parties["Acme"], into=parties["Zenith"])
    world.agree()
    assert list(world.erp.records("parties")) == [parties["Zenith"]]
    (golden,) = world.golden("company")
    assert golden.values["name"] == "Zenith"
    lost = [row for row in world.history(golden, "name") if row.decision == "superseded"]
    assert [row.old for row in lost] == ["Acme"]


@pytest.mark.parametrize("fault", ["before", "lost", "row_lost", "rate"])
def test_an_update_in_doubt_is_made_once(world, fault):
    company, _party = world.customer()
    world.crm.edit("companies", company, name="Acme SE")
    world.erp.inject_faults(script=(fault,))
    world.sync()
    world.agree()
    assert world.titles() == ["Acme SE"]


def test_an_edit_of_a_create_in_doubt_is_kept(world):
    """A user's edit of a record whose create was not answered is kept."""
    world.crm.create("companies", name="Acme", domain="acme.example")
    world.erp.inject_faults(script=("lost",))
    world.sync()
    (party,) = world.erp.records("parties")
    world.erp.edit("parties", party, title="Acme from the ERP")
    world.crm.edit("companies", "1", industry="Shipping")
    world.agree()
    assert world.crm.get("companies", "1")["name"] == "Acme from the ERP"
    assert world.erp.get("parties", party)["branch"] == "Shipping"


def test_without_external_ids_values_are_probed(world):
    """A system without external ids is probed by the fields that identify a record."""
    facts = world.erp.shape("parties").facts.model_copy(update={"once": None})
    world.erp.declare("parties", facts=facts)
    world.restart()
    world.crm.create("companies", name="Acme", domain="acme.example")
    world.erp.inject_faults(script=("lost",))
    world.clock.later(minutes=1)
    pull(world.hub, "crm", "companies")
    with pytest.raises(UnavailableError):
        push(world.hub, "erp")
    world.clock.later(minutes=1)
    push(world.hub, "erp")
    world.agree()
    assert world.titles() == ["Acme"]


def test_without_a_probe_a_person_is_asked(world):
    """A create that cannot be probed at all is not repeated unless a person says so."""
    facts = world.erp.shape("parties").facts.model_copy(update={"once": None})
    world.erp.declare("parties", facts=facts)
    world.restart()
    world.crm.create("companies", name="Acme")
    world.erp.inject_faults(script=("lost",))
    pull(world.hub, "crm", "companies")
    with pytest.raises(UnavailableError):
        push(world.hub, "erp")
    world.clock.later(minutes=1)
    push(world.hub, "erp")
    assert world.titles() == ["Acme"]
    (entry,) = world.held_writes("erp")
    assert entry.state == "held"
    assert "is unknown" in entry.reason
