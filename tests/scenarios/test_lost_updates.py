"""A system without locks: a value typed at the moment of our own write is not lost."""

from __future__ import annotations


class Gap:
    """A connector that lets users act between the hub's last read and its write."""

    def __init__(self, connector, acts):
        self.connector, self.acts = connector, acts

    def __getattr__(self, name):
        return getattr(self.connector, name)

    def write(self, stream, writes):
        while self.acts:
            self.acts.pop()()
        return self.connector.write(stream, writes)


def gap(world, **policy):
    """A customer in both systems, and a list of what happens at the hub's next write to the CRM."""
    company, party = world.customer()
    shape = world.crm.shape("companies")
    facts = shape.facts.model_copy(update={"lock": "told"})
    world.crm.declare("companies", facts=facts)
    world.agree()
    acts = []
    world.wrap = lambda c: Gap(c, acts) if c.system is world.crm else c
    world.restart(policies={"company": {"fields": {"name": policy}}} if policy else {})
    return company, party, acts


def names(world, company, party):
    return world.crm.get("companies", company)["name"], world.erp.get("parties", party)["title"]


def test_it_is_kept_in_history(world):
    company, party, acts = gap(world)
    acts.append(lambda: world.crm.edit("companies", company, name="Typed in between"))
    world.erp.edit("parties", party, title="From the ERP")
    world.agree()
    assert names(world, company, party) == ("From the ERP", "From the ERP")
    (golden,) = world.golden("company")
    lost = [row for row in world.history(golden, "name") if row.decision == "superseded"]
    assert [row.old for row in lost] == ["Typed in between"]
    assert "lock: told" in lost[0].why


def test_the_replaced_value_returns_if_it_wins(world):
    """A replaced value is taken after all where its connection wins by policy."""
    company, party, acts = gap(world, on_conflict="crm")
    acts.append(lambda: world.crm.edit("companies", company, name="Typed in between"))
    world.erp.edit("parties", party, title="From the ERP")
    world.agree()
    assert names(world, company, party) == ("Typed in between", "Typed in between")


def test_other_fields_typed_meanwhile_are_read(world):
    company, party, acts = gap(world)
    acts.append(lambda: world.crm.edit("companies", company, domain="typed.example"))
    world.erp.edit("parties", party, title="From the ERP")
    world.agree()
    assert world.erp.get("parties", party)["website"] == "typed.example"
    (golden,) = world.golden("company")
    assert not [r for r in world.history(golden, "domain") if r.decision == "superseded"]
