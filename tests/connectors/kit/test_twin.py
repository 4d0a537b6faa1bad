"""What twins share: clock, log, faults and the loopback server, over real HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from connectors.kit.twin import Clock, Entry, Fault, Faults, Faulty, RequestLog, Server


class Counter:
    """A tiny system: every POST counts."""

    def __init__(self) -> None:
        self.count = 0
        self.clock = Clock()
        self.faults = Faults(seed=3)
        self.log = RequestLog()
        routes = [Route("/count", self.post, methods=["POST"]), Route("/count", self.get)]
        self.app = Faulty(
            Starlette(routes=routes),
            clock=self.clock,
            faults=self.faults,
            log=self.log,
            voice=self.voice,
        )

    async def post(self, request: Request) -> JSONResponse:
        await request.body()
        self.count += 1
        return JSONResponse({"count": self.count, "padding": "x" * 500}, 201)

    async def get(self, request: Request) -> JSONResponse:
        return JSONResponse({"count": self.count})

    @staticmethod
    def voice(fault: Fault) -> bytes:
        return b'{"error":"%s"}' % fault.kind.encode()


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[Counter, httpx.Client]]:
    counter = Counter()
    running = Server(counter.app).start()
    with httpx.Client(base_url=running.url, timeout=5) as client:
        yield counter, client
    running.stop()


@pytest.fixture
def counter(server: tuple[Counter, httpx.Client]) -> Counter:
    server[0].faults.clear()
    server[0].log.clear()
    server[0].clock.run()
    server[0].count = 0
    return server[0]


@pytest.fixture
def client(server: tuple[Counter, httpx.Client], counter: Counter) -> httpx.Client:
    return server[1]


def test_a_throttled_call_is_not_executed(counter, client) -> None:
    """A throttled call is not executed, and says how long to wait."""
    counter.faults.add("throttled", "POST *", times=1, retry_after=7)
    refused = client.post("/count")
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "7")
    assert refused.json() == {"error": "throttled"}
    assert counter.count == 0
    assert client.post("/count").status_code == 201


def test_retry_after_is_absent_unless_asked_for(counter, client) -> None:
    counter.faults.add("throttled")
    assert "retry-after" not in client.get("/count").headers


@pytest.mark.parametrize(
    ("kind", "status", "executed"),
    [("quota", 403, 0), ("down", 503, 0), ("html", 502, 0), ("lost", 502, 1)],
)
def test_refusals_before_and_after_the_commit(counter, client, kind, status, executed) -> None:
    counter.faults.add(kind, times=1)
    assert client.post("/count").status_code == status
    assert counter.count == executed


def test_a_status_can_be_chosen(counter, client) -> None:
    counter.faults.add("down", status=500)
    assert client.get("/count").status_code == 500


def test_a_proxy_page_is_html_and_no_json(counter, client) -> None:
    counter.faults.add("html")
    answer = client.get("/count")
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.text.startswith("<html>")


def test_a_time_out_comes_after_the_commit(counter, client) -> None:
    counter.faults.add("timeout", times=1, seconds=30)
    with pytest.raises(httpx.ReadTimeout):
        client.post("/count", timeout=0.2)
    assert counter.count == 1
    assert client.get("/count").json() == {"count": 1}


def test_a_silent_call_ends_after_a_while(counter, client) -> None:
    """A silent call ends without an answer even if the caller is patient."""
    counter.faults.add("timeout", times=1, seconds=0.05)
    assert client.post("/count").status_code == 504


def test_a_reset_comes_in_the_middle_of_the_body(counter, client) -> None:
    counter.faults.add("reset", times=1)
    with pytest.raises(httpx.RemoteProtocolError):
        client.post("/count")
    assert counter.count == 1


def test_truncated_json_is_complete_http(counter, client) -> None:
    counter.faults.add("truncated", times=1)
    answer = client.post("/count")
    assert answer.status_code == 201
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        answer.json()
    assert counter.count == 1


def test_slowness_combines_with_another_fault(counter, client) -> None:
    counter.faults.add("slow", seconds=0.01)
    counter.faults.add("down")
    assert client.get("/count").status_code == 503
    assert counter.log.entries()[-1].faults == ("slow", "down")


def test_faults_queue_in_order_per_route(counter, client) -> None:
    """Faults queue up in order, and only on their own routes."""
    counter.faults.add("down", "POST /count", times=1)
    counter.faults.add("throttled", "POST /count", times=2)
    assert client.get("/count").status_code == 200
    codes = [client.post("/count").status_code for _ in range(4)]
    assert codes == [503, 429, 429, 201]


def test_the_dice_are_seeded() -> None:
    def rolls(seed: int) -> list[bool]:
        faults = Faults(seed)
        faults.add("down", probability=0.5)
        return [bool(faults.draw("GET", "/x")) for _ in range(40)]

    assert rolls(1) == rolls(1)
    assert rolls(1) != rolls(2)
    assert 5 < sum(rolls(1)) < 35


def test_the_log_has_only_routes_and_statuses(counter, client) -> None:
    client.post("/count?secret=1", headers={"authorization": "Bearer s3cret"}, content=b"payload")
    client.get("/count")
    assert [(e.method, e.path, e.status) for e in counter.log.entries()] == [
        ("POST", "/count", 201),
        ("GET", "/count", 200),
    ]
    assert counter.log.entries("GET *")[0].status == 200
    assert "secret" not in repr(counter.log.entries())
    assert "payload" not in repr(counter.log.entries())


def test_the_log_drops_the_oldest_but_counts_all() -> None:
    log = RequestLog(keep=2)
    for path in ("/a", "/b", "/c"):
        log.add(Entry("GET", path, 200))
    assert [entry.path for entry in log.entries()] == ["/b", "/c"]
    assert log.count == 3


def test_the_clock_stops_moves_and_runs_again() -> None:
    clock = Clock()
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    clock.set(noon)
    assert clock.now() == noon
    clock.advance(timedelta(hours=1))
    assert clock.ms() == int(noon.timestamp() * 1000) + 3_600_000
    clock.run()
    ahead = Clock()
    ahead.advance(timedelta(days=1))
    assert ahead.now() - clock.now() > timedelta(hours=23)


def test_the_date_header_is_by_the_twins_clock(counter, client) -> None:
    counter.clock.set(datetime(2026, 3, 1, 12, tzinfo=UTC))
    assert client.get("/count").headers.get_list("date") == ["Sun, 01 Mar 2026 12:00:00 GMT"]


def test_a_stopped_server_refuses_and_stops_twice() -> None:
    running = Server(Counter().app).start()
    assert httpx.get(f"{running.url}/count").status_code == 200
    running.stop()
    running.stop()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{running.url}/count")
