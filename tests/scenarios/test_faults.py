"""The hub survives every fault of the registry: nothing is lost or duplicated, all agree.

Each fault strikes at a high rate while both systems are edited, on the HubSpot twin over real HTTP
and on a memory system; then it ends, and everything must be right within a few runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from connectors.hubspot.twin.data_faults import KNOWN as HUBSPOT
from connectors.kit.faults import FAULTS
from connectors.kit.twin import LINE
from connectors.memory.faults import KNOWN as MEMORY
from hub.store.engine import Store
from hub.store.golden import golden_by_entity
from hub.sync.run import sync
from tests.scenarios.faulty_systems import HubSpotSide, MemorySide, Stage

#: How often a fault strikes here; the steady ones are on.
RATE = 0.3
#: Faults with their own scenarios below, or in test_webhook_faults.py.
APART = {"refused", "token", "rotated", "duplicated", "reordered", "delayed", "dropped", "slow"}
SIDES = {"hubspot": (HubSpotSide, HUBSPOT), "memory": (MemorySide, MEMORY)}
#: The quick suite lets all strike together and leaves each alone to the simulation tier.
CASES = [
    pytest.param(side, fault, marks=pytest.mark.simulation)
    for side, (_, known) in SIDES.items()
    for fault in FAULTS
    if fault in known - APART
]


@pytest.fixture
def stage(fresh_store: Callable[[], Store]) -> Iterator[Callable[..., Stage]]:
    opened: list[Stage] = []

    def make(side: Callable[..., Any], **policy: Any) -> Stage:
        opened.append(Stage(fresh_store(), side, policy or None))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


def text_of(fault: str) -> str:
    return fault if FAULTS[fault].steady else f"{fault}:{RATE}"


@pytest.mark.parametrize(("side", "fault"), CASES)
def test_a_fault_only_costs_time(stage: Callable[..., Stage], side: str, fault: str) -> None:
    world = stage(SIDES[side][0])
    world.crm.inject_faults(text_of(fault), seed=11)
    world.populate()
    world.rounds(2)
    # Users of both systems edit new and known customers.
    newcomers = [world.crm.create(f"New {n}", f"newcrm{n}.example") for n in range(3)]
    for n in range(3):
        world.erp.create("parties", title=f"Joined {n}", website=f"newerp{n}.example")
    world.crm.rename(world.crm_key("crm0.example"), "Renamed by the CRM")
    world.erp.edit("parties", world.erp_key("erp1.example"), title="Renamed by the ERP")
    world.rounds(1)
    world.crm.rename(newcomers[0], "New and renamed")
    world.crm.put_city(world.crm_key("crm2.example"), "Hamburg")
    world.rounds(2)
    if side == "hubspot" and fault in LINE:
        assert LINE[fault][0] in world.crm.struck()
    world.settle()

    at_crm, at_erp = world.names()
    domains = {f"{end}{n}.example" for end in ("crm", "erp") for n in range(6)}
    domains |= {f"new{end}{n}.example" for end in ("crm", "erp") for n in range(3)}
    assert set(at_crm) == set(at_erp) == domains
    assert [d for d in domains if len(at_crm[d]) > 1 or len(at_erp[d]) > 1] == [], "twice"
    assert {d: at_erp[d] for d in domains} == at_crm
    assert at_erp["crm0.example"] == ["Renamed by the CRM"]
    assert at_crm["erp1.example"] == ["Renamed by the ERP"]
    assert at_erp["newcrm0.example"] == ["New and renamed"]
    city = world.erp.get("parties", world.erp_key("crm2.example"))["address"]["town"]
    assert city == ("HAMBURG" if fault == "shouted" else "Hamburg")
    world.in_sync()
    assert world.held_writes() == []


SIDES_ONLY = pytest.mark.parametrize("side", SIDES)


@SIDES_ONLY
@pytest.mark.parametrize("seed", [1, 2])
def test_all_faults_together_only_cost_time(
    stage: Callable[..., Stage], side: str, seed: int
) -> None:
    world = stage(SIDES[side][0])
    known = SIDES[side][1] - {"refused", "slow", "timeout"}
    world.crm.inject_faults(",".join(sorted(known)), seed=seed)
    world.populate()
    world.crm.rename(world.crm_key("crm0.example"), "Renamed by the CRM")
    world.erp.edit("parties", world.erp_key("erp1.example"), title="Renamed by the ERP")
    world.rounds(4)
    world.settle()
    at_crm, at_erp = world.names()
    assert at_crm == at_erp
    assert len(at_crm) == 12
    assert {len(names) for names in at_crm.values()} == {1}
    assert at_erp["crm0.example"] == ["Renamed by the CRM"]
    assert at_crm["erp1.example"] == ["Renamed by the ERP"]
    world.in_sync()


@SIDES_ONLY
def test_a_lost_create_is_found_despite_lag(stage: Callable[..., Stage], side: str) -> None:
    """A create without an answer is found although the search index lags behind."""
    world = stage(SIDES[side][0])
    world.populate(1)
    for n in range(4):
        world.erp.create("parties", title=f"Joined {n}", website=f"newerp{n}.example")
    world.crm.inject_faults("lost:1,lag", seed=1)
    assert "crm" in world.sync().failed
    world.crm.inject_faults("lag")
    report = sync(world.hub)  # at once: search finds nothing yet
    assert report.failed == {}
    assert len(world.crm.rows()) == 6
    world.settle()
    assert len(world.crm.rows()) == 6


@SIDES_ONLY
def test_edits_and_deletions_between_pages_arrive(stage: Callable[..., Stage], side: str) -> None:
    """Users edit and delete records while pages are read; nothing is missed."""
    world = stage(SIDES[side][0], delete="propagate")
    for n in range(12):
        world.crm.create(f"Crm {n}", f"crm{n}.example")
    left = {f"crm{n}.example" for n in range(12)}
    todo = ["delete", "rename", "rename", "delete", "rename"]

    def act(_stream: str) -> None:
        if not todo:
            return
        # The first of the list disappears or changes: all behind it move up.
        what, domain = todo.pop(0), min(left)
        if what == "delete":
            world.crm.delete(world.crm_key(domain))
            left.discard(domain)
        else:
            world.crm.rename(world.crm_key(domain), f"Renamed {len(todo)}")

    world.crm.between_pages(act)
    world.rounds(1)
    for domain in sorted(left):
        world.crm.rename(world.crm_key(domain), f"Again {domain}")
    todo += ["rename", "delete", "rename", "delete"]
    world.rounds(1)
    world.settle()
    assert todo == []
    at_crm, at_erp = world.names()
    assert set(at_crm) == set(at_erp) == left
    assert at_crm == at_erp
    world.in_sync()


@SIDES_ONLY
@pytest.mark.parametrize("notified", [False, True])
def test_a_merge_that_makes_a_third_record(
    stage: Callable[..., Stage], side: str, notified: bool
) -> None:
    world = stage(SIDES[side][0])
    world.crm.inject_faults("merged")
    world.populate(2)
    before = set(world.crm.rows())
    one, other = world.crm_key("crm0.example"), world.crm_key("crm1.example")
    world.crm.rename(one, "Renamed right before")
    if notified:
        world.sync()
    third = world.crm.merge(other, into=one)
    assert third not in before
    assert set(world.crm.rows()) == before - {one, other} | {third}
    world.settle()
    with world.store.read() as tx:
        living = golden_by_entity(tx, "company")
    assert len(living) == 3
    world.crm.rename(third, "The third")
    world.settle()
    titles = [p["title"] for p in world.erp.records("parties").values()]
    assert titles.count("The third") == 1
    assert len(world.crm.rows()) == 3, "the merged ones were not made again"
    world.erp.edit(
        "parties",
        next(k for k, p in world.erp.records("parties").items() if p["title"] == "The third"),
        title="Back again",
    )
    world.settle()
    assert world.crm.rows()[third]["name"] == "Back again"
    world.in_sync()


@SIDES_ONLY
def test_a_refused_value_stops_only_its_record(stage: Callable[..., Stage], side: str) -> None:
    world = stage(SIDES[side][0])
    world.populate(1)
    keys = [
        world.erp.create("parties", title=f"Joined {n}", website=f"newerp{n}.example")
        for n in range(8)
    ]
    world.crm.inject_faults("refused:0.2", seed=3)
    world.rounds(1)
    refused = world.held_writes()
    assert 0 < len(refused) < 8
    assert {one.error for one in refused} == {"RecordRejectedError"}
    assert all("Joined" not in one.reason for one in refused), "no values in reasons"
    assert len(world.crm.rows()) == 2 + 8 - len(refused)
    written = world.crm.written()
    world.rounds(2)
    # What the record lacked may have been added: retried once per sync, not endlessly.
    assert world.crm.written() <= written + 2
    world.crm.inject_faults()
    for n, key in enumerate(keys):
        world.erp.edit("parties", key, title=f"Corrected {n}")
    world.settle()
    at_crm, at_erp = world.names()
    assert at_crm == at_erp
    assert len(at_crm) == 10
    assert world.held_writes() == []


def oauth(clock: Any) -> HubSpotSide:
    return HubSpotSide(
        clock,
        client_id="twin-client",
        client_secret="twin-client-secret",
        refresh_token="twin-refresh",
    )


@pytest.mark.parametrize("faults", ["token:0.3", "rotated:0.5", "token:0.2,rotated:0.3"])
def test_tokens_that_expire_early_are_renewed(stage: Callable[..., Stage], faults: str) -> None:
    """Tokens that expire early and rotate are renewed."""
    world = stage(oauth)
    world.crm.inject_faults(faults, seed=5)
    world.populate()
    world.rounds(3)
    world.crm.rename(world.crm_key("crm0.example"), "Renamed by the CRM")
    world.rounds(2)
    grants = world.crm.twin.log.entries("POST /oauth/*")
    assert len(grants) > 1
    if "rotated" in faults:
        assert {"lost", "truncated"} & world.crm.struck()
    world.settle()
    at_crm, at_erp = world.names()
    assert at_crm == at_erp
    assert len(at_crm) == 12


def test_a_lost_refresh_token_needs_a_person(
    stage: Callable[..., Stage],
) -> None:
    """When a rotated token is lost for good, the connection waits for a person."""
    world = stage(oauth)
    twin = world.crm.twin
    twin.tokens.rotate = True
    twin.faults.add("lost", "POST /oauth/*", times=1)
    world.crm.create("Acme", "acme.example")
    report = world.sync()
    assert "authorise the app again" in report.paused["crm"]
    assert twin.tokens.refresh not in report.paused["crm"]
