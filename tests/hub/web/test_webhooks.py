"""Deliveries are measured, verified and stored before they are answered."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import create_engine, make_url, select
from sqlalchemy.engine import URL
from starlette.applications import Starlette

from connectors.kit.contract import Request
from connectors.memory.connector import MemoryConnector
from connectors.memory.system import MemorySystem
from connectors.memory.webhooks import delivery
from hub.flows.settings import FlowSettings
from hub.store.connections import connection_states
from hub.store.engine import Store, open_store
from hub.store.migrate import migrate
from hub.store.runs import save_run, start_run
from hub.store.streams import save_stream
from hub.store.tables import inbox as inbox_table
from hub.sync.context import Connection, Hub
from hub.web.inbox import Inbox
from hub.web.receivers import create_app
from hub.web.webhooks import ReceiverConfig

SECRET = "open sesame"


class Caller:
    """A MemoryConnector that records what it had to verify."""

    def __init__(self) -> None:
        self.connector = MemoryConnector.of(MemorySystem("crm"), webhook_secret=SECRET)
        self.asked: list[Request] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connector, name)

    def verify(self, request: Request) -> bool:
        self.asked.append(request)
        return self.connector.verify(request)


@pytest.fixture
def caller() -> Caller:
    return Caller()


@pytest.fixture
def hub(store: Store, caller: Caller) -> Hub:
    names = ("crm", "erp")
    made = {name: Connection(name, "memory", name, caller, {}) for name in names}
    return Hub(store, made, {}, {}, FlowSettings())


def app_of(hub: Hub, **receivers: Any) -> Starlette:
    connectors = {name: one.connector for name, one in hub.connections.items()}
    return create_app(hub, ReceiverConfig(connectors, frozenset({"crm"}), **receivers))


def ask(
    app: Starlette, calls: Callable[[httpx.AsyncClient], Awaitable[Any]], client: str = "10.0.0.9"
) -> Any:
    async def run() -> Any:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(client, 5))
        async with httpx.AsyncClient(transport=transport, base_url="http://hub") as http:
            return await calls(http)

    return asyncio.run(run())


def post(app: Starlette, body: bytes, headers: dict[str, str], **more: Any) -> httpx.Response:
    name = more.pop("name", "crm")
    kind = {"content-type": more.pop("kind", "application/json")}
    return ask(
        app,
        lambda http: http.post(f"/webhooks/{name}", content=body, headers=kind | headers),
        **more,
    )


def signed(*keys: str, at: datetime | None = None) -> tuple[bytes, dict[str, str]]:
    notifications = [("companies", key) for key in keys]
    made = delivery(notifications, secret=SECRET, at=at or datetime.now(UTC))
    return made.body, dict(made.headers)


def signed_body(body: bytes) -> dict[str, str]:
    from connectors.kit.signatures import sign

    stamp = str(int(datetime.now(UTC).timestamp()))
    signature = sign(SECRET, stamp.encode() + b"." + body)
    return {"x-memory-timestamp": stamp, "x-memory-signature": signature}


def stored(store: Store) -> list[tuple[str, str, str]]:
    with store.read() as tx:
        query = select(inbox_table.c.connection, inbox_table.c.stream, inbox_table.c.key)
        return [tuple(row) for row in tx.execute(query.order_by(inbox_table.c.id))]


def refusal(answer: httpx.Response) -> tuple[int, str]:
    said = answer.json()
    assert set(said) == {"error", "what to do"}
    assert all(said.values())
    assert SECRET not in answer.text
    return answer.status_code, said["error"]


def test_deliveries_are_stored_before_the_answer(hub: Hub) -> None:
    answer = post(app_of(hub), *signed("1", "2"))
    assert (answer.status_code, answer.json()) == (202, {"accepted": 2})
    assert stored(hub.store) == [("crm", "companies", "1"), ("crm", "companies", "2")]
    with hub.store.read() as tx:
        assert connection_states(tx)["crm"].notified_at is not None


def test_the_same_delivery_twice_is_stored_once(hub: Hub) -> None:
    app, made = app_of(hub), signed("1")
    assert [post(app, *made).status_code for _ in range(2)] == [202, 202]
    assert len(stored(hub.store)) == 1


def test_all_untrusted_deliveries_look_alike(hub: Hub) -> None:
    """Forged, old and unsigned deliveries are refused with the same answer."""
    app = app_of(hub)
    body, headers = signed("1")
    old = signed("1", at=datetime.now(UTC) - timedelta(minutes=6))
    new = signed("1", at=datetime.now(UTC) + timedelta(minutes=6))
    odd = {**headers, "x-memory-signature": "é"}
    said = [
        refusal(post(app, body + b" ", headers)),
        refusal(post(app, body, {**headers, "x-memory-signature": "0" * 64})),
        refusal(post(app, body, {})),
        refusal(post(app, *old)),
        refusal(post(app, *new)),
        refusal(post(app, body, {k: v.encode("latin-1") for k, v in odd.items()})),
    ]
    assert set(said) == {(401, "the signature is missing, wrong or too old")}
    assert stored(hub.store) == []


def test_without_webhooks_it_is_not_found(hub: Hub) -> None:
    """Unknown connections, and those without webhooks, are not found."""
    app = app_of(hub)
    assert refusal(post(app, *signed("1"), name="shop")) == (404, "there is no such connection")
    status, error = refusal(post(app, *signed("1"), name="erp"))
    assert (status, error) == (404, "this connection's system sends no webhooks")
    assert stored(hub.store) == []


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"hello"])
def test_a_body_that_is_not_json_is_refused(hub: Hub, body: bytes) -> None:
    answer = post(app_of(hub), body, signed_body(body))
    assert refusal(answer) == (400, "the body is not JSON")


@pytest.mark.parametrize(
    "events",
    [
        {"no": "events"},
        {"events": [{"id": "e", "stream": "companies", "key": "x" * 201}]},
        {"events": [{"id": "e", "stream": "companies", "key": ""}]},
        {"events": [{"id": "e", "stream": "companies", "key": "a\0b"}]},
        {"events": [{"id": "e", "stream": "companies", "key": "\ud800"}]},
        {"events": [{"id": "e", "stream": "s" * 81, "key": "1"}]},
        {"events": [{"id": "e", "stream": "s", "key": "1", "into": {"a": 1}}]},
    ],
)
def test_json_that_is_no_delivery_is_refused(hub: Hub, events: Any) -> None:
    body = json.dumps(events).encode()
    status, _ = refusal(post(app_of(hub), body, signed_body(body)))
    assert status == 400
    assert stored(hub.store) == []


def test_any_event_id_will_do(hub: Hub) -> None:
    ids = ["x" * 5000, "x" * 5001, "\ud800", "\0", "x" * 5000]
    events = [{"id": e, "stream": "companies", "key": str(n)} for n, e in enumerate(ids)]
    body = json.dumps({"events": events}).encode()
    assert post(app_of(hub), body, signed_body(body)).status_code == 202
    assert len(stored(hub.store)) == 4


def test_other_content_types_are_refused(hub: Hub) -> None:
    app = app_of(hub)
    status, _ = refusal(post(app, *signed("1"), kind="text/plain"))
    assert status == 400
    assert post(app, *signed("1"), kind="Application/JSON; charset=utf-8").status_code == 202


def test_the_content_type_is_checked_last(hub: Hub) -> None:
    """Size and signature are checked before the content type."""
    app = app_of(hub)
    assert post(app, b"x" * 10_000_000, {}, kind="text/plain").status_code == 413
    assert post(app, b"[]", {}, kind="text/plain").status_code == 401


def test_a_body_said_to_be_too_large_is_not_read(hub: Hub, caller: Caller) -> None:
    answer = post(app_of(hub), b"x" * 10_000_000, {})
    assert refusal(answer) == (413, "the body is too large")
    assert caller.asked == []


def test_unknown_lengths_are_read_to_the_limit(hub: Hub) -> None:
    """A body of unknown length is not read beyond the limit."""
    read = 0

    async def parts() -> Any:
        nonlocal read
        for _ in range(160):
            read += 1
            yield b"x" * 65_536

    app = app_of(hub)
    sent: list[Any] = []
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/webhooks/crm",
        "raw_path": b"/webhooks/crm",
        "query_string": b"",
        "scheme": "http",
        "client": ("10.0.0.9", 1),
        "server": ("hub", 80),
        "headers": [(b"content-type", b"application/json")],
        "http_version": "1.1",
        "asgi": {"version": "3.0"},
        "root_path": "",
    }

    async def run() -> None:
        stream = parts()

        async def receive() -> Any:
            body = await anext(stream)
            return {"type": "http.request", "body": body, "more_body": True}

        async def send(message: Any) -> None:
            sent.append(message)

        await app(scope, receive, send)
        await stream.aclose()

    asyncio.run(run())
    assert sent[0]["status"] == 413
    assert read == 16  # the one that crosses 1,000,000 bytes is the last


def test_the_url_is_the_one_the_sender_called(hub: Hub, caller: Caller) -> None:
    body, headers = signed("1")
    forwarded = {"x-forwarded-proto": "https", "x-forwarded-host": "tulay.example"}
    post(app_of(hub), body, headers | forwarded)
    post(app_of(hub, proxies=frozenset({"10.0.0.9"})), body, headers | forwarded)
    post(app_of(hub, public_url="https://public.example/base/"), body, headers | forwarded)
    assert [request.url for request in caller.asked] == [
        "http://hub/webhooks/crm",
        "https://tulay.example/webhooks/crm",
        "https://public.example/base/webhooks/crm",
    ]


def test_simultaneous_deliveries_share_a_commit(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Inbox] = []

    def remembered(store: Store, hub: Hub) -> Inbox:
        made.append(Inbox(store, hub.clock))
        return made[0]

    monkeypatch.setattr("hub.web.receivers.inbox_of", remembered)
    many = [signed(f"k{n}") for n in range(200)]

    async def together(http: httpx.AsyncClient) -> list[int]:
        kind = {"content-type": "application/json"}
        sent = (
            http.post("/webhooks/crm", content=body, headers=headers | kind)
            for body, headers in many
        )
        return [answer.status_code for answer in await asyncio.gather(*sent)]

    assert ask(app_of(hub), together) == [202] * 200
    assert len(stored(hub.store)) == 200
    assert made[0].commits < 50


def test_without_a_database_the_sender_may_retry(
    postgresql_server: URL, postgresql_url: str, caller: Caller
) -> None:
    store = open_store(postgresql_url)
    migrate(store)
    made = {"crm": Connection("crm", "memory", "crm", caller, {})}
    app = app_of(Hub(store, made, {}, {}, FlowSettings()))
    assert post(app, *signed("1")).status_code == 202
    allow(postgresql_server, postgresql_url, connections=False)
    answer = post(app, *signed("2"))
    assert refusal(answer) == (503, "the database did not store it")
    assert int(answer.headers["retry-after"]) > 0
    assert refusal(ask(app, lambda http: http.get("/readyz")))[0] == 503
    assert refusal(ask(app, lambda http: http.get("/metrics")))[0] == 503
    assert ask(app, lambda http: http.get("/healthz")).status_code == 200
    allow(postgresql_server, postgresql_url, connections=True)
    assert post(app, *signed("2")).status_code == 202
    assert [key for _, _, key in stored(store)] == ["1", "2"]
    store.close()


def allow(server: URL, database: str, *, connections: bool) -> None:
    """Closes a database to all sessions and ends them, or opens it again."""
    name = make_url(database).database
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as admin:
        admin.exec_driver_sql(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS {connections}")
        admin.exec_driver_sql(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        )
    engine.dispose()


def test_health_and_readiness(database_url: str, caller: Caller) -> None:
    store = open_store(database_url)
    hub = Hub(
        store, {"crm": Connection("crm", "memory", "crm", caller, {})}, {}, {}, FlowSettings()
    )
    app = app_of(hub)
    assert ask(app, lambda http: http.get("/healthz")).json() == {"alive": True}
    assert refusal(ask(app, lambda http: http.get("/readyz")))[0] == 503
    migrate(store)
    assert ask(app, lambda http: http.get("/readyz")).json() == {"ready": True}
    store.close()


def test_metrics_count_without_telling(hub: Hub) -> None:
    app = app_of(hub)
    post(app, *signed("company-4711"))
    post(app, b"{}", {})
    post(app, b"{}", {}, name="a-guess")
    text = ask(app, lambda http: http.get("/metrics")).text
    assert 'tulay_inbox{connection="crm"} 1.0' in text
    assert 'tulay_webhooks_total{connection="crm",result="stored"} 1.0' in text
    assert 'tulay_webhooks_total{connection="crm",result="forged"} 1.0' in text
    assert 'tulay_webhooks_total{connection="unknown",result="unknown"} 1.0' in text
    assert "company-" not in text
    assert "a-guess" not in text


def test_runs_and_backlogs_are_measured(hub: Hub) -> None:
    from hub.model.causes import Cause
    from hub.store import dirty, outbox, quarantine
    from hub.store.conflicts import NewConflict, open_conflict
    from hub.store.quarantine import Problem
    from hub.store.runs import Tally

    now = hub.clock()
    with hub.store.begin() as tx:
        tally = Tally("r", "pull", "crm", "deals", now, seen=5, changed=2)
        start_run(tx, tally)
        save_run(tx, tally, state="done", finished_at=now)
        save_stream(tx, "crm", "deals", read_at=now - timedelta(minutes=5))
        outbox.enqueue(tx, [("erp", "company", "g1")], now=now)
        dirty.mark(tx, ["g1"], now=now)
        quarantine.put(
            tx, [Problem("pull", "crm", "s", "1", "held", Cause.FAILED, "x")], now=now, due_at=now
        )
        new = NewConflict("g1", 1, "crm", "name", base=1, ours=2, theirs=3)
        open_conflict(tx, new, now=now)
    text = ask(app_of(hub), lambda http: http.get("/metrics")).text
    for line in (
        'tulay_runs_1d{connection="crm",kind="pull",state="done",stream="deals"} 1.0',
        'tulay_run_records_1d{connection="crm",kind="pull",stream="deals",what="seen"} 5.0',
        'tulay_outbox{connection="erp",state="due"} 1.0',
        'tulay_letters{kind="pull",source="crm",state="held"} 1.0',
        'tulay_conflicts{connection="crm"} 1.0',
        "tulay_derivations 1.0",
    ):
        assert line in text
    age = next(line for line in text.splitlines() if line.startswith("tulay_stream_age_seconds{"))
    assert float(age.split()[-1]) >= 300


def test_the_access_log_has_no_query_and_no_body(
    hub: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    """The access log has no query, no body and no lines of other libraries."""
    caplog.set_level(logging.INFO, logger="tulay.access")
    app = app_of(hub)
    ask(app, lambda http: http.get("/healthz?token=s3cret"))
    ask(app, lambda http: http.get("/a%0Aroot%20logged%20in"))
    first, second = (record.getMessage() for record in caplog.records)
    assert first.startswith("GET /healthz 200 ")
    assert second.startswith("GET /a%0Aroot%20logged%20in 404 ")
    assert "s3cret" not in caplog.text


def test_not_found_is_answered_in_json(hub: Hub) -> None:
    app = app_of(hub)
    assert refusal(ask(app, lambda http: http.get("/")))[0] == 404
    assert refusal(ask(app, lambda http: http.get("/webhooks/crm")))[0] == 405
    assert refusal(ask(app, lambda http: http.post("/webhooks/")))[0] == 404


def test_our_own_errors_tell_the_caller_nothing(
    hub: Hub, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(body: bytes) -> Any:
        raise KeyError("Jane Doe")

    monkeypatch.setattr(caller.connector, "notifications", fail)
    answer = post(app_of(hub), *signed("1"))
    assert refusal(answer) == (500, "internal error")
    assert "Jane" not in answer.text


def test_the_document_names_every_route(hub: Hub) -> None:
    app = app_of(hub)
    notifications = ask(app, lambda http: http.get("/openapi.json")).json()
    assert set(notifications["paths"]) == {route.path for route in app.routes}
