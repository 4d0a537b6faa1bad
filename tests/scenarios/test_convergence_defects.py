"""Defects found by random schedules, one test each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from connectors.kit.contract import Notification, Page
from connectors.kit.errors import UnavailableError
from connectors.memory import MemoryConnector
from hub.model.policy import EntityPolicy, FieldPolicy
from hub.simulation.crash_points import KilledError
from hub.store.conflicts import list_conflicts
from hub.store.engine import Store
from hub.store.runs import Tally
from hub.store.streams import stream_state
from hub.sync.ingest.inbox import process_inbox
from hub.sync.ingest.page import ingest
from hub.sync.ingest.pull import pull
from hub.sync.ingest.read_record import Origin
from hub.sync.ingest.sweep import sweep
from hub.sync.ingest.webhooks import receive
from hub.sync.operate.resolve import resolve_with_value
from hub.sync.push.push import push
from hub.sync.run import sync
from tests.scenarios.landscape import Landscape, SystemSpec
from tests.scenarios.simulation import World
from tests.scenarios.two_sides import ASK, FACTS, later, two_sides
from tests.scenarios.verdict import kept, remember
from tests.scenarios.wide_landscape import WideLandscape, WidePlace
from tests.scenarios.wide_world import WideWorld


@pytest.fixture
def world(fresh_store: Callable[[], Store]) -> World:
    """A CRM and an ERP that writes names in capitals; every conflict waits for a person."""
    return two_sides(fresh_store())


def test_an_update_in_doubt_is_not_a_users_edit(world: World) -> None:
    """An update whose answer was lost is read back as ours, not as an edit by a user."""
    crm, erp = world.systems["crm"], world.systems["erp"]
    key = crm.create("companies", code="c1", name="Acme")
    sync(world.hub)
    crm.edit("companies", key, name="Acme Works")
    pull(world.hub, "crm", "companies")
    erp.inject_faults(script=("lost",))
    with pytest.raises(UnavailableError):
        push(world.hub, "erp")
    later(world)
    sync(world.hub)
    assert crm.get("companies", key)["name"] == "Acme Works"
    assert remember(world).conflicts == {}
    assert erp.get("companies", "1")["name"] == "ACME WORKS"


def test_edits_of_a_deleted_record_are_history(world: World) -> None:
    """An edit of a record that was deleted in the other system is kept in the history."""
    policy = replace(ASK, delete="propagate")
    world.hub.policies = {"company": policy, "contact": policy}
    crm, erp = world.systems["crm"], world.systems["erp"]
    key = crm.create("companies", code="c1", name="Acme")
    sync(world.hub)
    crm.delete("companies", key)
    erp.edit("companies", "1", phone="12")
    later(world)
    sync(world.hub)
    assert erp.records("companies") == {}
    assert "12" in kept(world)


def test_deletions_before_a_full_read_are_found(world: World) -> None:
    """Records deleted before everything had to be read again are found to be gone."""
    crm = world.systems["crm"]
    key = crm.create("companies", code="c1", name="Acme")
    sync(world.hub)
    later(world)
    crm.delete("companies", key)
    crm.expire_cursors()
    sync(world.hub)
    assert [n.connection for n in remember(world).links if n.gone_at is not None] == ["crm"]


def test_a_late_page_does_not_restore_the_deleted(world: World) -> None:
    """A page read earlier does not bring back a record that was gone before the hub knew it."""
    crm = world.systems["crm"]
    key = crm.create("companies", code="c1", name="Acme")
    page = next(iter(MemoryConnector.of(crm).pages("companies", None)))
    crm.delete("companies", key)
    receive(world.hub, "crm", [Notification("companies", key, "e1")])
    process_inbox(world.hub, "crm")
    _arrives_late(world, page)
    sync(world.hub)
    assert world.systems["erp"].records("companies") == {}


def test_a_late_page_does_not_split_a_merge(world: World) -> None:
    """A page read before a merge does not make a second entity of the merged record."""
    crm, erp = world.systems["crm"], world.systems["erp"]
    key = crm.create("companies", code="c1", name="Acme")
    sync(world.hub)
    page = next(iter(MemoryConnector.of(crm).pages("companies", None)))
    other = crm.create("companies", code="c2", name="Acme Ltd")
    crm.merge("companies", key, into=other)
    later(world)
    pull(world.hub, "crm", "companies")
    _arrives_late(world, page)
    sync(world.hub)
    assert len(erp.records("companies")) == 1


def _arrives_late(world: World, page: Page) -> None:
    channel = world.hub.connection("crm").channel("companies")
    tally = Tally(world.hub.fresh_id(), "pull", "crm", "companies", world.now)
    with world.hub.store.begin() as tx:
        ingest(world.hub, tx, channel, page=page, tally=tally, origin=Origin.LISTED)
    assert tally.adds_up


def test_a_create_in_doubt_and_merged_is_one(world: World) -> None:
    """A record that we created and that was merged before its create was confirmed is no third."""
    crm, erp = world.systems["crm"], world.systems["erp"]
    first = crm.create("companies", code="c1", name="Acme")
    sync(world.hub)
    second = crm.create("companies", code="c2", name="Acme Ltd")
    pull(world.hub, "crm", "companies")
    erp.inject_faults(script=("lost",))
    with pytest.raises(UnavailableError):
        push(world.hub, "erp")
    crm.merge("companies", first, into=second)
    later(world)
    pull(world.hub, "crm", "companies")
    sync(world.hub)
    living = [g for g in remember(world).golden.values() if g.merged_into is None]
    assert [g.values["code"] for g in living] == ["c2"]
    assert len(crm.records("companies")) == 1


def test_edits_not_ingested_are_not_overwritten(world: World) -> None:
    """Nothing is written over an edit that could not be ingested yet."""
    wins = EntityPolicy({"": FieldPolicy(on_conflict="crm")}, ASK.create)
    world.hub.policies = {"company": ASK, "contact": wins}
    crm, erp = world.systems["crm"], world.systems["erp"]
    company = crm.create("companies", code="c1")
    contact = crm.create("contacts", code="p1", company=company)
    sync(world.hub)
    unknown = erp.create("companies", code="c2")
    erp.edit("contacts", "1", company=unknown, phone="2")
    crm.edit("contacts", contact, phone="1")
    pull(world.hub, "crm", "contacts")
    later(world)
    push(world.hub, "erp")
    sync(world.hub)
    assert "2" in kept(world)
    assert erp.get("contacts", "1")["phone"] == crm.get("contacts", contact)["phone"]


def test_a_field_blank_in_a_new_record_is_filled(world: World) -> None:
    """A field found blank in a record that we have just created is filled again."""
    crm, erp = world.systems["crm"], world.systems["erp"]
    crm.create("companies", code="c1", name="Acme")
    pull(world.hub, "crm", "companies")
    erp.inject_faults(script=("lost",))
    with pytest.raises(UnavailableError):
        push(world.hub, "erp")
    erp.edit("companies", "1", name=None)
    later(world)
    sync(world.hub)
    assert erp.get("companies", "1")["name"] == "ACME"


def test_an_incomplete_sweep_deletes_nothing(world: World) -> None:
    crm = world.systems["crm"]
    for number in range(3):
        crm.create("companies", code=f"c{number}")
    sync(world.hub)
    crm.inject_faults(script=("read",))
    with pytest.raises(UnavailableError):
        sweep(world.hub, "crm", "companies")
    assert all(link.gone_at is None for link in remember(world).links)


def test_a_record_a_sweep_missed_is_fetched_first(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record that a sweep did not list is fetched before it counts as deleted."""
    crm = world.systems["crm"]
    for number in range(3):
        crm.create("companies", code=f"c{number}")
    sync(world.hub)
    line = world.hub.connection("crm").connector
    monkeypatch.setattr(line, "keys", lambda _stream: iter([["1", "3"]]))
    crm.delete("companies", "3")
    sweep(world.hub, "crm", "companies")
    assert [n.key for n in remember(world).links if n.gone_at is not None] == []
    monkeypatch.setattr(line, "keys", lambda _stream: iter([["1"]]))
    sweep(world.hub, "crm", "companies")
    gone = [n.key for n in remember(world).links if n.gone_at is not None]
    assert gone == ["3"]


def test_a_crash_before_storing_keeps_the_cursor(world: World) -> None:
    """A process that dies before its page is stored leaves the cursor where it was."""
    crm = world.systems["crm"]
    crm.create("companies", code="c1", name="Acme")
    sync(world.hub)
    later(world)
    crm.edit("companies", "1", name="Beta")
    later(world)
    for point in range(12):  # whether it dies before or after the commit
        world.crash_points.expect(point, None)
        try:
            pull(world.hub, "crm", "companies")
        except KilledError:
            world.crash_points, world.hub = world.process()
        world.crash_points.expect(None, None)
        later(world, minutes=11)
    pull(world.hub, "crm", "companies")
    with world.hub.store.read() as tx:
        assert stream_state(tx, "crm", "companies").cursor is not None
    assert "Beta" in kept(world)


def test_an_old_page_overwrites_no_newer_value(world: World) -> None:
    crm = world.systems["crm"]
    key = crm.create("companies", code="c1", name="Acme")
    page = next(iter(MemoryConnector.of(crm).pages("companies", None)))
    crm.edit("companies", key, name="Beta")
    sync(world.hub)
    _arrives_late(world, page)
    with world.hub.store.read():
        values = [golden.values["name"] for golden in remember(world).golden.values()]
    assert values == ["Beta"]


def test_a_system_that_rewrites_values_settles(world: World) -> None:
    """A system that rewrites the values it receives causes no endless writes."""
    crm, erp = world.systems["crm"], world.systems["erp"]
    key = crm.create("companies", code="c1", name="Acme")
    sync(world.hub)
    erp.edit("companies", "1", phone="7")
    later(world)
    sync(world.hub)
    assert crm.get("companies", key) == {"code": "c1", "name": "Acme", "phone": "7"}
    crm.forget_writes()
    erp.forget_writes()
    later(world)
    assert sync(world.hub).changed == 0
    assert crm.writes == erp.writes == []


def test_an_entry_renewed_in_flight_is_sent_again(world: World) -> None:
    """An outbox entry that is enqueued again while it is in flight is written again."""
    crm, erp = world.systems["crm"], world.systems["erp"]
    key = crm.create("companies", code="c1", name="Acme")
    sync(world.hub)
    crm.edit("companies", key, name="Beta")
    pull(world.hub, "crm", "companies")

    def somebody_types(_stream: str) -> None:
        erp.hooks.after_write.clear()
        later(world)
        crm.edit("companies", key, name="Gamma")
        pull(world.colleague, "crm", "companies")

    erp.hooks.after_write.append(somebody_types)
    push(world.hub, "erp")
    assert erp.get("companies", "1")["name"] == "GAMMA"


def test_edits_under_a_slow_clock_count(world: World) -> None:
    crm, erp = world.systems["crm"], world.systems["erp"]
    key = crm.create("companies", code="c1", phone="1")
    sync(world.hub)
    crm.edit("companies", key, phone="2")
    later(world)
    sync(world.hub)
    erp.edit("companies", "1", phone="3")  # two hours earlier by its own clock
    later(world)
    sync(world.hub)
    assert crm.get("companies", key)["phone"] == "3"


def test_a_lost_create_keeps_our_spelling(
    fresh_store: Callable[[], Store],
) -> None:
    """A lost create that is found by its values is ours, whatever the system's spelling."""
    store = fresh_store()
    plain = FACTS.model_copy(update={"once": None})
    specs = (
        SystemSpec("crm", {}, FACTS, offset=0.0, page=100, lag=0.0),
        SystemSpec(
            "erp", {"name": "upper", "price": "round:0"}, plain, offset=0.0, page=100, lag=0.0
        ),
    )
    policies = {
        "company": EntityPolicy({"": FieldPolicy(on_first_match="erp")}, ASK.create),
        "contact": ASK,
    }
    world = World(Landscape(specs, policies), store.engine, kept=kept)
    crm, erp = world.systems["crm"], world.systems["erp"]
    key = crm.create("companies", code="c1", name="Acme", price="2.25", phone="1")
    pull(world.hub, "crm", "companies")
    erp.inject_faults(script=("lost",))
    with pytest.raises(UnavailableError):
        push(world.hub, "erp")
    erp.edit("companies", "1", phone="2")
    later(world)
    sync(world.hub)
    assert crm.get("companies", key) == {
        "code": "c1",
        "name": "Acme",
        "price": "2.25",
        "phone": "2",
    }
    assert len(erp.records("companies")) == 1


@pytest.fixture
def wide(fresh_store: Callable[[], Store]) -> WideWorld:
    """Two systems that also have orders; companies show figures derived from them."""
    store = fresh_store()
    specs = tuple(
        WidePlace(name, {}, FACTS, offset=0.0, page=100, lag=0.0) for name in ("crm", "erp")
    )
    figures = FieldPolicy(owners=frozenset(), when_blank="write")
    policy = EntityPolicy({"figures": figures}, ASK.create, delete="propagate")
    policies = dict.fromkeys(("company", "contact", "sales_order"), policy)
    return WideWorld(WideLandscape(specs, policies), store.engine, kept=kept)


def _figures(world: World) -> dict[str, object]:
    later(world)
    sync(world.hub)
    later(world)
    assert sync(world.hub).changed == 0
    companies = world.systems["erp"].records("companies").values()
    return {c["code"]: c["figures"].get("last_order") for c in companies}


def test_figures_follow_an_order_that_moves(wide: WideWorld) -> None:
    """The figures of a company change when one of its orders moves to another company."""
    crm = wide.systems["crm"]
    first, second = (crm.create("companies", code=code) for code in ("c1", "c2"))
    order = crm.create("orders", code="o1", company=first)
    crm.create("orders", code="o2", company=second)
    assert _figures(wide) == {"c1": "o1", "c2": "o2"}
    crm.edit("orders", order, company=second)
    crm.edit("orders", order, code="o9")
    assert _figures(wide) == {"c1": None, "c2": "o9"}


def test_figures_leave_out_a_deleted_order(wide: WideWorld) -> None:
    """The figures of a company no longer contain an order that was deleted."""
    crm = wide.systems["crm"]
    company = crm.create("companies", code="c1")
    crm.create("orders", code="o1", company=company)
    last = crm.create("orders", code="o2", company=company)
    assert _figures(wide) == {"c1": "o2"}
    crm.delete("orders", last)
    assert _figures(wide) == {"c1": "o1"}


def test_a_reverted_edit_does_not_stop_an_action(wide: WideWorld) -> None:
    """A transition happens although a field was edited and reverted in the meantime."""
    crm, erp = wide.systems["crm"], wide.systems["erp"]
    key = crm.create("orders", code="o1", state="draft", description="A")
    sync(wide.hub)
    crm.edit("orders", key, state="cancelled")
    for words in ("B", "A"):
        erp.edit("orders", "1", description=words)
    later(wide)
    sync(wide.hub)
    assert erp.get("orders", "1")["state"] == "cancelled"
    assert remember(wide).entries == {}


def test_a_third_value_leaves_others_in_history(world: World) -> None:
    """Values in conflict that a third value replaces stay in the history."""
    crm, erp = world.systems["crm"], world.systems["erp"]
    key = crm.create("companies", code="c1", phone="1")
    sync(world.hub)
    crm.edit("companies", key, phone="2")
    erp.edit("companies", "1", phone="3")
    later(world)
    sync(world.hub)
    with world.hub.store.read() as tx:
        (conflict,) = list_conflicts(tx)
    resolve_with_value(world.hub, conflict.id, "4")
    later(world)
    sync(world.hub)
    assert crm.get("companies", key)["phone"] == erp.get("companies", "1")["phone"] == "4"
    assert {"2", "3"} <= kept(world)


def test_a_merge_result_spreads_no_spelling(world: World) -> None:
    """A third record that a merge created does not bring its own spelling to other systems."""
    crm, erp = world.systems["crm"], world.systems["erp"]
    first = crm.create("companies", code="c1", name="Acme")
    second = crm.create("companies", code="c2", name="Acme Works")
    sync(world.hub)
    third = erp.create("companies", erp.get("companies", "1"))
    later(world)
    pull(world.hub, "erp", "companies")  # before it is reported that it was made of the others
    erp.merge("companies", "1", into=third)
    erp.merge("companies", "2", into=third)
    later(world)
    sync(world.hub)
    assert {crm.get("companies", key)["name"] for key in (first, second)} <= {"Acme", "Acme Works"}
    (living,) = [g for g in remember(world).golden.values() if g.merged_into is None]
    assert living.values["name"] == "Acme"
    assert erp.get("companies", third)["name"] == "ACME"


def test_a_late_last_edit_restores_nothing(world: World) -> None:
    """A page read earlier, with a last edit, does not bring a deleted record back."""
    crm = world.systems["crm"]
    key = crm.create("companies", code="c1", name="Acme")
    sync(world.hub)
    later(world)
    crm.edit("companies", key, name="Beta")
    page = next(iter(MemoryConnector.of(crm).pages("companies", None)))
    crm.delete("companies", key)
    later(world)
    sync(world.hub)
    _arrives_late(world, page)
    later(world)
    sync(world.hub)
    assert [n.connection for n in remember(world).links if n.gone_at is not None] == ["crm"]


def test_waiting_for_a_new_parent_creates_nothing(
    fresh_store: Callable[[], Store],
) -> None:
    """A record we created is not created again while it waits for its new parent."""
    store = fresh_store()
    plain = FACTS.model_copy(update={"once": None})
    specs = tuple(
        SystemSpec(name, {}, facts, offset=0.0, page=100, lag=0.0)
        for name, facts in (("crm", FACTS), ("erp", plain))
    )
    policies = {"company": ASK, "contact": ASK}
    world = World(Landscape(specs, policies), store.engine, kept=kept)
    crm, erp = world.systems["crm"], world.systems["erp"]
    crm.create("contacts", code="p1", name="Ann")
    pull(world.hub, "crm", "contacts")
    erp.inject_faults(script=("lost",))
    with pytest.raises(UnavailableError):
        push(world.hub, "erp")
    company = erp.create("companies", code="c1")
    erp.edit("contacts", "1", company=company)
    later(world)
    push(world.hub, "erp")
    sync(world.hub)
    assert len(erp.records("contacts")) == len(crm.records("contacts")) == 1
    assert remember(world).entries == remember(world).quarantine_entries == {}
