"""Identity: the same company in both systems, two candidates, contradictions, parents, merges."""

from __future__ import annotations

from dataclasses import replace
from threading import Barrier, Thread

import pytest

from hub.store.links import links_by_golden
from hub.sync.ingest.pull import pull
from hub.sync.operate.decide import decide_review
from hub.sync.operate.reconcile import reconcile
from hub.sync.push.push import push

ADDRESS = {"street": "Dock 1", "zip": "20095", "city": "Hamburg", "country": "DE"}
THEIRS = {"street": "Dock 1", "postcode": "20095", "town": "Hamburg", "country": "DE"}


@pytest.mark.parametrize(
    ("in_the_crm", "in_the_erp"),
    [
        ({"tax_id": "DE136695976"}, {"vat": "DE 136 695 976"}),
        ({"domain": "acme.example"}, {"website": "https://www.acme.example/"}),
        ({"email": "Info@acme.example"}, {"mail": "info@acme.example"}),
        ({"address": ADDRESS}, {"address": THEIRS}),
    ],
)
def test_a_company_in_both_systems_is_matched(world, in_the_crm, in_the_erp):
    company = world.crm.create("companies", name="Acme GmbH", **in_the_crm)
    party = world.erp.create("parties", title="ACME", branch="Shipping", **in_the_erp)
    world.agree()
    assert list(world.crm.records("companies")) == [company]
    assert list(world.erp.records("parties")) == [party]
    assert world.crm.get("companies", company)["industry"] == "Shipping"
    assert world.erp.get("parties", party)["title"] == "Acme GmbH"


def test_the_same_name_alone_is_left_to_a_person(world):
    world.crm.create("companies", name="Acme")
    world.erp.create("parties", title="Acme")
    world.quiet()
    assert len(world.crm.records("companies")) == 1
    (review,) = world.reviews()
    assert (review.connection, review.title) == ("erp", "Acme")
    assert world.erp.writes == [] or {w.op for w in world.erp.writes} == {"create"}


@pytest.fixture
def two_candidates(world):
    """The CRM has the company twice, the ERP once."""
    keys = [world.crm.create("companies", name=f"Acme {n}", domain="acme.example") for n in "AB"]
    world.restart(policies={"company": {"create": ["crm"]}})
    world.quiet()
    party = world.erp.create("parties", title="Acme", website="acme.example")
    world.quiet()
    (review,) = world.reviews()
    return keys, party, review


def test_two_candidates_are_left_to_a_person(world, two_candidates):
    keys, _, review = two_candidates
    assert list(world.crm.records("companies")) == keys
    assert len(review.candidates) == 2
    world.agree()
    assert len(world.reviews()) == 1


def test_a_person_chooses_a_candidate(world, two_candidates):
    keys, party, review = two_candidates
    golden_of = {link.key: g.id for g in world.golden() for link in world.links(g)}
    decide_review(world.hub, review.id, golden_of[keys[1]])
    world.agree()
    assert world.reviews() == []
    assert list(world.crm.records("companies")) == keys
    assert world.erp.get("parties", party)["title"] == "Acme B"


def test_a_choice_survives_a_later_merge(world, two_candidates):
    """The entity a person chose may get another record before the decision is applied."""
    keys, party, review = two_candidates
    other = world.crm.create("companies", name="Other", domain="other.example")
    world.quiet()
    theirs = world.erp.create("parties", title="Other", website="other.example")
    world.quiet()
    golden_of = {(n.connection, n.key): g.id for g in world.golden() for n in world.links(g)}
    decide_review(world.hub, review.id, golden_of["crm", keys[1]])
    world.crm.merge("companies", other, into=keys[1])
    pull(world.hub, "crm", "companies")
    world.agree()
    assert world.reviews() == []
    assert list(world.erp.records("parties")) == [party, theirs]
    world.erp.edit("parties", party, branch="Shipping")
    world.agree()
    assert world.crm.get("companies", keys[1])["industry"] == "Shipping"
    assert world.erp.get("parties", theirs)["branch"] == "Shipping"


def test_a_person_rejects_all_candidates(world, two_candidates):
    _, party, review = two_candidates
    decide_review(world.hub, review.id, "new")
    world.agree()
    assert world.reviews() == []
    assert len(world.crm.records("companies")) == 3
    assert world.erp.get("parties", party)["title"] == "Acme"


def test_a_contradiction_outweighs_a_match(world):
    world.crm.create("companies", name="Acme", domain="acme.example", tax_id="DE136695976")
    world.erp.create("parties", title="Acme", website="acme.example", vat="DE129273398")
    world.agree()
    assert len(world.golden("company")) == 2
    assert {c["tax_id"] for c in world.crm.records("companies").values()} == {
        "DE136695976",
        "DE129273398",
    }


def bring_at_once(world, tasks):
    """Runs each task in a thread, started together; returns what went wrong."""
    gate, wrong = Barrier(len(tasks)), []

    def run(task):
        gate.wait()
        try:
            task()
        except Exception as error:  # noqa: BLE001 - the test looks at it
            wrong.append(error)

    threads = [Thread(target=run, args=(task,)) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return wrong


def test_a_company_new_in_two_systems_is_one(world_on_each):
    """Two connections bring the same new company at the same moment."""
    world = world_on_each
    for n in range(30):
        world.crm.create("companies", name=f"Acme {n}", domain=f"acme{n}.example")
        world.erp.create("parties", title=f"Acme {n}", website=f"acme{n}.example")
    other = world.another_worker()
    wrong = bring_at_once(
        world,
        [lambda: pull(world.hub, "crm", "companies"), lambda: pull(other, "erp", "parties")],
    )
    assert wrong == []
    assert len(world.golden("company")) == 30
    world.agree()
    assert len(world.crm.records("companies")) == len(world.erp.records("parties")) == 30


def test_a_contact_waits_for_its_company(world):
    world.map("contacts", "people")
    party = world.erp.create("parties", title="Acme", website="acme.example")
    world.erp.create("people", given="Ann", family="Lee", mail="ann@acme.example", party=party)
    pull(world.hub, "erp", "people")
    assert world.golden() == []
    (entry,) = world.quarantine_entries()
    assert "parties" in entry.reason
    world.agree()
    assert world.quarantine_entries() == []
    (contact,) = world.crm.records("contacts").values()
    (company,) = world.crm.records("companies")
    assert (contact["last"], contact["company"]) == ("Lee", company)


def test_a_contact_of_a_gone_company_is_created(world):
    """A contact whose company is gone does not wait forever."""
    world.map("contacts", "people")
    party = world.erp.create("parties", title="Acme")
    world.erp.create("people", given="Ann", family="Lee", mail="ann@acme.example", party=party)
    world.erp.delete("parties", party)
    world.agree()
    (contact,) = world.crm.records("contacts").values()
    assert contact.get("company") is None


def test_a_record_with_a_new_key_keeps_its_link(world):
    company, party = world.customer()
    new = world.crm.create("companies", name="Acme Group", domain="acme-group.example")
    world.crm.merge("companies", company, into=new)
    world.agree()
    assert list(world.crm.records("companies")) == [new]
    assert list(world.erp.records("parties")) == [party]
    assert world.erp.get("parties", party)["title"] == "Acme Group"


def test_customers_merged_crosswise_are_one(world):
    """Two customers that were merged in opposite directions in both systems become one."""
    first, party = world.customer()
    second, other = world.customer(name="Zenith", domain="zenith.example")
    world.crm.merge("companies", second, into=first)
    pull(world.hub, "crm", "companies")
    world.erp.merge("parties", party, into=other)
    world.agree()
    assert list(world.crm.records("companies")) == [first]
    assert list(world.erp.records("parties")) == [other]
    assert len(world.golden("company")) == 1


@pytest.fixture
def two_customers(world):
    """Two customers in both systems, each with a contact."""
    world.map("contacts", "people")
    first, party = world.customer()
    second, other = world.customer(name="Zenith", domain="zenith.example", industry="Shipping")
    for name, company in (("Lee", first), ("Kim", second)):
        world.crm.create("contacts", last=name, email=f"{name}@x.example", company=company)
    world.agree()
    return first, party, second, other


def test_two_customers_merged_in_the_crm_are_one(world, two_customers):
    first, party, second, other = two_customers
    world.crm.merge("companies", second, into=first)
    for key, contact in world.crm.records("contacts").items():
        if contact["company"] == second:
            world.crm.edit("contacts", key, company=first)
    world.agree()
    (golden,) = world.golden("company")
    assert golden.values["name"] == "Acme"
    assert golden.values["industry"] == "Shipping"
    assert world.erp.get("parties", party)["branch"] == "Shipping"
    assert {c.values["company"] for c in world.golden("contact")} == {golden.id}
    assert "Zenith" in {row.old for row in world.history(golden, "name")}
    assert list(world.crm.records("companies")) == [first]
    assert set(world.erp.records("parties")) == {party, other}


def test_a_merge_found_by_a_push_is_no_duplicate(world, two_customers):
    first, party, second, other = two_customers
    # The CRM is read before users merge there; the ERP's edit must reach the survivor.
    world.erp.edit("parties", other, title="Zenith AG")
    merged = []

    def merge(stream):
        if stream == "companies" and not merged:
            merged.append(world.crm.merge("companies", second, into=first))

    pull(world.hub, "crm", "companies")
    pull(world.hub, "erp", "parties")
    merge("companies")
    push(world.hub, "crm")
    assert list(world.crm.records("companies")) == [first]
    world.agree()
    assert list(world.crm.records("companies")) == [first]
    assert set(world.erp.records("parties")) == {party, other}


def test_dead_links_make_room_after_a_merge(world, two_customers):
    """Links of a merged customer that is gone in the other system make room for live ones."""
    first, party, second, other = two_customers
    world.erp.delete("parties", party)
    world.quiet()
    world.crm.merge("companies", second, into=first)
    world.quiet()
    world.crm.edit("companies", first, name="Acme SE")
    world.agree()
    assert world.erp.get("parties", other)["title"] == "Acme SE"


def test_contacts_refer_to_the_merged_customer(world, two_customers):
    """Contacts refer to a customer that has its record in that system only by a merge."""
    first, party, second, other = two_customers
    world.erp.delete("parties", party)
    world.quiet()
    before = set(world.erp.records("people"))
    world.crm.create("contacts", last="May", email="may@x.example", company=first)
    world.quiet()
    (person,) = set(world.erp.records("people")) - before  # the customer is gone
    world.crm.merge("companies", second, into=first)
    world.agree()
    assert world.erp.get("people", person)["party"] == other


def test_every_key_has_one_link(world, two_customers):
    with world.store.read() as tx:
        keys = [
            (link.connection, link.stream, link.key)
            for links in links_by_golden(tx, [g.id for g in world.golden()]).values()
            for link in links
        ]
    assert len(keys) == len(set(keys)) == 8


def test_a_write_may_change_the_key(world):
    company, party = world.customer()
    moved = []

    class Moving:
        """A system that makes some changes by creating the record again."""

        def __init__(self, connector):
            self.connector = connector

        def __getattr__(self, name):
            return getattr(self.connector, name)

        def write(self, stream, writes):
            outcomes = self.connector.write(stream, writes)
            if stream == "parties" and not moved:
                moved.append(world.erp.create("parties", **world.erp.get("parties", party)))
                world.erp.merge("parties", party, into=moved[0])
            return [replace(outcome, record=None) for outcome in outcomes]

    world.restart(wrap=Moving)
    world.crm.edit("companies", company, name="Acme SE")
    pull(world.hub, "crm", "companies")
    push(world.hub, "erp")
    found = reconcile(world.hub)
    assert (found.missing, found.different) == ([], [])
    world.agree()
    assert set(world.erp.records("parties")) == set(moved)
    (golden,) = world.golden("company")
    assert golden.values["name"] == world.erp.get("parties", moved[0])["title"] == "Acme SE"
    world.crm.edit("companies", company, name="Acme Ltd")
    world.agree()
    assert world.erp.get("parties", moved[0])["title"] == "Acme Ltd"
