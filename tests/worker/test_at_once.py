"""Two of everything: receivers, workers, whole installations; and stops in the middle of work."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx

from connectors.memory.system import Written
from tests.worker.fork_client import children
from tests.worker.installation import Installation
from tests.worker.ports import free_port

Towns = Callable[..., Installation]


def test_two_receivers_store_a_delivery_once(either: Installation) -> None:
    """The same delivery to two receivers is one row and one fetch."""
    town = either
    town.settle(3, known=1)
    town.pull = "1h"  # after the first read, only webhooks report changes
    town.write()
    if town.redis_url is not None:
        town.fork("scheduler")
    worker = town.fork("worker")
    town.until(lambda: town.quiet)
    town.end(worker)
    ports = (town.port, free_port())
    for port in ports:
        town.port = port
        town.write()
        town.fork("web")
        town.until(lambda: town.ask("/readyz") == 200)
    town.crm.edit("companies", "1", industry="Bamboo")

    def deliver(number: int) -> int:
        made = town.letter("companies", "1", event="the same")
        url = f"http://127.0.0.1:{ports[number % 2]}/webhooks/crm"
        return httpx.post(url, content=made.body, headers=dict(made.headers)).status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(deliver, range(16))) == {202}
    assert [tuple(row) for row in town.rows("SELECT count(*) FROM inbox")] == [(1,)]
    for system in town.systems.values():
        system.forget_writes()
    town.fork("worker")
    town.until(lambda: town.quiet)
    (looks,) = town.rows("SELECT sum(seen) FROM runs WHERE kind = 'inbox'")
    assert looks[0] == 1
    assert town.erp.writes == [Written("companies", "1", "update")]
    town.end()
    town.settled()


def test_two_workers_on_one_record(either: Installation) -> None:
    town = either
    town.settle(1, known=0)
    town.erp.inject_faults(slow=0.3)
    roles = ["worker"] * 3 + (["scheduler"] if town.redis_url is not None else [])
    for role in roles:
        town.fork(role)
    town.until(lambda: town.quiet)
    for number in range(2):
        town.crm.edit("companies", "1", industry=f"A{number}")
        town.erp.edit("companies", "1", city=f"B{number}")
        town.until(lambda: town.quiet)
    assert len(town.erp.records("companies")) == len(town.crm.records("companies")) == 1
    town.erp.inject_faults()
    town.end()
    town.settled()


def test_sigterm_in_a_batch_ends_in_order(either: Installation) -> None:
    town = either
    town.settle(110, known=0)
    town.erp.inject_faults(slow=1)
    if town.redis_url is not None:
        town.fork("scheduler")
    worker = town.fork("worker")
    town.until(lambda: town.erp.records("companies"))
    town.end(worker)
    assert worker.poll() == 0
    # Work in progress was finished and recorded; no ended process holds a lease.
    assert len(town.rows("SELECT * FROM outbox WHERE state = 'in_flight'")) == 0
    held = " UNION ".join(
        f"SELECT leased_by FROM {table} WHERE leased_by IS NOT NULL"
        for table in ("outbox", "streams", "work")
    )
    assert town.rows(held) == []
    assert town.rows("SELECT * FROM runs WHERE state = 'running'") == []
    assert 0 < len(town.erp.records("companies")) <= 110
    town.erp.inject_faults()
    town.fork("worker")
    town.until(lambda: town.quiet)
    town.end()
    town.settled()


def test_a_second_serve_helps_without_a_port(
    town: Installation,
) -> None:
    """A second `serve` on one database shares the work, and says that the port is taken."""
    town.settle(20, known=5)
    town.erp.inject_faults(slow=0.1)
    town.fork("serve")
    town.until(lambda: town.ask("/readyz") == 200)
    second = town.fork("serve")
    log = town.folder / "serve-1.log"
    town.until(lambda: "another `tulay serve`" in log.read_text())
    town.until(lambda: town.quiet)
    assert "worker" in children(second.pid)
    os.kill(town.started[0].pid, 9)  # the first one dies: the second one's receivers take over
    town.until(lambda: town.ask("/readyz") == 200)
    town.found(town.crm, "new")
    town.erp.inject_faults()
    town.until(lambda: town.quiet)
    town.end(second)
    assert town.mistakes() == []
    town.until(lambda: town.ask("/healthz") == 0)
    town.settled()
