"""What is due, and what must wait: nothing is written to streams that were never read.

Every way to sync asks the same module (hub/sync/due.py); these scenarios run through all of them.
"""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from connectors.kit.contract import Notification
from connectors.kit.errors import UnavailableError
from connectors.memory import Faults
from hub.model.causes import Cause
from hub.store import leases, outbox, quarantine
from hub.store.holders import worker_name
from hub.store.quarantine import Problem
from hub.store.streams import lease_stream, save_stream
from hub.sync.attempt import attempt
from hub.sync.due import BySchedule, OnRequest, Work, agenda
from hub.sync.ingest.webhooks import receive
from hub.sync.progress import Silence
from hub.sync.run import sync
from tests.scenarios.conftest import SELLING, World

ACME = {
    "name": "Acme",
    "domain": "acme.example",
    "address": {"street": "Dock 1", "zip": "20095", "city": "Hamburg", "country": "DE"},
}
ALWAYS = SimpleNamespace(pull_every=lambda *_: timedelta(0), sweep=timedelta(days=1))


class Unreadable:
    """A connector whose full reads time out; everything else works."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def pages(self, stream: str, since: str | None) -> Any:
        raise UnavailableError("the ERP does not answer in time")


def by_schedule(world: World, rounds: int = 3) -> None:
    """Does what is due by schedule, as `tulay serve` and the workers do."""
    for _ in range(rounds):
        world.clock.later(minutes=20)  # longer than the pause after a failure
        for work in agenda(world.hub, BySchedule(ALWAYS), world.clock()).ready:
            attempt(world.hub, work, Silence())


def both_know(world: World) -> tuple[str, str]:
    """Creates the same customer in both systems, not linked yet; returns its keys."""
    company = world.crm.create("companies", dict(ACME))
    return company, world.erp.create("parties", title="Acme", website="acme.example")


def test_a_system_that_was_down_at_first(world: World) -> None:
    """The CRM is down at the first sync; later a person syncs companies only."""
    world.restart(streams=SELLING)
    both_know(world)
    for number in range(15):
        name = {"code": f"W-{number}", "name": f"Widget {number}"}
        world.erp.create("articles", {**name, "list_price": "30"})
        world.crm.create("products", sku=f"W-{number}", name=f"Widget {number}", price="30")
    world.crm.faults = Faults(down=True)
    assert list(sync(world.hub).failed) == ["crm"]
    world.crm.faults = Faults()
    world.clock.later(minutes=1)
    report = sync(world.hub, entities=["company"])
    assert len(world.crm.records("products")) == 15
    assert "products" in report.unread["crm"]
    assert not report.quiet
    assert world.quiet().unread == {}
    assert len(world.crm.records("products")) == len(world.erp.records("articles")) == 15


def test_an_erp_that_cannot_be_read(world: World) -> None:
    """Its full read times out while writes work: no way to sync creates the customer twice."""
    both_know(world)
    world.restart(wrap=lambda c: Unreadable(c) if c.system is world.erp else c)
    world.sync()
    world.sync()
    sync(world.hub, entities=["company"])
    by_schedule(world)
    assert world.titles() == ["Acme"]
    world.restart(wrap=lambda connector: connector)
    by_schedule(world)
    assert world.titles() == ["Acme"]
    world.agree()


def test_one_entity_and_a_webhook_for_another(world: World) -> None:
    """A webhook reports a contact while only companies were ever synced: it is created once."""
    world.map("contacts", "people")
    company, party = both_know(world)
    sync(world.hub, entities=["company"])
    person = world.crm.create("contacts", last="Lee", email="lee@acme.example", company=company)
    world.erp.create("people", {"family": "Lee", "mail": "lee@acme.example", "party": party})
    receive(world.hub, "crm", [Notification("contacts", person, "e1")])
    world.clock.later(minutes=1)
    report = sync(world.hub, entities=["company"])
    assert report.unread == {"erp": ("people",)}
    assert len(world.erp.records("people")) == 1
    world.agree()
    assert len(world.erp.records("people")) == len(world.crm.records("contacts")) == 1


def test_requested_records_come_after_parents(world: World) -> None:
    """Contacts are requested whose companies were never read: the companies are read first."""
    world.map("contacts", "people")
    company, _ = both_know(world)
    world.crm.create("contacts", last="Lee", email="lee@acme.example", company=company)
    report = sync(world.hub, entities=["contact"])
    read = [(t.connection, t.stream) for t in report.tallies if t.kind == "pull"]
    assert read[:4] == [
        ("crm", "companies"),
        ("erp", "parties"),
        ("crm", "contacts"),
        ("erp", "people"),
    ]
    assert report.quiet
    assert len(world.erp.records("people")) == 1


@pytest.mark.parametrize("hiding", ["a paused stream", "a removed connection"])
def test_stuck_records_do_not_hide_others(world: World, hiding: str) -> None:
    """1,000 records that wait for a paused connection hold up no other record."""
    world.map("contacts", "people")
    company, _ = both_know(world)
    world.quiet()
    person = world.crm.create("contacts", last="Lee", email="lee@acme.example", company=company)
    source = ("crm", "companies") if hiding == "a paused stream" else ("old", "contacts")
    past = world.clock() - timedelta(hours=2)
    with world.store.begin() as tx:
        why = ("waiting", Cause.MISSING_PARENT, "waits")
        stuck = [Problem("pull", *source, f"x{n}", *why) for n in range(1000)]
        quarantine.put(tx, stuck, now=past, due_at=past)
        late = Problem("pull", "crm", "contacts", person, *why)
        quarantine.put(tx, [late], now=past, due_at=past + timedelta(hours=1))
        if hiding == "a paused stream":
            save_stream(tx, *source, paused_at=past, reason="a person looks")
    by_schedule(world, rounds=1)
    left = [one for one in world.quarantine_entries() if one.key == person]
    assert left == []
    assert [g.values["email"] for g in world.golden("contact")] == ["lee@acme.example"]


def test_paused_work_is_not_tried_endlessly(world: World) -> None:
    """Notifications of a paused stream do not cause ten looks a second."""
    company, _ = both_know(world)
    world.quiet()
    with world.store.begin() as tx:
        save_stream(tx, "crm", "companies", paused_at=world.clock(), reason="look")
    receive(world.hub, "crm", [Notification("companies", company, "e1")])
    ready = agenda(world.hub, BySchedule(ALWAYS), world.clock()).ready
    assert Work("inbox", "crm") not in ready
    with world.store.begin() as tx:
        save_stream(tx, "crm", "companies", paused_at=None, reason=None)
    assert Work("inbox", "crm") in agenda(world.hub, BySchedule(ALWAYS), world.clock()).ready


# --- what other processes hold ------------------------------------------------------------------


def hold(world: World, worker: str) -> None:
    """Another process leases what is to be written to the ERP, and then hangs."""
    for number in range(100):
        world.crm.create("companies", name=f"Company {number}")
    for connection in ("crm", "erp"):
        attempt(
            world.hub,
            Work("pull", connection, {"crm": "companies", "erp": "parties"}[connection]),
            Silence(),
        )
    with world.store.begin() as tx:
        taken = outbox.lease(
            tx, "erp", entities=["company"], worker=worker, now=world.clock(), limit=100
        )
    assert len(taken) == 100


def test_the_dead_are_taken_over_at_once(world: World) -> None:
    """A worker of this host was killed holding 100 writes: the sync writes them now."""
    dead = worker_name().rpartition(":")[0].rpartition(":")[0] + ":1:1"
    hold(world, dead)
    before = world.clock()
    report = sync(world.hub)
    assert report.quiet
    assert len(world.erp.records("parties")) == 100
    assert world.clock() - before < leases.LEASE


def test_a_live_workers_lease_is_waited_for(world: World) -> None:
    """Its lease expires meanwhile: the sync ends when the writes are done, not before."""
    hold(world, "elsewhere:0123456789:1:1")
    report = sync(world.hub)
    assert report.quiet
    assert report.held == ()
    assert len(world.erp.records("parties")) == 100


def test_a_worker_that_never_lets_go_is_named(world: World) -> None:
    """It renews its lease forever and writes nothing: the sync says so, and is not quiet."""
    stuck = "elsewhere:0123456789:1:1"
    hold(world, stuck)
    tick = world.hub.sleep

    def renewed(seconds: float) -> None:
        tick(seconds)
        with world.store.begin() as tx:
            leases.renew(tx, stuck, now=world.clock())

    world.hub.sleep = renewed
    report = sync(world.hub)
    assert not report.quiet
    assert [(held.connection, held.worker, held.count) for held in report.held] == [
        ("erp", stuck, 100)
    ]
    assert len(world.erp.records("parties")) == 0


def test_a_stream_that_another_process_reads(world: World) -> None:
    """It is read here once the other process has ended, not left out."""
    with world.store.begin() as tx:
        lease_stream(tx, "crm", "companies", worker="elsewhere:1", now=world.clock())
    world.crm.create("companies", name="Acme")
    held = agenda(world.hub, OnRequest(), world.clock()).held
    assert [(one.connection, one.stream) for one in held] == [("crm", "companies")]
    assert sync(world.hub).quiet
    assert world.titles() == ["Acme"]
