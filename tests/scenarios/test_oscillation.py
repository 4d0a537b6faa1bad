"""Automations that undo each other: the field is paused, a person is asked, the rest continues."""

from __future__ import annotations

import pytest

from hub.flows import orders
from hub.store import dirty, quarantine
from hub.sync.flows import derive
from hub.sync.operate.resolve import resolve_conflict


def insist(system, stream, key, field, value):
    """An automation of a system that sets a field again whenever it was changed."""

    def automation(written):
        if written == stream and system.get(stream, key).get(field) != value:
            system.edit(stream, key, {field: value})

    system.hooks.after_write.append(automation)


@pytest.fixture
def fight(world):
    company, party = world.customer()
    world.agree()
    insist(world.crm, "companies", company, "name", "ACME")
    insist(world.erp, "parties", party, "title", "Acme Holding")
    world.crm.edit("companies", company, name="ACME")
    for _ in range(4):
        world.sync()
    return company, party


def test_two_automations_are_paused(world, fight):
    """Two automations that undo each other's writes are an oscillation, and are paused."""
    company, party = fight
    (conflict,) = world.conflicts()
    assert conflict.path == "name"
    assert conflict.reason.startswith(
        "crm and erp keep reversing each other: more than 10 reversals of name"
    )
    world.crm.forget_writes()
    world.erp.forget_writes()
    world.quiet()
    assert not world.crm.writes
    assert not world.erp.writes
    # everything else of this customer is still written
    world.crm.edit("companies", company, domain="acme-holding.example")
    world.quiet()
    assert world.erp.get("parties", party)["website"] == "acme-holding.example"


def test_a_person_ends_the_oscillation(world, fight):
    company, party = fight
    world.crm.hooks.after_write.clear()
    world.erp.hooks.after_write.clear()
    (conflict,) = world.conflicts()
    resolve_conflict(world.hub, conflict.id, "ours")
    world.agree()
    assert world.crm.get("companies", company)["name"] == world.erp.get("parties", party)["title"]
    assert not world.conflicts()


def test_many_edits_are_no_oscillation(world):
    """A user who edits a field many times does not oscillate with another system."""
    company, party = world.customer()
    for number in range(15):
        world.crm.edit("companies", company, name=f"Acme {number}")
        world.quiet()
    assert not world.conflicts()
    assert world.erp.get("parties", party)["title"] == "Acme 14"


def test_without_a_limit_they_continue(world):
    company, party = world.customer()
    world.agree()
    world.hub.reversals = 0
    insist(world.crm, "companies", company, "name", "ACME")
    insist(world.erp, "parties", party, "title", "Acme Holding")
    world.crm.edit("companies", company, name="ACME")
    assert not any(world.sync().quiet for _ in range(3))
    assert not world.conflicts()


def test_circular_flows_end_in_quarantine(world, shop, monkeypatch):
    """Flows that trigger each other end with a quarantine entry."""
    shop["deal"](stage="won")
    world.agree()
    numbers = iter(range(10_000))
    (order,) = world.golden("sales_order")
    (deal,) = [g for g in world.golden("opportunity") if g.values.get("stage") == "won"]

    def chased(deal, *others, **options):
        return orders.Derived(order.id, "sales_order", {"description": f"{next(numbers)}"}, "x")

    def shown(order):
        return {"order_state": f"state {next(numbers)}"}

    monkeypatch.setattr(orders, "won_deal_to_order", chased)
    monkeypatch.setattr(orders, "order_on_deal", shown)
    with world.hub.store.begin() as tx:
        dirty.mark(tx, [deal.id], now=world.clock())
    derive(world.hub)
    (entry,) = [one for one in world.quarantine_entries() if one.source == "chain"]
    assert "without settling" in entry.reason
    monkeypatch.undo()
    with world.hub.store.begin() as tx:
        quarantine.retry(tx, [entry.id], now=world.clock())
    derive(world.hub)
    assert not [one for one in world.quarantine_entries() if one.source == "chain"]
    world.agree()
