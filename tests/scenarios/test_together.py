"""Several workers at the same moment: everything happens once, in whatever order."""

from __future__ import annotations

import sys
from threading import Barrier, Thread

import pytest

from connectors.kit.contract import Notification
from hub.store.golden import load_golden
from hub.sync.flows import derive
from hub.sync.ingest.inbox import process_inbox
from hub.sync.ingest.pull import pull
from hub.sync.ingest.webhooks import receive
from hub.sync.push.plan import plan
from hub.sync.push.push import push


def at_once(*tasks):
    """Runs each task in a thread, all started together; returns what went wrong."""
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


def newcomers(world, count=40):
    return [
        world.crm.create("companies", name=f"Acme {n}", domain=f"acme{n}.example")
        for n in range(count)
    ]


def test_a_pull_and_the_inbox_bring_the_same(world_on_postgresql):
    """A pull and the inbox bring the same new records at once."""
    world = world_on_postgresql
    keys = newcomers(world)
    receive(world.hub, "crm", [Notification("companies", key, f"e{key}") for key in keys])
    other = world.another_worker()
    wrong = at_once(
        lambda: pull(world.hub, "crm", "companies"), lambda: process_inbox(other, "crm")
    )
    assert wrong == []
    assert len(world.golden("company")) == len(keys)
    world.agree()
    assert len(world.erp.records("parties")) == len(keys)


def test_three_workers_create_everything_once(world_on_postgresql):
    world = world_on_postgresql
    keys = newcomers(world, 250)
    pull(world.hub, "crm", "companies")
    workers = [world.hub, world.another_worker(), world.another_worker()]
    wrong = at_once(*(lambda hub=hub: push(hub, "erp") for hub in workers))
    assert wrong == []
    assert len(world.erp.records("parties")) == len(keys)
    world.agree()


def test_a_pull_sees_what_a_push_has_just_created(world_on_postgresql):
    world = world_on_postgresql
    keys = newcomers(world)
    pull(world.hub, "crm", "companies")
    other = world.another_worker()
    # Reads the ERP in the moment between a create and its answer.
    reads = []
    world.erp.hooks.after_write.append(
        lambda stream: reads or reads.append(pull(other, "erp", "parties"))
    )
    push(world.hub, "erp")
    assert reads[0].changed == len(keys)
    assert len(world.golden("company")) == len(keys)
    world.agree()
    assert len(world.erp.records("parties")) == len(keys)


def test_several_workers_sync_both_sides_at_once(world_on_postgresql):
    world = world_on_postgresql
    companies = newcomers(world)
    world.quiet()
    for n, key in enumerate(companies):
        world.crm.edit("companies", key, name=f"Zenith {n}")
    for n, key in enumerate(world.erp.records("parties")):
        world.erp.edit("parties", key, branch=f"Branch {n}")
    hubs = [world.another_worker() for _ in range(4)]
    wrong = at_once(
        lambda: (pull(hubs[0], "crm", "companies"), push(hubs[0], "erp")),
        lambda: (pull(hubs[1], "erp", "parties"), push(hubs[1], "crm")),
        lambda: push(hubs[2], "crm"),
        lambda: push(hubs[3], "erp"),
    )
    assert wrong == []
    world.agree()
    names = [p["title"] for p in world.erp.records("parties").values()]
    assert sorted(names) == sorted(f"Zenith {n}" for n in range(len(companies)))
    assert all("industry" in c for c in world.crm.records("companies").values())


def test_two_workers_derive_one_order(world_on_postgresql, open_a_shop):
    world = world_on_postgresql
    shop = open_a_shop(world)
    shop["deal"](stage="won")
    pull(world.hub, "crm", "deals")
    other = world.another_worker()
    wrong = at_once(lambda: derive(world.hub), lambda: derive(other))
    assert wrong == []
    world.agree()
    assert len(world.golden("sales_order")) == len(world.erp.records("sales")) == 1


@pytest.fixture
def before_the_lock(monkeypatch):
    """Lets another worker act between the reading of links and the lock of their golden records."""

    def arrange(act):
        todo = [act]
        load = load_golden

        def acting(tx, ids, *, lock=False):
            if lock and todo:
                todo.pop()()
            return load(tx, ids, lock=lock)

        for name, module in list(sys.modules.items()):
            if name.startswith("hub.sync.") and hasattr(module, "load_golden"):
                monkeypatch.setattr(module, "load_golden", acting)

    return arrange


def test_a_merge_before_the_lock_is_not_undone(world_on_postgresql, before_the_lock):
    """A merge between reading a link and locking it is not undone."""
    world = world_on_postgresql
    kept, gone = newcomers(world, 2)
    world.quiet()
    first, second = world.erp.records("parties")
    world.erp.merge("parties", second, into=first)
    world.crm.edit("companies", gone, industry="Shipping")
    world.clock.later(minutes=1)
    other = world.another_worker()
    before_the_lock(lambda: pull(other, "erp", "parties"))
    pull(world.hub, "crm", "companies")
    (golden,) = world.golden("company")
    assert {(n.connection, n.key) for n in world.links(golden) if n.gone_at is None} == {
        ("crm", kept),
        ("crm", gone),
        ("erp", first),
    }
    assert golden.values["industry"] == "Shipping"
    world.agree()


def test_a_change_before_the_lock_stays_newest(world_on_postgresql, before_the_lock):
    """A change between reading a link and locking it remains the newest."""
    world = world_on_postgresql
    company, _party = world.customer()
    world.crm.edit("companies", company, name="Acme AG")
    world.clock.later(minutes=1)
    other = world.another_worker()

    def meanwhile():
        world.crm.edit("companies", company, name="Acme SE")
        receive(other, "crm", [Notification("companies", company, "event")])
        process_inbox(other, "crm")

    before_the_lock(meanwhile)
    pull(world.hub, "crm", "companies")
    (golden,) = world.golden("company")
    assert golden.values["name"] == "Acme SE"
    (link,) = [n for n in world.links(golden) if n.connection == "crm"]
    assert link.state.seen_at("name") == "Acme SE"
    world.agree()


def test_a_record_that_is_gone_meanwhile_is_gone(world_on_postgresql, before_the_lock):
    world = world_on_postgresql
    company, _party = world.customer()
    world.crm.edit("companies", company, name="Acme AG")
    world.clock.later(minutes=1)
    other = world.another_worker()

    def meanwhile():
        world.crm.delete("companies", company)
        receive(other, "crm", [Notification("companies", company, "event")])
        process_inbox(other, "crm")

    before_the_lock(meanwhile)
    pull(world.hub, "crm", "companies")
    (golden,) = world.golden("company")
    (link,) = [n for n in world.links(golden) if n.connection == "crm"]
    assert link.gone_at is not None
    world.agree()


def test_a_match_just_before_a_create_prevents_it(world, monkeypatch):
    world.crm.create("companies", name="Acme", domain="acme.example")
    pull(world.hub, "crm", "companies")
    pull(world.hub, "erp", "parties")
    other = world.another_worker()
    met = []

    def planned(*args):
        if not met:
            met.append(world.erp.create("parties", title="Acme", website="acme.example"))
            pull(other, "erp", "parties")
        return plan(*args)

    monkeypatch.setattr("hub.sync.push.portion.plan", planned)
    push(world.hub, "erp")
    world.agree()
    assert list(world.erp.records("parties")) == met
