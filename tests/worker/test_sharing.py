"""What workers share of a connection: lanes, and never a call inside a transaction."""

from __future__ import annotations

from datetime import UTC, datetime
from threading import Event
from typing import Any

import pytest
from sqlalchemy import text

from connectors.memory.connector import MemoryConnector
from hub.store.rate_limits import usage
from hub.sync.due import Work
from hub.sync.ingest.sweep import sweep
from hub.sync.operate.reconcile import reconcile
from hub.sync.run import sync
from worker.execute import perform
from worker.jobs import job_context, run


@pytest.mark.parametrize("slow", [True, False])
@pytest.mark.parametrize("by", ["itself", "rq"])
def test_slow_work_calls_in_the_lane_of_bulk_work(shop: Any, slow: bool, by: str) -> None:
    shop.crm.create("companies", name="First")
    hub = shop.hub()
    if by == "itself":
        assert perform(hub, Work("pull", "crm", "companies", slow=slow), Event())
    else:
        job_context.hub, job_context.stop = hub, Event()
        run("pull", "crm", "companies", slow)
        job_context.hub = job_context.stop = None
    with hub.store.read() as tx:
        (blocks,) = tx.execute(text("SELECT blocks FROM rate_limits")).scalars()
    assert f'"default",{str(slow).lower()},' in blocks
    assert f'"default",{str(not slow).lower()},' not in blocks
    hub.close()


def test_unused_reservations_are_released(shop: Any) -> None:
    """Calls are counted, and reservations that were not used are released."""
    shop.crm.create("companies", name="First")
    hub = shop.hub()
    sync(hub)
    made = {name: one.connector.system.calls for name, one in hub.connections.items()}  # type: ignore[attr-defined]
    hub.close()
    again = shop.hub()
    with again.store.read() as tx:
        counted = {name: used for name, (used, _) in usage(tx, now=datetime.now(UTC)).items()}
    again.close()
    assert counted == made
    assert all(made.values())


def test_no_call_is_made_inside_a_transaction(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """On SQLite there is one writer: whoever waits for a system with it stops everybody."""
    hub = shop.hub()
    held: list[bool] = []
    call = MemoryConnector._call

    def watched(self: MemoryConnector) -> None:
        held.append(hub.store.writing)
        call(self)

    monkeypatch.setattr(MemoryConnector, "_call", watched)
    keys = [shop.crm.create("companies", name=f"Company {number}") for number in range(3)]
    sync(hub)
    shop.crm.edit("companies", keys[0], name="Renamed")
    shop.crm.delete("companies", keys[1])
    sync(hub)
    for name in hub.connections:
        sweep(hub, name, "companies")
    reconcile(hub)
    hub.close()
    assert len(held) > 10
    assert not any(held)
