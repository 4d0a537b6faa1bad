"""Promises that planted bugs break, one test each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from sqlalchemy import Connection as Transaction
from sqlalchemy import Engine

from connectors.kit.contract import Notification, Page
from connectors.kit.errors import UnavailableError
from hub.simulation.crash_points import KilledError
from hub.store import history
from hub.store.engine import Store
from hub.store.runs import Tally, recent_runs
from hub.sync.ingest.inbox import process_inbox
from hub.sync.ingest.page import ingest
from hub.sync.ingest.pull import pull
from hub.sync.ingest.webhooks import receive
from hub.sync.push.push import push
from hub.sync.run import sync
from tests.scenarios.simulation import World
from tests.scenarios.two_sides import later, two_sides
from tests.scenarios.verdict import remember


@pytest.fixture
def world(fresh_store: Callable[[], Store]) -> World:
    """A CRM and an ERP that writes names in capitals; every conflict waits for a person."""
    return two_sides(fresh_store())


class WatchedStore(Store):
    """The real store; records of each writing transaction whether it survives a power cut."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.durable: list[bool] = []

    @contextmanager
    def begin(self, *, durable: bool = False) -> Iterator[Transaction]:
        with super().begin(durable=durable) as tx:
            yield tx
        self.durable.append(durable)


def test_inbox_and_outbox_survive_a_power_cut(world: World) -> None:
    crm, erp = world.systems["crm"], world.systems["erp"]
    crm.create("companies", code="c1", name="Acme")
    store = world.hub.store = WatchedStore(world.engine)
    receive(world.hub, "crm", [Notification("companies", "1", "e1")])
    assert store.durable == [True]
    process_inbox(world.hub, "crm")
    before: list[bool] = []
    erp.hooks.before_write.append(lambda _stream: before.append(store.durable[-1]))
    push(world.hub, "erp")
    assert before == [True]


def test_a_notification_during_processing_is_kept(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A notification that arrives while others are processed is processed, too."""
    crm = world.systems["crm"]
    key = crm.create("companies", code="c1", name="Acme")
    sync(world.hub)
    line = world.hub.connection("crm").connector
    fetch = line.fetch

    def fetch_and_edit(stream: str, keys: Sequence[str]) -> Page:
        page = fetch(stream, keys)
        monkeypatch.undo()
        crm.edit("companies", key, name="Gamma")
        receive(world.colleague, "crm", [Notification("companies", key, "e2")])
        return page

    monkeypatch.setattr(line, "fetch", fetch_and_edit)
    crm.edit("companies", key, name="Beta")
    receive(world.hub, "crm", [Notification("companies", key, "e1")])
    process_inbox(world.hub, "crm")
    assert [golden.values["name"] for golden in remember(world).golden.values()] == ["Gamma"]


def test_a_merge_keeps_the_history_of_both(world: World) -> None:
    crm = world.systems["crm"]
    first = crm.create("companies", code="c1", name="Acme")
    second = crm.create("companies", code="c2", name="Zeta")
    sync(world.hub)
    later(world)
    crm.edit("companies", first, name="Acme Works")
    sync(world.hub)
    later(world)
    crm.merge("companies", first, into=second)
    sync(world.hub)
    (winner,) = [g for g in remember(world).golden.values() if g.merged_into is None]
    with world.hub.store.read() as tx:
        names = {old for row in history.past(tx, winner.id, "name") for old in [row.old]}
    assert names == {"Acme", "Acme Works"}


def test_a_pull_with_wrong_counts_is_inconsistent(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pull whose counts do not add up ends as inconsistent."""

    def miscounting(*args: Any, tally: Tally, **rest: Any) -> None:
        ingest(*args, tally=tally, **rest)
        tally.seen += 1

    monkeypatch.setattr("hub.sync.ingest.pull.ingest", miscounting)
    monkeypatch.setattr("hub.sync.ingest.inbox.ingest", miscounting)
    world.systems["crm"].create("companies", code="c1")
    pull(world.hub, "crm", "companies")
    receive(world.hub, "crm", [Notification("companies", "1", "e1")])
    process_inbox(world.hub, "crm")
    with world.hub.store.read() as tx:
        states = {run.kind: run.state for run in recent_runs(tx)}
    assert states == {"pull": "inconsistent", "inbox": "inconsistent"}


@pytest.mark.parametrize("fault", ["lost", "row_lost", "partial"])
def test_a_create_in_doubt_is_probed_first(world: World, fault: str) -> None:
    """A create without an answer is looked up before it is repeated."""
    crm, erp = world.systems["crm"], world.systems["erp"]
    crm.create("companies", code="c1", name="Acme")
    pull(world.hub, "crm", "companies")
    erp.inject_faults(script=(fault,))
    with suppress(UnavailableError):
        push(world.hub, "erp")
    happened = len(erp.records("companies"))
    attempts: list[str] = []
    erp.hooks.before_write.append(attempts.append)
    later(world)
    push(world.hub, "erp")
    later(world)
    push(world.hub, "erp")
    assert len(attempts) == 1 - happened  # whatever a second one would do
    assert len(erp.records("companies")) == 1
    found = remember(world)
    assert {n.connection for n in found.links if n.gone_at is None} == {"crm", "erp"}
    assert found.entries == {}


def test_creates_of_a_dead_process_are_probed(world: World) -> None:
    """What a process sent before it died is looked up before it is repeated."""
    crm, erp = world.systems["crm"], world.systems["erp"]
    crm.create("companies", code="c1", name="Acme")
    pull(world.hub, "crm", "companies")

    def dies(_stream: str) -> None:
        world.crash_points.dead = True

    erp.hooks.after_write.append(dies)
    with pytest.raises(KilledError):
        push(world.hub, "erp")
    erp.hooks.after_write.clear()
    attempts: list[str] = []
    erp.hooks.before_write.append(attempts.append)
    world.crash_points, world.hub = world.process()
    later(world, minutes=11)
    push(world.hub, "erp")
    assert attempts == []
    assert {n.connection for n in remember(world).links} == {"crm", "erp"}
    assert remember(world).entries == {}


@pytest.mark.parametrize("lock", ["native", "none"])
def test_an_edit_during_our_write_survives(world: World, lock: str) -> None:
    """What a user types at the moment of our write is not overwritten."""
    crm, erp = world.systems["crm"], world.systems["erp"]
    key = crm.create("companies", code="c1", phone="1")
    sync(world.hub)
    crm.edit("companies", key, phone="2")
    pull(world.hub, "crm", "companies")

    def somebody_types(_stream: str) -> None:
        erp.hooks.before_write.clear()
        erp.edit("companies", "1", phone="3")

    if lock == "native":
        erp.hooks.before_write.append(somebody_types)
    else:  # the system does not refuse the write: only the edit before it can be seen
        somebody_types("companies")
    push(world.hub, "erp")
    later(world)
    sync(world.hub)
    assert erp.get("companies", "1")["phone"] == "3"
    assert remember(world).disputed == {"2", "3"}


def test_no_value_is_written_back_to_its_source(world: World) -> None:
    """A value is not written to the connection that it was read from."""
    crm, erp = world.systems["crm"], world.systems["erp"]
    key = crm.create("companies", code="c1", name="Acme")
    sync(world.hub)
    later(world)
    crm.edit("companies", key, name="Beta")
    pull(world.hub, "crm", "companies")
    assert {connection for connection, _ in remember(world).entries} == {"erp"}
    sync(world.hub)
    for system in (crm, erp):
        system.expire_cursors()
        later(world)
        pull(world.hub, system.name, "companies")
    assert remember(world).entries == {}


def test_untouched_children_follow_a_merge(world: World) -> None:
    """Contacts of a merged company refer to the survivor even if no user edits them."""
    crm = world.systems["crm"]
    first, second = (crm.create("companies", code=code) for code in ("c1", "c2"))
    crm.create("contacts", code="p1", company=first)
    sync(world.hub)
    later(world)
    crm.merge("companies", first, into=second)
    sync(world.hub)
    golden = remember(world).golden.values()
    (winner,) = [g for g in golden if g.entity == "company" and g.merged_into is None]
    assert [g.values["company"] for g in golden if g.entity == "contact"] == [winner.id]


def test_two_records_of_a_page_stay_two_entities(world: World) -> None:
    """Two similar records of one page are not both linked to one entity."""
    crm, erp = world.systems["crm"], world.systems["erp"]
    crm.create("companies", code="c1", name="Acme")
    erp.create("companies", code="c1", name="ACME")
    erp.create("companies", code="c1", name="ACME TOO")
    pull(world.hub, "crm", "companies")
    pull(world.hub, "erp", "companies")
    subjects = [n.golden_id for n in remember(world).links if n.connection == "erp"]
    assert len(set(subjects)) == len(subjects) == 2
