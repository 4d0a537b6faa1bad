"""Two customers were merged by mistake: a person undoes it, and nothing of either is lost."""

from __future__ import annotations

import random
from dataclasses import asdict

import pytest
from sqlalchemy import select

from connectors.kit.contract import Create, Notification
from hub.errors import DecisionError, UnknownError
from hub.store import merges, tables
from hub.store.golden import load_golden
from hub.store.links import links_by_golden
from hub.store.streams import all_streams, save_stream
from hub.sync.ingest.webhooks import receive
from hub.sync.merge.undo import undo_merge
from hub.sync.operate.decide import merge_by_hand
from hub.sync.operate.reconcile import reconcile


def two(world):
    """Two customers in both systems: keys in the CRM, keys in the ERP."""
    world.map("contacts", "people")
    acme = world.customer(domain=None)
    bolt = world.customer(name="Bolt", domain="bolt.example")
    world.crm.edit("companies", bolt[0], name="Bolt Ltd")
    world.quiet()
    world.crm.edit("companies", bolt[0], name="Bolt")
    world.crm.create("contacts", last="Lee", email="lee@bolt.example", company=bolt[0])
    world.agree()
    return acme, bolt


def named(world, name):
    return next(g for g in world.golden("company") if g.values["name"] == name)


def by_hand(world, winner="Acme", loser="Bolt"):
    ids = {name: named(world, name).id for name in (winner, loser)}
    merge_by_hand(world.hub, "company", winner=ids[winner], loser=ids[loser])


def number(world):
    with world.store.read() as tx:
        return merges.listing(tx)[-1].id


def test_undone_at_once_everything_is_as_before(world_on_each):
    world = world_on_each
    two(world)
    with world.store.read() as tx:
        newest = max(tx.execute(select(tables.history.c.id)).scalars(), default=0)
    before = picture(world, newest)
    by_hand(world)
    assert picture(world, newest) != before
    undo_merge(world.hub, number(world))
    assert picture(world, newest) == before
    world.agree()


def picture(world, newest):
    """Returns everything a merge touches, except revisions, times and what is due."""
    with world.store.read() as tx:
        ids = tx.execute(select(tables.golden.c.id)).scalars().all()
        golden = {
            g.id: (g.values, g.origins, g.merged_into, g.deleted_at)
            for g in load_golden(tx, ids).values()
        }
        links = {
            link.id: (link.golden_id, link.is_primary, link.gone_at, asdict(link.state))
            for found in links_by_golden(tx, ids).values()
            for link in found
        }
        prints = sorted(map(tuple, tx.execute(select(tables.fingerprints))))
        edges = sorted(map(tuple, tx.execute(select(tables.edges))))
        columns = tables.history.c
        past = sorted(
            tuple(row)
            for row in tx.execute(select(columns.id, columns.golden_id).where(columns.id <= newest))
        )
    return golden, links, prints, edges, past


def test_it_is_undone_days_later(world):
    (acme, acme_erp), (bolt, bolt_erp) = two(world)
    by_hand(world)
    world.quiet()
    world.clock.later(days=2)
    world.crm.edit("companies", acme, name="Acme SE")
    world.quiet()
    undo_merge(world.hub, number(world))
    world.agree()
    assert world.crm.get("companies", acme)["name"] == "Acme SE"
    assert world.erp.get("parties", acme_erp)["title"] == "Acme SE"
    assert world.erp.get("parties", bolt_erp)["title"] == "Bolt"
    assert world.crm.get("companies", bolt)["name"] == "Bolt"
    assert len(world.golden("company")) == 2
    (lee,) = world.golden("contact")
    assert lee.values["company"] == named(world, "Bolt").id


def test_a_crm_merge_is_undone_for_the_erp_only(world):
    (acme, _), (bolt, bolt_erp) = two(world)
    world.crm.merge("companies", bolt, into=acme)
    world.quiet()
    undo_merge(world.hub, number(world))
    world.agree()
    assert list(world.crm.records("companies")) == [acme]
    assert len(world.golden("company")) == 2
    world.erp.edit("parties", bolt_erp, title="Bolt AG")
    world.agree()
    assert world.erp.get("parties", bolt_erp)["title"] == "Bolt AG"
    assert world.crm.get("companies", acme)["name"] == "Acme"
    assert list(world.crm.records("companies")) == [acme]


def test_edits_of_the_losers_record_stay_with_it(world):
    (acme, _), (bolt, bolt_erp) = two(world)
    world.crm.merge("companies", bolt, into=acme)
    world.quiet()
    world.erp.edit("parties", bolt_erp, website="bolt-new.example")
    world.quiet()
    undo_merge(world.hub, number(world))
    world.agree()
    assert world.erp.get("parties", bolt_erp)["website"] == "bolt-new.example"


def test_a_chain_of_merges_is_undone_from_its_end(world):
    two(world)
    world.customer(name="Cargo", domain="cargo.example")
    by_hand(world, "Bolt", "Cargo")
    first = number(world)
    by_hand(world, "Acme", "Bolt")
    with pytest.raises(DecisionError, match="merged again"):
        undo_merge(world.hub, first)
    undo_merge(world.hub, number(world))
    undo_merge(world.hub, first)
    world.agree()
    assert {g.values["name"] for g in world.golden("company")} == {"Acme", "Bolt", "Cargo"}
    with pytest.raises(DecisionError, match="already"):
        undo_merge(world.hub, first)


def test_impossible_merges_and_undos_are_reported(world):
    two(world)
    acme = named(world, "Acme").id
    with pytest.raises(DecisionError, match="one record already"):
        merge_by_hand(world.hub, "company", winner=acme, loser=acme)
    with pytest.raises(DecisionError, match="not a living"):
        merge_by_hand(world.hub, "contact", winner=acme, loser=named(world, "Bolt").id)
    with pytest.raises(UnknownError, match="no merge 99"):
        undo_merge(world.hub, 99)


def test_a_late_record_joins_the_last_survivor(world):
    """A late record of an entity that was merged twice joins the last survivor."""
    two(world)
    world.erp.create("parties", title="Cargo", website="cargo.example")
    world.quiet()
    cargo = named(world, "Cargo").id
    by_hand(world, "Bolt", "Cargo")
    by_hand(world, "Acme", "Bolt")
    late = [Create(cargo, {"title": "Cargo late"})]
    world.hub.connection("erp").connector.write("parties", late)
    world.quiet()
    found = [link for link in world.links(named(world, "Acme")) if link.connection == "erp"]
    assert len(found) == len(world.erp.records("parties")) == 4


def read_anew(world):
    """All cursors are lost."""
    with world.store.begin() as tx:
        for connection, stream in all_streams(tx):
            save_stream(tx, connection, stream, cursor=None)


def test_what_a_person_split_is_not_merged_again(world):
    (acme, _), (bolt, _) = two(world)
    world.crm.merge("companies", bolt, into=acme)
    world.quiet()
    undo_merge(world.hub, number(world))
    world.agree()
    read_anew(world)
    receive(world.hub, "crm", [Notification("companies", bolt, "told again", into=acme)])
    world.agree()
    assert len(world.golden("company")) == 2
    assert list(world.crm.records("companies")) == [acme]


def test_values_gained_by_a_merge_are_blanked(world):
    """Values that the winner has only from the merge are blanked in every system."""
    (acme, acme_erp), (bolt, bolt_erp) = two(world)
    world.crm.edit("companies", bolt, industry="Shipping")
    world.quiet()
    by_hand(world)
    world.quiet()
    assert world.erp.get("parties", acme_erp)["branch"] == "Shipping"
    undo_merge(world.hub, number(world))
    world.agree()
    assert world.crm.get("companies", acme).get("industry") is None
    assert world.erp.get("parties", acme_erp).get("branch") is None
    assert world.crm.get("companies", acme).get("domain") is None, "or the two would match again"
    assert world.erp.get("parties", bolt_erp)["branch"] == "Shipping"
    assert reconcile(world.hub).clean
    world.erp.edit("parties", acme_erp, branch="Rail")
    world.agree()
    assert world.crm.get("companies", acme)["industry"] == "Rail"


def test_gained_values_changed_since_stay(world):
    (acme, acme_erp), (bolt, bolt_erp) = two(world)
    world.crm.edit("companies", bolt, industry="Shipping")
    world.quiet()
    by_hand(world)
    world.quiet()
    world.crm.edit("companies", acme, industry="Rail")
    world.quiet()
    undo_merge(world.hub, number(world))
    world.agree()
    assert world.erp.get("parties", acme_erp)["branch"] == "Rail"
    assert world.erp.get("parties", bolt_erp)["branch"] == "Shipping"


def test_new_children_of_the_loser_stay_with_it(world):
    """Contacts added to the loser's own record after the merge stay with it."""
    _, (bolt, bolt_erp) = two(world)
    by_hand(world)
    world.quiet()
    world.erp.create("people", given="Ann", family="Kid", mail="kid@bolt.example", party=bolt_erp)
    (lee,) = [k for k, p in world.erp.records("people").items() if p["family"] == "Lee"]
    world.erp.edit("people", lee, phone="+4930111111")
    world.quiet()
    undo_merge(world.hub, number(world))
    world.agree()
    assert {g.values["company"] for g in world.golden("contact")} == {named(world, "Bolt").id}
    assert {c["company"] for c in world.crm.records("contacts").values()} == {bolt}
    assert reconcile(world.hub).clean


@pytest.mark.parametrize("seed", range(6))
def test_after_any_story_both_sides_agree_again(fresh_world, seed):
    world, chance = fresh_world(), random.Random(seed)
    pairs = two(world)
    if chance.random() < 0.5:
        by_hand(world)
    else:
        world.crm.merge("companies", pairs[1][0], into=pairs[0][0])
        world.quiet()
    for word in range(chance.randrange(4)):
        key = chance.choice([pair[1] for pair in pairs])
        field = chance.choice(["title", "website"])
        text = f"w{word}.example" if field == "website" else f"Word {word}"
        world.erp.edit("parties", key, {field: text})
        if chance.random() < 0.7:
            world.quiet()
    undo_merge(world.hub, number(world))
    world.agree()
    world.agree()
    alive = [g for g in world.golden("company")]
    assert len(alive) == 2
    assert len(world.erp.records("parties")) == 2
