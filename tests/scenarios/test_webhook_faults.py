"""Webhooks that arrive twice, late, in another order or never cost time, never data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from connectors.kit import faults
from connectors.kit.contract import Request
from connectors.kit.twin import Server
from hub.store import outbox
from hub.store.engine import Store
from hub.sync.ingest.inbox import process_inbox
from hub.sync.ingest.webhooks import receive
from hub.sync.push.push import push
from hub.web.receivers import create_app
from hub.web.webhooks import ReceiverConfig
from tests.scenarios.faulty_systems import SECRET, HubSpotSide, MemorySide, Stage

POST = ["duplicated", "reordered", "delayed", "dropped"]


@pytest.fixture
def hubspot(
    fresh_store: Callable[[], Store], monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Stage, Callable[[], None]]]:
    """The twin delivers to the real receiver, over HTTP."""
    monkeypatch.setattr(faults, "DELAY", 0.3)  # real seconds
    world = Stage(fresh_store(), HubSpotSide)
    connectors = {"crm": world.hub.connection("crm").connector}
    receiver = Server(create_app(world.hub, ReceiverConfig(connectors, frozenset({"crm"})))).start()
    twin = world.crm.twin
    twin.webhooks.retries = (0.01, 0.02)
    events = ["company.creation", "company.deletion", "company.merge", "company.restore"]
    twin.subscribe(f"{receiver.url}/webhooks/crm", *events, "company.propertyChange:name")
    yield world, twin.webhooks.flush
    twin.webhooks.stop()
    receiver.stop()
    world.close()


@pytest.fixture
def memory(fresh_store: Callable[[], Store]) -> Iterator[tuple[Stage, Callable[[], None]]]:
    """Deliveries of the memory system are verified and received."""
    world = Stage(fresh_store(), MemorySide)
    world.crm.system.events.subscribe()
    connector = world.hub.connection("crm").connector

    def deliver() -> None:
        world.clock.later(seconds=5)
        deliveries: list[Request] = list(world.crm.system.events.deliveries(secret=SECRET, size=2))
        for request in deliveries:
            assert connector.verify(request)
            receive(world.hub, "crm", connector.notifications(request.body))

    yield world, deliver
    world.close()


@pytest.mark.parametrize("side", ["hubspot", "memory"])
@pytest.mark.parametrize("fault", POST)
def test_webhooks_in_any_condition(request: Any, side: str, fault: str) -> None:
    world, deliver = request.getfixturevalue(side)
    world.populate(4)
    one, other = world.crm_key("crm0.example"), world.crm_key("crm1.example")
    world.crm.inject_faults(f"{fault}:{1 if fault == 'duplicated' else 0.6},merged", seed=4)
    for number in range(6):
        world.crm.rename(one, f"Name {number}")
    world.crm.rename(other, "Other")
    world.crm.create("Newcomer", "newcomer.example")
    third = world.crm.merge(world.crm_key("crm2.example"), into=world.crm_key("crm3.example"))
    deliver()
    process_inbox(world.hub, "crm")
    push(world.hub, "erp")
    with world.store.read() as tx:
        assert ("crm", "inbox") not in outbox.backlog(tx)
    _, at_erp = world.names()
    if fault != "dropped":
        assert at_erp["crm0.example"] == ["Name 5"]
        assert at_erp["newcomer.example"] == ["Newcomer"]
    # The schedule brings the rest: losing all of them costs time, never data.
    world.crm.rename(third, "The third")
    deliver()
    world.settle()
    at_crm, at_erp = world.names()
    assert at_crm["crm0.example"] == at_erp["crm0.example"] == ["Name 5"]
    assert at_crm["crm1.example"] == at_erp["crm1.example"] == ["Other"]
    assert at_crm["newcomer.example"] == at_erp["newcomer.example"] == ["Newcomer"]
    assert sum(names.count("The third") for names in at_erp.values()) == 1
    assert len(world.crm.rows()) == 8
    world.in_sync()
