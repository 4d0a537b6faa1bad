"""Merges, and other workers, while our own writes are in doubt."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from connectors.kit.errors import UnavailableError
from hub.store.engine import Store
from hub.store.golden import Golden
from hub.sync.ingest.pull import pull
from hub.sync.push.push import push
from hub.sync.run import sync
from tests.scenarios.landscape import Landscape, SystemSpec
from tests.scenarios.simulation import World
from tests.scenarios.two_sides import ASK, FACTS, later
from tests.scenarios.verdict import kept, remember

#: A variant that the quick suite leaves to the simulation tier.
MORE = partial(pytest.param, marks=pytest.mark.simulation)


@pytest.fixture
def made(fresh_store: Callable[[], Store]) -> Callable[..., World]:
    """Creates a CRM and an ERP that writes names in capitals; `facts` are the ERP's."""
    store = fresh_store()

    def make(*, page: int = 100, **facts: object) -> World:
        theirs = FACTS.model_copy(update=facts)
        specs = (
            SystemSpec("crm", {}, FACTS, offset=0.0, page=100, lag=0.0),
            SystemSpec("erp", {"name": "upper"}, theirs, offset=0.0, page=page, lag=0.0),
        )
        return World(Landscape(specs, {"company": ASK, "contact": ASK}), store.engine, kept=kept)

    return make


def living(world: World) -> list[Golden]:
    """Lets the world settle; returns the live golden records."""
    later(world)
    sync(world.hub)
    sync(world.hub)
    for system in world.systems.values():
        system.forget_writes()
    assert sync(world.hub).changed == 0
    assert [w for system in world.systems.values() for w in system.writes] == []
    memory = remember(world)
    assert memory.entries == memory.quarantine_entries == {}
    return [golden for golden in memory.golden.values() if golden.merged_into is None]


@pytest.mark.parametrize("page", [100, MORE(1)])
@pytest.mark.parametrize("once", [None, MORE("once")])
@pytest.mark.parametrize("deletions", ["pages", "sweep"])
def test_a_merge_into_a_create_in_doubt_is_one(
    made: Callable[..., World], page: int, once: str | None, deletions: str
) -> None:
    """What is merged into a record whose create is in doubt becomes one with it."""
    world = made(page=page, once=once, deletions=deletions)
    crm, erp = world.systems["crm"], world.systems["erp"]
    first = crm.create("companies", code="c1", name="Acme")
    sync(world.hub)
    crm.create("companies", code="c2", name="Acme Works", phone="2")
    pull(world.hub, "crm", "companies")
    erp.inject_faults(script=("row_lost",))
    push(world.hub, "erp")
    erp.inject_faults()
    erp.merge("companies", "1", into="2")
    later(world)
    (golden,) = living(world)
    assert (golden.values["code"], golden.values["name"]) == ("c2", "Acme Works")
    assert list(erp.records("companies")) == ["2"]
    assert {crm.get("companies", key)["name"] for key in (first, "2")} <= {"Acme", "Acme Works"}


@pytest.mark.parametrize("winner", [0, 1])
@pytest.mark.parametrize("once", [None, MORE("once")])
@pytest.mark.parametrize("pushed", [False, True])
def test_a_merge_during_a_create_adds_no_third(
    made: Callable[..., World], winner: int, once: str | None, pushed: bool
) -> None:
    """A merge while one of the two is being created elsewhere leaves no third entity."""
    world = made(once=once)
    crm, erp = world.systems["crm"], world.systems["erp"]
    keys = [crm.create("companies", code="c1", name="Acme")]
    sync(world.hub)
    keys.append(crm.create("companies", code="c2", name="Acme Works"))
    pull(world.hub, "crm", "companies")
    erp.inject_faults(script=("lost",))
    with pytest.raises(UnavailableError):
        push(world.hub, "erp")
    erp.inject_faults()
    crm.merge("companies", keys[1 - winner], into=keys[winner])
    later(world)
    pull(world.hub, "crm", "companies")
    if pushed:
        later(world, hours=1)
        push(world.hub, "erp")
    (golden,) = living(world)
    assert golden.values["name"] == ("Acme", "Acme Works")[winner]
    assert list(crm.records("companies")) == [keys[winner]]
    assert len(erp.records("companies")) == 2


@pytest.mark.parametrize("winner", [0, 1])
@pytest.mark.parametrize("once", [None, MORE("once")])
@pytest.mark.parametrize("page", [100, MORE(1)])
def test_two_creates_in_doubt_merged_are_one(
    made: Callable[..., World], winner: int, once: str | None, page: int
) -> None:
    """Two records whose creates are in doubt become one when they are merged."""
    world = made(once=once, page=page, batch=1)
    crm, erp = world.systems["crm"], world.systems["erp"]
    names = ("Acme", "Beta")
    keys = [crm.create("companies", code=name, name=name) for name in names]
    pull(world.hub, "crm", "companies")
    erp.inject_faults(script=("row_lost", "row_lost"))
    push(world.hub, "erp")
    erp.inject_faults()
    assert len(erp.records("companies")) == 2
    crm.merge("companies", keys[1 - winner], into=keys[winner])
    (golden,) = living(world)
    assert golden.values["name"] == names[winner]
    assert list(crm.records("companies")) == [keys[winner]]
    # There were two records before the merge: one is the primary.
    assert names[winner].upper() in [r["name"] for r in erp.records("companies").values()]
    links = [link for link in remember(world).links if link.connection == "erp"]
    assert {link.golden_id for link in links} == {golden.id}
    assert len(links) == 2
    assert [link.is_primary for link in links].count(True) == 1


@pytest.mark.parametrize("once", [None, MORE("once")])
@pytest.mark.parametrize("pulled", [False, True])
@pytest.mark.parametrize("seconds", [1, 30])
def test_the_survivor_needs_no_second_create(
    made: Callable[..., World], once: str | None, pulled: bool, seconds: int
) -> None:
    """A create in doubt is not repeated for the survivor it was merged into."""
    world = made(once=once)
    crm, erp = world.systems["crm"], world.systems["erp"]
    first = crm.create("companies", code="Acme", name="Acme")
    pull(world.hub, "crm", "companies")
    erp.inject_faults(script=("lost",))
    with pytest.raises(UnavailableError):
        push(world.hub, "erp")
    erp.inject_faults()
    second = crm.create("companies", code="Beta", name="Beta")
    if pulled:
        pull(world.hub, "crm", "companies")
    crm.merge("companies", first, into=second)
    # After a second the old entry still waits, and only that of the survivor is due.
    later(world, seconds=seconds)
    pull(world.hub, "crm", "companies")
    push(world.hub, "erp")
    later(world, hours=1)
    push(world.hub, "erp")
    (golden,) = living(world)
    assert golden.values["name"] == "Beta"
    assert [r["name"] for r in erp.records("companies").values()] == ["BETA"]


@pytest.mark.parametrize("page", [100, MORE(1)])
@pytest.mark.parametrize("deletions", ["pages", "sweep"])
@pytest.mark.parametrize("known", [False, True])
def test_an_update_in_doubt_is_no_merged_edit(
    made: Callable[..., World], page: int, deletions: str, known: bool
) -> None:
    """An update in doubt is not taken for an edit of the merged record."""
    world = made(page=page, deletions=deletions)
    crm, erp = world.systems["crm"], world.systems["erp"]
    key = crm.create("companies", code="c1")
    if known:
        erp.create("companies", code="c2")
    sync(world.hub)
    if not known:
        erp.create("companies", code="c2")
    crm.edit("companies", key, name="Acme")
    pull(world.hub, "crm", "companies")
    erp.inject_faults(script=("lost",))
    with pytest.raises(UnavailableError):
        push(world.hub, "erp")
    erp.inject_faults()
    ours = next(k for k, r in erp.records("companies").items() if r["code"] == "c1")
    other = next(k for k, r in erp.records("companies").items() if r["code"] == "c2")
    assert erp.get("companies", ours)["name"] == "ACME"
    third = erp.create("companies", erp.get("companies", ours))
    erp.merge("companies", other, into=third)
    erp.merge("companies", ours, into=third)
    assert "ACME" not in {golden.values.get("name") for golden in living(world)}
    assert crm.get("companies", key)["name"] == "Acme"


def test_a_match_during_a_create_is_secondary(
    made: Callable[..., World],
) -> None:
    """A record that another worker matches while we create one stays linked beside it."""
    world = made()
    crm, erp = world.systems["crm"], world.systems["erp"]
    erp.create("companies", code="c1", name="Acme")
    pull(world.hub, "erp", "companies")
    mine = crm.create("companies", code="c1", name="Acme")
    crm.hooks.before_write.append(lambda _stream: pull(world.colleague, "crm", "companies"))
    push(world.hub, "crm")
    crm.hooks.before_write.clear()
    (golden,) = living(world)
    links = [link for link in remember(world).links if link.connection == "crm"]
    assert {(link.golden_id, link.key == mine, link.is_primary) for link in links} == {
        (golden.id, True, True),
        (golden.id, False, False),
    }


@pytest.mark.parametrize("page", [100, MORE(1)])
@pytest.mark.parametrize("deletions", ["pages", "sweep"])
def test_a_survivor_read_first_is_no_new_entity(
    made: Callable[..., World], page: int, deletions: str
) -> None:
    """A survivor that is read before its merge is processed is no new entity."""
    world = made(page=page, deletions=deletions)
    crm, erp = world.systems["crm"], world.systems["erp"]
    key = crm.create("companies", code="c1", name="Acme")
    sync(world.hub)
    crm.edit("companies", key, name="Beta")
    erp.merge("companies", "1", into=erp.create("companies", erp.get("companies", "1")))
    later(world)
    (golden,) = living(world)
    assert golden.values["name"] == "Beta"
    # Where only a sweep reports merges, it was an entity for a while.
    assert len(remember(world).golden) == (1 if deletions == "pages" else 2)
