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
    installation = either
    installation.settle(3, known=1)
    installation.pull = "1h"  # after the first read, only webhooks report changes
    installation.write()
    if installation.redis_url is not None:
        installation.fork("scheduler")
    worker = installation.fork("worker")
    installation.until(lambda: installation.quiet)
    installation.end(worker)
    ports = (installation.port, free_port())
    for port in ports:
        installation.port = port
        installation.write()
        installation.fork("web")
        installation.until(lambda: installation.ask("/readyz") == 200)
    installation.crm.edit("companies", "1", industry="Bamboo")

    def deliver(number: int) -> int:
        made = installation.letter("companies", "1", event="the same")
        url = f"http://127.0.0.1:{ports[number % 2]}/webhooks/crm"
        return httpx.post(url, content=made.body, headers=dict(made.headers)).status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(deliver, range(16))) == {202}
    assert [tuple(row) for row in installation.rows("SELECT count(*) FROM inbox")] == [(1,)]
    for system in installation.systems.values():
        system.forget_writes()
    installation.fork("worker")
    installation.until(lambda: installation.quiet)
    (looks,) = installation.rows("SELECT sum(seen) FROM runs WHERE kind = 'inbox'")
    assert looks[0] == 1
    assert installation.erp.writes == [Written("companies", "1", "update")]
    installation.end()
    installation.settled()


def test_two_workers_on_one_record(either: Installation) -> None:
    installation = either
    installation.settle(1, known=0)
    installation.erp.inject_faults(slow=0.3)
    roles = ["worker"] * 3 + (["scheduler"] if installation.redis_url is not None else [])
    for role in roles:
        installation.fork(role)
    installation.until(lambda: installation.quiet)
    for number in range(2):
        installation.crm.edit("companies", "1", industry=f"A{number}")
        installation.erp.edit("companies", "1", city=f"B{number}")
        installation.until(lambda: installation.quiet)
    assert (
        len(installation.erp.records("companies"))
        == len(installation.crm.records("companies"))
        == 1
    )
    installation.erp.inject_faults()
    installation.end()
    installation.settled()


def test_sigterm_in_a_batch_ends_in_order(either: Installation) -> None:
    installation = either
    installation.settle(110, known=0)
    installation.erp.inject_faults(slow=1)
    if installation.redis_url is not None:
        installation.fork("scheduler")
    worker = installation.fork("worker")
    installation.until(lambda: installation.erp.records("companies"))
    installation.end(worker)
    assert worker.poll() == 0
    # Work in progress was finished and recorded; no ended process holds a lease.
    assert len(installation.rows("SELECT * FROM outbox WHERE state = 'in_flight'")) == 0
    held = " UNION ".join(
        f"SELECT leased_by FROM {table} WHERE leased_by IS NOT NULL"
        for table in ("outbox", "streams", "work")
    )
    assert installation.rows(held) == []
    assert installation.rows("SELECT * FROM runs WHERE state = 'running'") == []
    assert 0 < len(installation.erp.records("companies")) <= 110
    installation.erp.inject_faults()
    installation.fork("worker")
    installation.until(lambda: installation.quiet)
    installation.end()
    installation.settled()


def test_a_second_serve_helps_without_a_port(
    installation: Installation,
) -> None:
    """A second `serve` on one database shares the work, and says that the port is taken."""
    installation.settle(20, known=5)
    installation.erp.inject_faults(slow=0.1)
    installation.fork("serve")
    installation.until(lambda: installation.ask("/readyz") == 200)
    second = installation.fork("serve")
    log = installation.folder / "serve-1.log"
    installation.until(lambda: "another `tulay serve`" in log.read_text())
    installation.until(lambda: installation.quiet)
    assert "worker" in children(second.pid)
    os.kill(
        installation.started[0].pid, 9
    )  # the first one dies: the second one's receivers take over
    installation.until(lambda: installation.ask("/readyz") == 200)
    installation.found(installation.crm, "new")
    installation.erp.inject_faults()
    installation.until(lambda: installation.quiet)
    installation.end(second)
    assert installation.mistakes() == []
    installation.until(lambda: installation.ask("/healthz") == 0)
    installation.settled()
