"""The metrics of a new hub: every series that can appear exists, at zero."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families as families

from connectors.memory.connector import MemoryConnector
from connectors.memory.system import MemorySystem
from hub.flows.settings import FlowSettings
from hub.store.engine import Store
from hub.sync.context import Connection, Hub
from hub.web.receivers import create_app
from hub.web.webhooks import ReceiverConfig

STREAMS = {"crm": ("companies", "deals"), "erp": ("parties",)}


@pytest.fixture
def hub(fresh_store: Callable[[], Store]) -> Hub:
    connector = MemoryConnector.of(MemorySystem("any"), webhook_secret="s")
    made = {
        name: Connection(
            name, "memory", name, connector, {s: _channel(name, s, connector) for s in streams}
        )
        for name, streams in STREAMS.items()
    }
    return Hub(fresh_store(), made, {}, {}, FlowSettings())


def _channel(name: str, stream: str, connector: Any) -> Any:
    return SimpleNamespace(connection=name, stream=stream, connector=connector)


async def _scrape(hub: Hub) -> dict[str, dict[tuple[str, ...], float]]:
    connectors = {name: one.connector for name, one in hub.connections.items()}
    transport = httpx.ASGITransport(create_app(hub, ReceiverConfig(connectors, frozenset({"crm"}))))
    async with httpx.AsyncClient(transport=transport, base_url="http://hub") as http:
        text = (await http.get("/metrics")).text
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in families(text):
        for sample in family.samples:
            if not sample.name.endswith("_created"):  # when a counter began
                found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


def scrape(hub: Hub) -> dict[str, dict[tuple[str, ...], float]]:
    """Returns metric -> values of its labels, in the order of their names -> figure."""
    import asyncio

    return asyncio.run(_scrape(hub))


def test_a_fresh_hub_lists_all_series(hub: Hub) -> None:
    found = scrape(hub)
    assert {value for series in found.values() for value in series.values()} == {0.0}
    ends = ("running", "done", "failed", "paused", "stopped", "inconsistent")
    streams = [(c, s) for c, names in STREAMS.items() for s in names]
    runs = {(c, k, e, s) for c, s in streams for k in ("pull", "sweep") for e in ends}
    runs |= {(c, "inbox", e, s) for c, s in streams for e in ("done", "paused", "inconsistent")}
    runs |= {(c, "push", "paused", s) for c, s in streams}
    runs |= {(c, "push", "done", "") for c in STREAMS}
    assert set(found["tulay_runs_1d"]) == runs
    whats = ("seen", "changed", "written", "quarantined")
    assert set(found["tulay_run_records_1d"]) == {
        (c, k, s, w) for c, k, _, s in runs for w in whats
    }
    states = ("due", "in_flight", "waiting", "held")
    assert set(found["tulay_outbox"]) == {(c, s) for c in STREAMS for s in states}
    of_connections = ("inbox", "conflicts", "reviews", "calls_today", "quota_used_ratio")
    for name in of_connections:
        assert set(found[f"tulay_{name}"]) == {("crm",), ("erp",)}, name
    sources = [("pull", "crm"), ("pull", "erp"), ("flow", "won_deal_to_order"), ("flow", "chain")]
    letters = {(*source, state) for source in sources for state in ("waiting", "held")}
    assert set(found["tulay_letters"]) == letters
    assert found["tulay_derivations"] == {(): 0.0}
    assert set(found["tulay_stream_read"]) == set(streams)
    results = "stored|not stored|forged|slow|too large|not JSON|not as promised|disconnected"
    expected = {("crm", result) for result in results.split("|")}
    expected |= {("erp", "no webhooks"), ("unknown", "unknown")}
    assert set(found["tulay_webhooks_total"]) == expected


def test_a_stream_never_read_has_no_age(hub: Hub) -> None:
    """An age of zero would mean that it was read just now."""
    from hub.store.streams import save_stream

    with hub.store.begin() as tx:
        save_stream(tx, "crm", "deals", read_at=hub.clock())
    found = scrape(hub)
    assert set(found["tulay_stream_age_seconds"]) == {("crm", "deals")}
    assert found["tulay_stream_read"][("crm", "deals")] == 1
    assert found["tulay_stream_read"][("erp", "parties")] == 0
