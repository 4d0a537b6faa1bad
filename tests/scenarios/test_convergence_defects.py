"""What schedules drawn at random have found, told one by one."""

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
from tests.scenarios.landscape import Landscape, Place
from tests.scenarios.simulation import World
from tests.scenarios.two_sides import ASK, FACTS, later, two_sides
from tests.scenarios.verdict import kept, remember
from tests.scenarios.wide_landscape import WideLandscape, WidePlace
from tests.scenarios.wide_world import WideWorld


@pytest.fixture
def world(fresh_store: Callable[[], Store]) -> World:
    """A CRM and an ERP that writes names in capitals; every conflict is asked about."""
    return two_sides(fresh_store())


def test_an_update_whose_answer_was_lost_is_not_taken_for_a_persons_words(world: World) -> None:
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


def test_what_is_typed_into_a_record_deleted_elsewhere_stays_in_history(world: World) -> None:
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


def test_deletions_before_everything_was_read_anew_are_found(world: World) -> None:
    crm = world.systems["crm"]
    key = crm.create("companies", code="c1", name="Acme")
    sync(world.hub)
    later(world)
    crm.delete("companies", key)
    crm.expire_cursors()
    sync(world.hub)
    assert [n.connection for n in remember(world).links if n.gone_at is not None] == ["crm"]


def test_a_late_page_does_not_bring_back_what_was_gone_before_it_was_known(world: World) -> None:
    crm = world.systems["crm"]
    key = crm.create("companies", code="c1", name="Acme")
    page = next(iter(MemoryConnector.of(crm).pages("companies", None)))
    crm.delete("companies", key)
    receive(world.hub, "crm", [Notification("companies", key, "e1")])
    process_inbox(world.hub, "crm")
    _arrives_late(world, page)
    sync(world.hub)
    assert world.systems["erp"].records("companies") == {}


def test_a_late_page_does_not_make_a_second_thing_of_a_merged_record(world: World) -> None:
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


def test_a_record_we_made_and_merged_before_we_heard_of_it_is_no_third_thing(world: World) -> None:
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


def test_nothing_is_written_over_words_that_could_not_be_taken_in_yet(world: World) -> None:
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


def test_a_field_blanked_in_a_record_that_we_just_made_is_filled_again(world: World) -> None:
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


def test_what_a_sweep_has_missed_is_looked_at_before_it_counts_as_deleted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
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


def test_dying_before_a_page_is_stored_leaves_the_cursor_where_it_was(world: World) -> None:
    crm = world.systems["crm"]
    crm.create("companies", code="c1", name="Acme")
    sync(world.hub)
    later(world)
    crm.edit("companies", "1", name="Beta")
    later(world)
    for point in range(12):  # whichever commit it is before or after
        world.life.expect(point, None)
        try:
            pull(world.hub, "crm", "companies")
        except KilledError:
            world.life, world.hub = world.process()
        world.life.expect(None, None)
        later(world, minutes=11)
    pull(world.hub, "crm", "companies")
    with world.hub.store.read() as tx:
        assert stream_state(tx, "crm", "companies").cursor is not None
    assert "Beta" in kept(world)


def test_an_old_page_does_not_overwrite_newer_words(world: World) -> None:
    crm = world.systems["crm"]
    key = crm.create("companies", code="c1", name="Acme")
    page = next(iter(MemoryConnector.of(crm).pages("companies", None)))
    crm.edit("companies", key, name="Beta")
    sync(world.hub)
    _arrives_late(world, page)
    with world.hub.store.read():
        values = [golden.values["name"] for golden in remember(world).golden.values()]
    assert values == ["Beta"]


def test_a_system_that_rewrites_what_it_is_given_causes_no_ping_pong(world: World) -> None:
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


def test_a_wish_renewed_while_it_is_fulfilled_is_fulfilled_again(world: World) -> None:
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


def test_a_system_whose_clock_is_slow_is_heard(world: World) -> None:
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


def test_a_lost_create_without_a_hub_id_is_not_taken_for_a_strangers_spelling(
    fresh_store: Callable[[], Store],
) -> None:
    store = fresh_store()
    plain = FACTS.model_copy(update={"once": None})
    places = (
        Place("crm", {}, FACTS, offset=0.0, page=100, lag=0.0),
        Place("erp", {"name": "upper", "price": "round:0"}, plain, offset=0.0, page=100, lag=0.0),
    )
    policies = {
        "company": EntityPolicy({"": FieldPolicy(on_first_match="erp")}, ASK.create),
        "contact": ASK,
    }
    world = World(Landscape(places, policies), store.engine, kept=kept)
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
    """Two systems that also have orders; companies show figures of them."""
    store = fresh_store()
    places = tuple(
        WidePlace(name, {}, FACTS, offset=0.0, page=100, lag=0.0) for name in ("crm", "erp")
    )
    figures = FieldPolicy(owners=frozenset(), when_blank="write")
    policy = EntityPolicy({"figures": figures}, ASK.create, delete="propagate")
    policies = dict.fromkeys(("company", "contact", "sales_order"), policy)
    return WideWorld(WideLandscape(places, policies), store.engine, kept=kept)


def _figures(world: World) -> dict[str, object]:
    later(world)
    sync(world.hub)
    later(world)
    assert sync(world.hub).changed == 0
    companies = world.systems["erp"].records("companies").values()
    return {c["code"]: c["figures"].get("last_order") for c in companies}


def test_the_figures_of_a_company_follow_an_order_that_moves_away(wide: WideWorld) -> None:
    crm = wide.systems["crm"]
    first, second = (crm.create("companies", code=code) for code in ("c1", "c2"))
    order = crm.create("orders", code="o1", company=first)
    crm.create("orders", code="o2", company=second)
    assert _figures(wide) == {"c1": "o1", "c2": "o2"}
    crm.edit("orders", order, company=second)
    crm.edit("orders", order, code="o9")
    assert _figures(wide) == {"c1": None, "c2": "o9"}


def test_the_figures_of_a_company_forget_a_deleted_order(wide: WideWorld) -> None:
    crm = wide.systems["crm"]
    company = crm.create("companies", code="c1")
    crm.create("orders", code="o1", company=company)
    last = crm.create("orders", code="o2", company=company)
    assert _figures(wide) == {"c1": "o2"}
    crm.delete("orders", last)
    assert _figures(wide) == {"c1": "o1"}


def test_a_step_is_taken_although_words_were_typed_and_taken_back(wide: WideWorld) -> None:
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


def test_what_a_third_value_overrules_stays_in_history(world: World) -> None:
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


def test_a_third_record_made_of_two_does_not_bring_a_spelling_to_the_others(world: World) -> None:
    crm, erp = world.systems["crm"], world.systems["erp"]
    first = crm.create("companies", code="c1", name="Acme")
    second = crm.create("companies", code="c2", name="Acme Works")
    sync(world.hub)
    third = erp.create("companies", erp.get("companies", "1"))
    later(world)
    pull(world.hub, "erp", "companies")  # before anybody tells that it comes from the others
    erp.merge("companies", "1", into=third)
    erp.merge("companies", "2", into=third)
    later(world)
    sync(world.hub)
    assert {crm.get("companies", key)["name"] for key in (first, second)} <= {"Acme", "Acme Works"}
    (living,) = [g for g in remember(world).golden.values() if g.merged_into is None]
    assert living.values["name"] == "Acme"
    assert erp.get("companies", third)["name"] == "ACME"


def test_a_late_page_with_a_last_edit_does_not_bring_a_deleted_record_back(world: World) -> None:
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


def test_what_we_made_is_not_made_again_while_it_waits_for_its_new_parent(
    fresh_store: Callable[[], Store],
) -> None:
    store = fresh_store()
    plain = FACTS.model_copy(update={"once": None})
    places = tuple(
        Place(name, {}, facts, offset=0.0, page=100, lag=0.0)
        for name, facts in (("crm", FACTS), ("erp", plain))
    )
    policies = {"company": ASK, "contact": ASK}
    world = World(Landscape(places, policies), store.engine, kept=kept)
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
    assert remember(world).entries == remember(world).letters == {}
