"""A new flow is one class and one line in the registry: the hub needs no other change for it."""

from __future__ import annotations

from typing import ClassVar

import pytest

from hub.flows import registry
from hub.flows.flow import Facts, Flow, Needs, Outputs, Triggers
from hub.flows.flow_input import Blocked, Derived, derived_id
from hub.flows.settings import FlowSettings
from hub.sync.operate.explain import explain


class HeadCount(Flow):
    """A note with the number of contacts of a company that has a phone."""

    name = "head_count"
    root = "company"
    noun = "customer"
    triggers: ClassVar[Triggers] = {"company": "", "contact": "company"}
    needs: ClassVar[Needs] = {"people": ("contact", "<company")}
    outputs: ClassVar[Outputs] = {"activity": ("body",), "company": ("industry",)}
    can_block = True
    explains = True

    def derive(self, facts: Facts) -> Derived | Blocked:
        company, people = facts.root, facts.all_of("people")
        if company.values.get("phone") is None:
            return Blocked("it has no phone number: fill it in", company.id)
        names = ", ".join(sorted(str(one.values["last_name"]) for one in people))
        values = {"kind": "note", "body": names, "company": company.id}
        if facts.reason is not None:
            values["body"] = f"{company.text('name')}: {facts.reason}"
        return Derived(derived_id(company.id, self.name), "activity", values, "flow:head_count")


@pytest.fixture
def counted(world, monkeypatch):
    """A world in which the contacts of companies are counted, and its customer."""
    monkeypatch.setattr(registry, "FLOWS", (*registry.FLOWS, HeadCount()))
    world.restart(streams={"companies", "parties", "contacts", "people", "notes"})
    world.customer(phone="+4940123")
    return world


def contact(world, last):
    (company,) = world.crm.records("companies")
    return world.crm.create("contacts", last=last, email=f"{last}@acme.example", company=company)


def notes(world):
    return [n["text"] for n in world.crm.records("notes").values()]


def test_a_new_flow_derives(counted):
    world = counted
    contact(world, "Lee")
    key = contact(world, "Ono")
    world.agree()
    assert notes(world) == ["Lee, Ono"]
    world.crm.edit("contacts", key, last="Ode")
    world.agree()
    assert notes(world) == ["Lee, Ode"]
    (note,) = world.golden("activity")
    (body,) = explain(world.hub, "activity", note.id, "body").values
    assert body.origin == "flow:head_count"


def test_a_new_flow_follows_its_children(counted):
    world = counted
    key = contact(world, "Lee")
    contact(world, "Ono")
    world.agree()
    other = world.crm.create("companies", name="Zenith", domain="zenith.example", phone="+4930123")
    world.quiet()
    world.crm.edit("contacts", key, company=other)
    world.agree()
    assert sorted(notes(world)) == ["Lee", "Ono"]


def test_a_new_flow_is_blocked_for_a_while(counted):
    world = counted
    key = world.crm.create("companies", name="Zenith", domain="zenith.example")
    world.agree()
    (entry,) = world.quarantine_entries()
    assert entry.source == "head_count"
    assert entry.reason == "customer 'Zenith': it has no phone number: fill it in"
    found = explain(world.hub, "company", "Zenith")
    assert found.missing == {"head_count": f"{entry.reason} ({entry.name})"}
    world.crm.edit("companies", key, phone="+4930123")
    world.agree()
    assert world.quarantine_entries() == []
    assert len(notes(world)) == 2


def test_a_deleted_root_is_blocked_no_longer(counted):
    world = counted
    world.restart(policies={"company": {"delete": "propagate"}})
    key = world.crm.create("companies", name="Zenith", domain="zenith.example")
    world.quiet()
    assert len(world.quarantine_entries()) == 1
    world.crm.delete("companies", key)
    world.agree()
    assert world.quarantine_entries() == []


def test_a_new_flow_tells_why_its_root_waits(counted):
    world = counted
    world.erp.declare("parties", required=("cost_centre",))
    world.crm.create("companies", name="Zenith", domain="zenith.example", phone="+4930123")
    world.quiet()
    (note,) = [text for text in notes(world) if text.startswith("Zenith")]
    assert "cost_centre" in note


def test_systems_get_the_fields_of_a_new_flow(counted):
    assert registry.fills(FlowSettings(), "company", "industry")
    assert not registry.fills(FlowSettings(), "company", "name")
    assert "head_count" in registry.blocking_flows()
