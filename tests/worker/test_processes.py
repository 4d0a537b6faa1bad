"""Real processes: served, killed, ended in order."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from connectors.memory.webhooks import delivery
from hub.store import leases
from hub.store.streams import lease_stream
from tests.worker.fork_client import ForkServer, children
from tests.worker.installation import Installation


def runs(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


def ask(shop: Any, path: str) -> int:
    try:
        return httpx.get(f"http://127.0.0.1:{shop.port}{path}").status_code
    except httpx.TransportError:
        return 0


def deliver(shop: Any, key: str) -> int:
    made = delivery([("companies", key)], secret="open sesame", at=datetime.now(UTC))
    return httpx.post(
        f"http://127.0.0.1:{shop.port}/webhooks/crm",
        content=made.body,
        headers={**made.headers, "content-type": "application/json"},
    ).status_code


def test_serve_survives_kills_and_ends_in_order(shop: Any) -> None:
    """`serve` keeps both systems in sync through kills, and ends in order."""
    shop.write(pull="1h")  # from now on, only webhooks report changes
    shop.crm.create("companies", name="First")
    served = shop.run("serve")
    shop.until(lambda: shop.names(shop.erp) == {"First"})
    shop.until(lambda: ask(shop, "/readyz") == 200)

    key = shop.crm.create("companies", name="Second")
    assert deliver(shop, key) == 202
    shop.until(lambda: "Second" in shop.names(shop.erp))

    before = children(served.pid)
    assert set(before) == {"web", "worker"}
    os.kill(before["worker"], signal.SIGKILL)
    os.kill(before["web"], signal.SIGKILL)
    key = shop.crm.create("companies", name="Third")
    shop.until(lambda: ask(shop, "/healthz") == 200)
    assert deliver(shop, key) == 202
    shop.until(lambda: "Third" in shop.names(shop.erp))
    after = children(served.pid)
    assert set(after) == {"web", "worker"}
    assert set(after.values()).isdisjoint(before.values())

    served.send_signal(signal.SIGTERM)
    assert served.wait(timeout=60) == 0, shop.log()
    assert not any(runs(pid) for pid in after.values())
    made = [str(one["name"]) for one in shop.erp.records("companies").values()]
    assert sorted(made) == ["First", "Second", "Third"]
    hub = shop.hub()
    with hub.store.read() as tx:
        assert leases.holders(tx) == set()
    hub.close()
    assert "Second" not in shop.log()


def test_children_end_with_a_killed_parent(shop: Any) -> None:
    """Child processes end with a killed parent, and the next start takes over."""
    shop.write(page=1)
    for number in range(30):
        shop.crm.create("companies", name=f"Company {number}")
    served = shop.run("serve")
    shop.until(lambda: len(children(served.pid)) == 2)
    shop.until(lambda: (shop.folder / "tulay.db").exists())
    own = children(served.pid)
    for pid in (own["worker"], served.pid):
        os.kill(pid, signal.SIGKILL)
    served.wait()
    shop.until(lambda: not any(runs(pid) for pid in own.values()))
    again = shop.run("serve")
    shop.until(lambda: len(shop.names(shop.erp)) == 30)
    again.send_signal(signal.SIGINT)
    assert again.wait(timeout=60) == 0, shop.log()
    assert len(shop.erp.records("companies")) == 30


def test_a_worker_killed_in_a_read_is_replaced(installation: Installation) -> None:
    """A worker killed in the middle of a read is replaced at once."""
    installation.settle(30, known=3)
    worker = installation.fork("worker", dies_at="pull._store_page: committed")
    installation.until(lambda: worker.poll() is not None)
    states = "SELECT DISTINCT state FROM runs ORDER BY state"
    assert [row.state for row in installation.rows(states)] == ["running"]
    installation.fork("worker")
    installation.until(lambda: installation.quiet)
    installation.end()
    assert [row.state for row in installation.rows(states)] == ["done", "stopped"]
    installation.settled()


def test_a_killed_workers_leases_are_free_at_once(shop: Any, fork_server: ForkServer) -> None:
    hub = shop.hub()
    host, pid = hub.worker.rpartition(":")[0].rpartition(":")[0], 2**22 - 3
    with hub.store.begin() as tx:
        lease_stream(tx, "crm", "companies", worker=f"{host}:{pid}:1", now=hub.clock())
    hub.close()
    shop.crm.create("companies", name="ACME")
    shop.fork(fork_server, "worker")
    shop.until(lambda: shop.names(shop.erp) == {"ACME"})


def test_receivers_need_no_redis(shops: Callable[..., Any], fork_server: ForkServer) -> None:
    shop = shops(redis_url="redis://127.0.0.1:1/0")
    key = shop.crm.create("companies", name="ACME")
    web = shop.fork(fork_server, "web")
    shop.until(lambda: ask(shop, "/readyz") == 200)
    assert deliver(shop, key) == 202
    web.send_signal(signal.SIGTERM)
    assert web.wait(timeout=30) == 0, shop.log()


def test_a_scheduler_needs_redis_to_start(shop: Any) -> None:
    process = shop.run("scheduler")
    assert process.wait(timeout=60) != 0
    assert "redis_url" in shop.log()
    assert "Traceback" not in shop.log()
