"""The shared rate budget in the database: real processes, no deadlocks, no stalls."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from connectors.kit.budget import Budget, bulk
from connectors.kit.ledger import Claim, LedgerError
from hub.store.engine import Store
from hub.store.rate_limits import DatabaseLedger, usage
from hub.web.metrics import registry_of

ROOT = Path(__file__).parents[3]
LIMIT, WINDOW = 12, 1.0
CLAIM = Claim("default", False, requests=100, per_seconds=10.0, share=0.8, daily=1000)

#: One process with several threads that call as fast as allowed.
CALLER = """
import sys
from concurrent.futures import ThreadPoolExecutor
from connectors.kit.budget import Budget
from connectors.kit.http import Http
from hub.store.rate_limits import DatabaseLedger
from hub.store.engine import open_store
database, url, calls = sys.argv[1], sys.argv[2], int(sys.argv[3])
store = open_store(database)
budget = Budget(12, 1.0, ledger=DatabaseLedger(store, "crm"))
http = Http(url, auth=None, budget=budget)
with ThreadPoolExecutor(3) as pool:
    list(pool.map(lambda n: http.request("GET", f"/{n}", repeatable=False), range(calls)))
budget.settle()
http.close()
store.close()
"""


class Counter(ThreadingHTTPServer):
    """Notes when a call arrives."""

    daemon_threads = True
    request_queue_size = 50

    def __init__(self) -> None:
        self.arrived: list[float] = []
        outer = self

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.arrived.append(time.monotonic())
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def fullest(self) -> int:
        times = sorted(self.arrived)
        return max(sum(at <= one < at + WINDOW for one in times) for at in times)


@pytest.mark.process
def test_three_processes_never_exceed_the_limit(store: Store) -> None:
    address = store.engine.url.render_as_string(hide_password=False)
    with Counter() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        started = [
            subprocess.Popen([sys.executable, "-c", CALLER, address, server.url, "14"], cwd=ROOT)
            for _ in range(3)
        ]
        assert [process.wait(timeout=120) for process in started] == [0, 0, 0]
        server.shutdown()
        thread.join()
    assert len(server.arrived) == 42
    assert server.fullest() <= LIMIT
    with store.read() as tx:
        assert usage(tx, now=datetime.now(UTC)) == {"crm": (42, None)}


def test_threads_of_a_process_share_a_grant(store: Store) -> None:
    ledger = DatabaseLedger(store, "crm")
    budget = Budget(1000, 10.0, ledger=ledger)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: budget.take(), range(200)))
    budget.settle()
    with store.read() as tx:
        assert usage(tx, now=datetime.now(UTC))["crm"][0] == 200


def test_a_pause_is_shared_and_survives_restarts(store: Store) -> None:
    one, other = DatabaseLedger(store, "crm"), DatabaseLedger(store, "crm")
    assert one.closed() == 0
    assert one.reserve(CLAIM).count > 0
    one.close(300)
    one.close(5)
    assert 290 < other.closed() <= 300
    grant = other.reserve(CLAIM)
    assert grant.count == 0
    assert grant.closed > 290
    assert DatabaseLedger(store, "erp").closed() == 0


def test_a_writer_elsewhere_delays_calls_briefly(store: Store) -> None:
    """On SQLite the ledger cannot be written meanwhile: reading continues at a careful pace."""
    budget = Budget(100, 10.0, ledger=DatabaseLedger(store, "crm"))
    with store.begin(), ThreadPoolExecutor(1) as pool:
        pool.submit(budget.take).result(timeout=30)
    with pytest.raises(LedgerError, match="writing transaction"), store.begin():
        DatabaseLedger(store, "crm").reserve(CLAIM)


def test_a_writing_transaction_never_asks_it(store: Store) -> None:
    """It would wait for itself: a mistake of ours must not stop the sync."""
    budget = Budget(100, 10.0, ledger=DatabaseLedger(store, "crm"))
    with store.begin():
        budget.take()


def test_a_lost_database_does_not_stop_calls(store: Store) -> None:
    ledger = DatabaseLedger(store, "crm")
    with store.begin() as tx:
        tx.exec_driver_sql("ALTER TABLE rate_limits RENAME TO elsewhere")
    budget = Budget(100, 10.0, ledger=ledger, patience=30)
    for _ in range(5):
        budget.take()
    budget.pause(0.01)
    budget.settle()
    with store.begin() as tx:
        tx.exec_driver_sql("ALTER TABLE elsewhere RENAME TO rate_limits")


def test_usage_is_of_today_and_shown_in_metrics(store: Store) -> None:
    now = datetime.now(UTC)
    budget = Budget(100, 10.0, ledger=DatabaseLedger(store, "crm"), daily=1000)
    with bulk():
        for _ in range(10):
            budget.take()
    budget.settle()
    registry, _ = registry_of(store, lambda: now)
    assert registry.get_sample_value("tulay_calls_today", {"connection": "crm"}) == 10
    assert registry.get_sample_value("tulay_quota_used_ratio", {"connection": "crm"}) == 0.01
    with store.read() as tx:
        assert usage(tx, now=now + timedelta(days=1)) == {"crm": (0, 1000)}
