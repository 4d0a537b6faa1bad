"""What is due is found in the database, and leased work is not offered again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from threading import Event, Thread
from typing import Any

import pytest

from connectors.kit.errors import UnavailableError
from hub.settings import load_settings
from hub.store import dirty, inbox, leases, outbox, tables
from hub.store import work as store_work
from hub.store.connections import save_connection
from hub.store.inbox import InboxEntry
from hub.store.runs import recent_runs
from hub.store.streams import STREAM_LEASE, lease_stream, save_stream, stream_state
from hub.sync.attempt import take_over
from hub.sync.context import Hub
from hub.sync.due import BySchedule, Work, agenda
from hub.sync.ingest.pull import pull
from hub.wiring import open_hub
from tests.worker.installation import Installation
from worker import local
from worker.execute import perform
from worker.queues import lane_of

SECOND = timedelta(seconds=1)


@pytest.fixture
def hub(shop: Any) -> Iterator[Hub]:
    opened = shop.hub()
    yield opened
    opened.close()


@pytest.fixture
def due(shop: Any, hub: Hub) -> Callable[..., list[str]]:
    settings = shop.settings()
    return lambda later=timedelta(0): [
        work.name for work in agenda(hub, BySchedule(settings.schedules), hub.clock() + later).ready
    ]


def test_everything_is_read_first(hub: Hub, shop: Any, due: Callable[..., list[str]]) -> None:
    works = agenda(hub, BySchedule(shop.settings().schedules), hub.clock()).ready
    assert [w.name for w in works] == ["pull crm companies", "pull erp companies", "tidy"]
    assert [lane_of(w) for w in works] == ["bulk", "bulk", "live"]


def test_first_reads_come_after_their_parents(installation: Installation) -> None:
    # Otherwise it would be quarantined, count as read, and be created again from the other system.
    settings = load_settings(installation.config, environ=installation.environ)
    hub = open_hub(settings)

    def pulls() -> list[str]:
        works = agenda(hub, BySchedule(settings.schedules), hub.clock()).ready
        return [work.name for work in works if work.kind == "pull"]

    assert pulls() == ["pull crm companies", "pull erp companies"]
    pull(hub, "crm", "companies")
    assert pulls() == ["pull crm contacts", "pull erp companies"]
    hub.close()


def test_nothing_is_written_to_an_unread_target(hub: Hub, due: Callable[..., list[str]]) -> None:
    with hub.store.begin() as tx:
        outbox.enqueue(tx, [("erp", "company", "g1")], now=hub.clock())
        dirty.mark(tx, ["g1"], now=hub.clock())
        save_stream(tx, "crm", "companies", read_at=hub.clock())
    assert {"push erp", "derive"}.isdisjoint(due())
    with hub.store.begin() as tx:
        save_stream(tx, "erp", "companies", read_at=hub.clock())
    assert due()[:2] == ["derive", "push erp"]


def test_streams_are_due_before_sweeps(hub: Hub, due: Callable[..., list[str]]) -> None:
    """Streams are due by their schedule, and sweeps after them."""
    with hub.store.begin() as tx:
        save_stream(tx, "crm", "companies", read_at=hub.clock())
    assert "pull crm companies" not in due()
    assert "pull crm companies" in due(SECOND * 2)
    assert "sweep crm companies" in due()
    with hub.store.begin() as tx:
        save_stream(tx, "crm", "companies", swept_at=hub.clock())
    assert "sweep crm companies" not in due(timedelta(hours=23))
    assert "sweep crm companies" in due(timedelta(hours=25))
    assert "sweep erp companies" not in due(timedelta(hours=25))


def test_notifications_and_paused_connections(hub: Hub, due: Callable[..., list[str]]) -> None:
    notification = InboxEntry("crm", "companies", "1", "e")
    with hub.store.begin() as tx:
        inbox.receive(tx, [notification], now=hub.clock())
    assert due()[0] == "inbox crm"
    with hub.store.begin() as tx:
        save_connection(tx, "crm", paused_at=hub.clock(), reason="token revoked")
    assert due() == ["pull erp companies", "tidy"]


def test_a_paused_or_leased_stream_is_left_alone(hub: Hub, due: Callable[..., list[str]]) -> None:
    with hub.store.begin() as tx:
        save_stream(tx, "crm", "companies", paused_at=hub.clock(), reason="surprise")
        lease_stream(tx, "erp", "companies", worker="cli", now=hub.clock())
    assert due() == ["tidy"]
    assert due(STREAM_LEASE + SECOND) == ["pull erp companies", "tidy"]


def test_leased_work_is_not_offered_again(hub: Hub, due: Callable[..., list[str]]) -> None:
    with hub.store.begin() as tx:
        store_work.take(tx, "pull crm companies", worker="other", now=hub.clock())
    assert "pull crm companies" not in due()
    assert "pull crm companies" in due(leases.WORK_LEASE + SECOND)
    assert not perform(hub, Work("pull", "crm", "companies"), Event())


def test_a_system_that_is_down_is_retried_later(
    hub: Hub, shop: Any, due: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(stream: str, since: str | None) -> Any:
        raise UnavailableError("the CRM does not answer; wait")

    monkeypatch.setattr(hub.connections["crm"].connector, "pages", away)
    assert not perform(hub, Work("pull", "crm", "companies"), Event())
    assert "pull crm companies" not in due()
    assert "pull crm companies" in due(SECOND * 6)
    monkeypatch.undo()
    with hub.store.begin() as tx:
        state = store_work.states(tx)["pull crm companies"]
    assert state.failures == 1


def test_progress_keeps_pauses_from_growing(
    hub: Hub, shop: Any, due: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line that breaks once in a hundred calls must not put a long piece of work to sleep."""
    for number in range(30):
        shop.crm.create("companies", name=f"Company {number}")
    for name in ("crm", "erp"):
        assert perform(hub, Work("pull", name, "companies"), Event())
    connector = hub.connections["erp"].connector
    write, calls = connector.write, iter(range(100))

    def breaking(stream: str, writes: Any) -> Any:
        if next(calls) % 2:
            raise UnavailableError("the ERP does not answer; wait")
        return write(stream, writes)

    monkeypatch.setattr(connector, "write", breaking)
    monkeypatch.setattr("hub.sync.push.push._BATCH", 5)
    for _ in range(3):
        assert not perform(hub, Work("push", "erp"), Event())
        assert "push erp" in due(SECOND * 6)
        with hub.store.begin() as tx:
            assert store_work.states(tx)["push erp"].failures == 1
            tx.execute(tables.work.update().values(due_at=None))
            tx.execute(tables.outbox.update().values(due_at=hub.clock()))
    assert len(shop.names(shop.erp)) == 15


def test_a_mistake_of_ours_shows_itself_and_rests(
    hub: Hub, due: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(stream: str, since: str | None) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(hub.connections["crm"].connector, "pages", broken)
    with pytest.raises(ZeroDivisionError):
        perform(hub, Work("pull", "crm", "companies"), Event())
    assert "pull crm companies" not in due()


def test_a_stop_between_pages_keeps_what_was_read(
    shop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.sync.ingest.prefetch.PORTION", 1)  # every page is stored by itself
    shop.write(page=1)
    for number in range(3):
        shop.crm.create("companies", name=f"Company {number}")
    stop = Event()
    stop.set()
    hub = shop.hub()
    assert not perform(hub, Work("pull", "crm", "companies"), stop)
    with hub.store.read() as tx:
        (run,) = recent_runs(tx)
        assert (run.state, run.seen) == ("stopped", 1)
        assert stream_state(tx, "crm", "companies").cursor is not None
        assert leases.holders(tx) == set()
    assert perform(hub, Work("pull", "crm", "companies"), Event())
    with hub.store.read() as tx:
        seen = sum(run.seen for run in recent_runs(tx))
    assert seen >= 3
    hub.close()


def test_only_the_dead_are_taken_over(hub: Hub) -> None:
    host = hub.worker.rpartition(":")[0]
    dead, far = f"{host}:1", "elsewhere:0123456789:1:1"
    with hub.store.begin() as tx:
        for stream, worker in (("a", dead), ("b", far), ("c", hub.worker), ("d", "a-person")):
            lease_stream(tx, "crm", stream, worker=worker, now=hub.clock())
    take_over(hub)
    with hub.store.read() as tx:
        assert leases.holders(tx) == {far, hub.worker, "a-person"}


def test_in_one_process_until_nothing_is_due(shop: Any, hub: Hub) -> None:
    shop.crm.create("companies", name="From the CRM")
    shop.erp.create("companies", name="From the ERP")
    shop.write(pull="1h")
    assert local.loop(hub, shop.settings().schedules, Event(), burst=True)
    both = {"From the CRM", "From the ERP"}
    assert (shop.names(shop.crm), shop.names(shop.erp)) == (both, both)
    with hub.store.read() as tx:
        assert leases.holders(tx) == set()


def test_follow_up_work_does_not_wait(shop: Any, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work that other work has made due is done without waiting for the clock."""
    monkeypatch.setattr(local, "TICK", 600.0)
    shop.crm.create("companies", name="ACME")
    shop.write(pull="1h")
    stop = Event()
    looping = Thread(target=local.loop, args=(hub, shop.settings().schedules, stop))
    looping.start()
    try:
        until = time.monotonic() + 60
        while not shop.names(shop.erp) and time.monotonic() < until:
            time.sleep(0.01)
        assert shop.names(shop.erp) == {"ACME"}
    finally:
        stop.set()
        looping.join()


def test_two_loops_write_nothing_twice(shops: Any, postgresql_url: str) -> None:
    import threading

    shop = shops(postgresql_url)
    shop.write(pull="1h", page=5)
    for number in range(40):
        shop.crm.create("companies", name=f"Company {number}")
    hubs = [shop.hub(), shop.hub()]
    hubs[1].worker = "another"
    threads = [
        threading.Thread(
            target=local.loop,
            args=(hub, shop.settings().schedules, Event()),
            kwargs={"burst": True},
        )
        for hub in hubs
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    local.loop(hubs[0], shop.settings().schedules, Event(), burst=True)
    made = [str(one["name"]) for one in shop.erp.records("companies").values()]
    assert sorted(made) == sorted(f"Company {n}" for n in range(40))
    for hub in hubs:
        hub.close()
