"""Many small runs together reach the change limit like a big one; ordinary busy days do not."""

from __future__ import annotations

import pytest

from connectors.kit.contract import Notification
from hub.model.change_limits import ChangeLimit
from hub.store.streams import stream_state
from hub.sync.flows import derive
from hub.sync.ingest.inbox import process_inbox
from hub.sync.ingest.pull import pull
from hub.sync.ingest.webhooks import receive
from hub.sync.push.push import push


@pytest.fixture
def many(world):
    """Thirty customers, deletions that propagate, and limits to match: 10 records, 20 %."""
    world.restart(policies={"company": {"delete": "propagate"}}, limit=ChangeLimit(records=10))
    for n in range(30):
        world.crm.create("companies", name=f"Acme {n}", domain=f"acme{n}.example")
    world.quiet()
    return world


def notify(world, key):
    """Processes one webhook by itself, and writes what follows."""
    world.clock.later(seconds=10)
    event = f"e{key}{world.clock.at.timestamp()}"
    receive(world.hub, "crm", [Notification("companies", key, event)])
    process_inbox(world.hub, "crm")
    derive(world.hub)
    push(world.hub, "erp")


def delete_one_by_one(world, keys):
    for key in keys:
        world.crm.delete("companies", key)
        notify(world, key)


def change_one_by_one(world, keys, text):
    for key in keys:
        world.crm.edit("companies", key, industry=text)
        notify(world, key)


def test_single_deletions_add_up_to_the_limit(many):
    """Deletions that arrive one by one are measured together, and stop at the change limit."""
    world = many
    delete_one_by_one(world, list(world.crm.records("companies")))
    assert len(world.erp.records("parties")) == 20
    report = world.sync()
    assert list(report.paused) == ["crm.companies"]
    assert "11 records were deleted" in report.paused["crm.companies"]
    assert "tulay resume crm companies --accept" in report.paused["crm.companies"]


def test_it_is_stopped_on_postgresql_too(world_on_postgresql):
    world = world_on_postgresql
    world.restart(policies={"company": {"delete": "propagate"}}, limit=ChangeLimit(records=5))
    for n in range(12):
        world.crm.create("companies", name=f"Acme {n}", domain=f"acme{n}.example")
    world.quiet()
    delete_one_by_one(world, list(world.crm.records("companies")))
    assert len(world.erp.records("parties")) == 7
    assert list(world.sync().paused) == ["crm.companies"]


def test_many_changes_wait_for_one_approval(many):
    """Many small runs together exceed the limit; a person who has looked approves them once."""
    world = many
    keys = list(world.crm.records("companies"))
    change_one_by_one(world, keys[:20], "Shipping")
    assert sum("branch" in p for p in world.erp.records("parties").values()) == 15
    assert list(world.sync().paused) == ["crm.companies"]
    world.resume("crm", "companies", accept=True)
    world.agree()
    assert sum("branch" in p for p in world.erp.records("parties").values()) == 20
    change_one_by_one(world, keys[20:25], "Rail")
    assert not world.sync().paused
    world.agree()


def test_repeated_edits_of_a_record_count_once(many):
    """Many changes of a few records do not exceed the change limit."""
    world = many
    keys = list(world.crm.records("companies"))[:8]
    for number in range(4):
        change_one_by_one(world, keys, f"Branch {number}")
    assert not world.sync().paused
    world.agree()


def test_a_busy_day_stays_below_the_limit(many):
    world = many
    keys = list(world.crm.records("companies"))
    for start in range(0, 30, 10):
        change_one_by_one(world, keys[start : start + 10], "Shipping")
        world.clock.later(minutes=60)
    for part in (keys[:9], keys[9:18]):
        delete_one_by_one(world, part)
        world.clock.later(minutes=60)
    assert not world.sync().paused
    world.agree()
    assert len(world.erp.records("parties")) == 12


def test_a_first_load_never_exceeds_the_limit(world):
    """Neither a first load nor the records that match it are held by the change limit."""
    world.restart(limit=ChangeLimit(records=10))
    for n in range(30):
        world.crm.create("companies", name=f"Acme {n}", domain=f"acme{n}.example")
        world.erp.create("parties", title=f"ACME {n}", website=f"acme{n}.example", branch="Ships")
    assert world.quiet().paused == {}
    world.agree()
    assert len(world.golden("company")) == 30


@pytest.fixture
def emptied(many):
    """Most customers were deleted in the CRM, and a person has approved it there."""
    world = many
    keys = list(world.crm.records("companies"))
    for key in keys[:20]:
        world.crm.delete("companies", key)
    assert list(world.sync().paused) == ["crm.companies"]
    world.resume("crm", "companies", accept=True)
    world.crm.edit("companies", keys[25], name="Acme SE")
    return world


def test_deletions_by_the_hub_wait_for_a_person(emptied):
    """Deletions that would empty the other system wait for a person."""
    world = emptied
    report = world.sync()
    assert list(report.paused) == ["erp.parties"]
    assert "20 records were deleted elsewhere" in report.paused["erp.parties"]
    assert "tulay resume erp parties --accept" in report.paused["erp.parties"]
    parties = world.erp.records("parties")
    assert len(parties) == 30, "nothing is deleted before a person has looked"
    assert "Acme SE" in {p["title"] for p in parties.values()}, "the rest continues"
    assert {w.reason for w in world.held_writes("erp")} == {report.paused["erp.parties"]}
    assert list(world.sync().paused) == ["erp.parties"]
    assert [r.kind for r in world.runs() if r.state == "paused"] == ["push", "pull"]


def test_approved_deletions_happen_once(emptied):
    """A person who has looked approves these deletions, and not the next ones."""
    world = emptied
    world.sync()
    world.resume("erp", "parties", accept=True)
    world.agree()
    assert len(world.erp.records("parties")) == 10
    with world.store.read() as tx:
        assert not stream_state(tx, "erp", "parties").accepted


def test_resuming_without_consent_asks_again(emptied):
    world = emptied
    world.sync()
    world.resume("erp", "parties")
    assert list(world.sync().paused) == ["erp.parties"]
    assert len(world.erp.records("parties")) == 30


def test_deletions_by_the_hub_count_together(many):
    """The source is trusted; what the hub deletes in the ERP is measured all the same."""
    world = many
    keys = list(world.crm.records("companies"))
    for start in range(0, 30, 6):
        world.clock.later(minutes=1)
        world.restart(limit=ChangeLimit(share=1.0))
        for key in keys[start : start + 6]:
            world.crm.delete("companies", key)
        pull(world.hub, "crm", "companies")
        world.restart(limit=ChangeLimit(records=10))
        push(world.hub, "erp")
    assert len(world.erp.records("parties")) == 24
    assert list(world.sync().paused) == ["erp.parties"]
