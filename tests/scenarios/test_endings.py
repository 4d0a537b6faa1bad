"""Deleted records stay deleted, deletions are applied only when certain, and large ones wait."""

from __future__ import annotations

import tracemalloc

import pytest

from connectors.kit.errors import UnavailableError
from connectors.memory import MemoryConnector
from hub.store import quarantine
from hub.store.runs import Tally
from hub.sync.ingest.inbox import process_inbox
from hub.sync.ingest.page import ingest
from hub.sync.ingest.pull import pull
from hub.sync.ingest.read_record import Origin
from hub.sync.ingest.sweep import sweep
from hub.sync.operate.reconcile import reconcile
from hub.sync.push.push import push


def test_a_deletion_stays_local_without_a_policy(world):
    """A record deleted in one system stays in the other, and is not created again."""
    company, party = world.customer()
    world.crm.delete("companies", company)
    world.agree()
    world.erp.edit("parties", party, title="Acme SE")
    world.agree()
    assert world.crm.records("companies") == {}
    assert list(world.erp.records("parties")) == [party]
    assert world.backlog() == {}


def test_a_deletion_propagates_by_policy(world):
    world.restart(policies={"company": {"delete": "propagate"}})
    company, _party = world.customer()
    world.crm.delete("companies", company)
    world.agree()
    assert world.crm.records("companies") == {}
    assert world.erp.records("parties") == {}
    assert world.golden("company") == []


def test_a_delete_never_cascades(world):
    world.restart(policies={"company": {"delete": "propagate"}})
    world.map("contacts", "people")
    company, _ = world.customer()
    world.crm.create("contacts", last="Lee", email="lee@acme.example", company=company)
    world.quiet()
    world.crm.delete("companies", company)
    world.agree()
    assert len(world.crm.records("contacts")) == len(world.erp.records("people")) == 1


def test_referrers_of_the_deleted_get_the_rest(world):
    """A record that referred to a deleted one is still written with all its other fields."""
    world.map("contacts", "people")
    company, _ = world.customer()
    contact = world.crm.create("contacts", last="Lee", email="lee@acme.example", company=company)
    world.quiet()
    world.crm.delete("companies", company)
    world.crm.edit("contacts", contact, company=None)
    world.quiet()
    (person,) = world.erp.records("people")
    world.erp.edit("people", person, family="Stone")
    world.quiet()
    assert world.crm.get("contacts", contact)["last"] == "Stone"
    with world.store.read() as tx:
        assert quarantine.listing(tx, kinds=("push",)) == []
    assert reconcile(world.hub).clean


def test_a_one_sided_merge_shows_a_duplicate(world):
    """Records merged in one system are reported as duplicates in the other."""
    first, _ = world.customer()
    second, _ = world.customer(name="Bolt", domain="bolt.example")
    world.crm.merge("companies", second, into=first)
    world.quiet()
    found = reconcile(world.hub)
    assert found.clean
    assert [(one.connection, one.entity) for one in found.doubles] == [("erp", "company")]


def restore(system, stream, key, **fields):
    """Restores a deleted record, as the recycle bin of a system does."""
    with system.tables.transaction():
        row = system.row(stream, key)
        system.tables.put(
            stream,
            type(row)(
                **{name: getattr(row, name) for name in row.__slots__}
                | {"fate": "live", "modified_at": system.now(), "version": row.version + 1000}
            ),
        )
    system.edit(stream, key, **fields)


@pytest.mark.parametrize("delete", ["keep", "propagate"])
def test_a_restored_record_is_welcome_again(world, delete):
    world.restart(policies={"company": {"delete": delete}})
    company, party = world.customer()
    world.crm.delete("companies", company)
    world.quiet()
    restore(world.crm, "companies", company, industry="Shipping")
    world.agree()
    (golden,) = world.golden("company")
    assert golden.values["industry"] == "Shipping"
    if delete == "keep":
        assert world.erp.get("parties", party)["branch"] == "Shipping"


def test_a_sweep_finds_deletions(world):
    world.only_sweeps()
    _, party = world.customer()
    world.erp.delete("parties", party)
    world.quiet()
    (golden,) = world.golden("company")
    assert [n.gone_at is not None for n in world.links(golden) if n.connection == "erp"] == [True]
    world.agree()
    assert world.erp.records("parties") == {}


def test_a_sweep_finds_gaps(world):
    world.only_sweeps()
    world.quiet()
    world.clock.later(minutes=-30)
    party = world.erp.create("parties", title="Late commit", website="late.example")
    world.clock.later(minutes=30)
    pull(world.hub, "erp", "parties")
    assert world.golden("company") == []
    sweep(world.hub, "erp", "parties")
    world.agree()
    (golden,) = world.golden("company")
    assert party in {link.key for link in world.links(golden)}


def test_an_aborted_sweep_deletes_nothing(world):
    world.only_sweeps()
    for n in range(120):
        world.crm.create("companies", name=f"Acme {n}", domain=f"acme{n}.example")
    world.quiet()
    world.erp.delete("parties", list(world.erp.records("parties"))[-1])

    def break_off(stream):
        world.erp.inject_faults(script=("read",))

    world.erp.hooks.between_pages.append(break_off)
    with pytest.raises(UnavailableError):
        sweep(world.hub, "erp", "parties")
    assert all(
        link.gone_at is None for golden in world.golden("company") for link in world.links(golden)
    )


@pytest.fixture
def many(world):
    """A hundred customers."""
    for n in range(100):
        world.crm.create("companies", name=f"Acme {n}", domain=f"acme{n}.example")
    world.quiet()
    return world


def test_too_many_changes_wait_for_a_person(many):
    world = many
    for key in list(world.crm.records("companies"))[:60]:
        world.crm.edit("companies", key, name="Oops")
    report = world.sync()
    assert list(report.paused) == ["crm.companies"]
    assert "tulay resume crm companies --accept" in report.paused["crm.companies"]
    assert sum(p["title"] == "Oops" for p in world.erp.records("parties").values()) <= 50
    assert world.sync().paused
    world.resume("crm", "companies", accept=True)
    world.agree()
    assert sum(p["title"] == "Oops" for p in world.erp.records("parties").values()) == 60
    for key in list(world.crm.records("companies"))[:60]:
        world.crm.edit("companies", key, name="Again")
    assert list(world.sync().paused) == ["crm.companies"]


def test_too_many_deletions_of_a_sweep_wait(many):
    """A sweep that finds unusually many deletions waits for a person."""
    world = many
    world.only_sweeps()
    for key in list(world.erp.records("parties"))[:60]:
        world.erp.delete("parties", key)
    assert list(world.sync().paused) == ["erp.parties"]
    world.resume("erp", "parties", accept=True)
    world.agree()
    gone = [n for g in world.golden() for n in world.links(g) if n.gone_at is not None]
    assert len(gone) == 60


def test_a_sweep_over_the_limit_deletes_nothing(many):
    """Not even the first deletions of a sweep that exceeds the change limit are applied."""
    world = many
    # Fetched in batches, each of which would be below the change limit.
    world.only_sweeps(batch=10)
    world.erp.fault_state.hide("parties", 0.7)
    sweep(world.hub, "erp", "parties")
    assert [n.key for g in world.golden() for n in world.links(g) if n.gone_at is not None] == []
    assert "erp.parties" in world.sync().paused
    world.erp.fault_state.hide("parties", 0.0)
    world.resume("erp", "parties")
    world.agree()
    assert (len(world.erp.records("parties")), len(world.crm.records("companies"))) == (100, 100)


def test_too_many_notified_deletions_wait(many):
    """Unusually many deletions reported by webhooks wait for a person."""
    from connectors.kit.contract import Notification
    from hub.sync.ingest.inbox import process_inbox
    from hub.sync.ingest.webhooks import receive

    world = many
    world.restart(policies={"company": {"delete": "propagate"}})
    keys = list(world.crm.records("companies"))[:60]
    for key in keys:
        world.crm.delete("companies", key)
    receive(world.hub, "crm", [Notification("companies", key, f"e{key}") for key in keys])
    process_inbox(world.hub, "crm")
    world.sync()
    assert len(world.erp.records("parties")) >= 50


def test_few_deletions_stay_below_the_limit(many):
    world = many
    for key in list(world.crm.records("companies"))[:20]:
        world.crm.delete("companies", key)
    world.agree()
    assert len(world.crm.records("companies")) == 80


def test_a_deletion_listed_twice_counts_once(world):
    """A key that one page lists twice as deleted is deleted once."""
    from connectors.kit.contract import Page
    from hub.store.runs import Tally
    from hub.sync.ingest.page import ingest

    channel = world.hub.connection("crm").channel("companies")
    tally = Tally("0" * 32, "pull", "crm", "companies", world.clock())
    with world.store.begin() as tx:
        ingest(world.hub, tx, channel, page=Page(gone=["77", "77"]), tally=tally)
    assert tally.adds_up
    assert tally.seen == 2


def test_the_memory_of_a_sweep_is_bounded(world):
    """Keys go to disk: five times as many must not need much more memory."""

    class Vast:
        def __init__(self, connector):
            self.connector, self.count = connector, 0

        def __getattr__(self, name):
            return getattr(self.connector, name)

        def keys(self, _stream):
            for start in range(0, self.count, 100):
                yield [f"key {number}" for number in range(start, start + 100)]

    vast = []
    world.wrap = lambda connector: vast.append(Vast(connector)) or vast[-1]
    world.restart(policies={"company": {"import": []}})
    peaks = []
    for count in (1_000, 10_000, 50_000):
        for one in vast:
            one.count = count
        tracemalloc.start()
        sweep(world.hub, "crm", "companies")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] < peaks[1] * 1.5, peaks


def test_references_follow_a_recreated_record(world):
    """References to a record that users delete and create again point to the new one."""
    world.map("contacts", "people")
    company, party = world.customer()
    world.erp.delete("parties", party)
    world.quiet()
    world.crm.create("contacts", last="Ada", email="ada@acme.example", company=company)
    world.quiet()
    ((person, shown),) = world.erp.records("people").items()
    assert shown.get("party") is None
    again = world.erp.create("parties", title="Acme", website="acme.example")
    world.agree()
    assert world.erp.get("people", person)["party"] == again


def test_a_merge_does_not_recreate_the_deleted(world):
    """A merge in one system does not create again what was deleted in the other."""
    company, party = world.customer()
    world.crm.delete("companies", company)
    world.quiet()
    other = world.erp.create("parties", title="Acme Shipping", website="ship.example")
    pull(world.hub, "erp", "parties")
    world.erp.merge("parties", other, into=party)
    world.agree()
    assert world.crm.records("companies") == {}


def test_a_merge_result_read_early_is_primary(world):
    """A record that a merge created, read before the merge is reported, becomes the primary."""
    first, party = world.customer()
    _, other = world.customer(name="Bolt", domain="bolt.example")
    # The ERP reports deletions and merges only for a missing record that is requested by key.
    world.only_sweeps()
    world.erp.inject_faults("merged")
    third = world.erp.merge("parties", other, into=party)
    pull(world.hub, "erp", "parties")
    sweep(world.hub, "erp", "parties")
    world.quiet()
    assert set(world.erp.records("parties")) == {third}
    world.crm.edit("companies", first, name="Renamed")
    world.quiet()
    assert world.erp.get("parties", third)["title"] == "Renamed"
    assert set(world.erp.records("parties")) == {third}


def test_a_new_primary_gets_what_it_lacks(world):
    """What a third record lacks is written once it becomes the primary."""
    company, party = world.customer()
    world.only_sweeps()
    other = world.erp.create("parties", title="Never read")
    world.erp.edit("parties", party, title="Typed and merged away")
    world.erp.inject_faults("merged")
    third = world.erp.merge("parties", other, into=party)
    pull(world.hub, "erp", "parties")
    push(world.hub, "erp")
    sweep(world.hub, "erp", "parties")
    world.quiet()
    name = world.crm.get("companies", company)["name"]
    assert world.erp.get("parties", third)["title"] == name
    assert set(world.erp.records("parties")) == {third}


def test_a_record_restored_during_a_fetch_is_kept(world, monkeypatch):
    """A record that is restored while its deletion is being checked is kept."""
    company, _ = world.customer()
    old = next(iter(world.hub.connection("crm").connector.pages("companies", None)))
    world.crm.delete("companies", company)
    world.quiet()
    channel = world.hub.connection("crm").channel("companies")
    tally = Tally(world.hub.fresh_id(), "late", "crm", "companies", world.hub.clock())
    with world.store.begin() as tx:
        ingest(
            world.hub, tx, channel, page=old, tally=tally, origin=Origin.LISTED
        )  # requests a fetch
    real = MemoryConnector.fetch

    def fetch(self, stream, keys):
        found = real(self, stream, keys)
        monkeypatch.undo()
        world.crm.restore("companies", company)
        pull(world.hub, "crm", "companies")  # requests another one
        return found

    monkeypatch.setattr(MemoryConnector, "fetch", fetch)
    process_inbox(world.hub, "crm")
    process_inbox(world.hub, "crm")
    (golden,) = world.golden("company")
    assert [n.gone_at for n in world.links(golden)] == [None, None]


def test_a_page_ingested_again_restores_nothing(world):
    """A page that has to be ingested again does not restore what was deleted."""
    company, party = world.customer()
    world.erp.delete("parties", party)
    world.quiet()
    again = world.erp.create("parties", title="Acme", website="acme.example")
    channel = world.hub.connection("erp").channel("parties")
    old = channel.connector.fetch("parties", [again])
    world.erp.delete("parties", again)
    world.quiet()
    tally = Tally(world.hub.fresh_id(), "late", "erp", "parties", world.hub.clock())
    with world.store.begin() as tx:
        ingest(world.hub, tx, channel, page=old, tally=tally, origin=Origin.LISTED)
    world.crm.edit("companies", company, industry="Shipping")
    push(world.hub, "erp")
    world.agree()
    assert world.erp.records("parties") == {}
