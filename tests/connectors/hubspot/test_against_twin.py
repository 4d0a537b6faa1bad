"""The connector against the twin: whole scenarios over real HTTP."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from queue import Queue
from typing import Any

import pytest

from connectors.hubspot.connector import HubSpotConnector
from connectors.hubspot.twin import Twin, start
from connectors.hubspot.vocabulary import STREAMS
from connectors.kit.auth import EXPIRED, MemoryTokens
from connectors.kit.budget import Budget
from connectors.kit.contract import (
    Create,
    Delete,
    FieldNeed,
    Merge,
    Outcome,
    Page,
    Request,
    Update,
)
from connectors.kit.errors import (
    CredentialsError,
    RecordMissingError,
    RecordRejectedError,
    RecordStaleError,
    UnavailableError,
)

from .conftest import Time


@pytest.fixture
def twin() -> Iterator[Twin]:
    with start(records=12, seed=3) as twin:
        twin.limits.burst = 100_000
        yield twin


def connect(twin: Twin, **settings: Any) -> HubSpotConnector:
    known = {
        "token": twin.token,
        "base_url": twin.url,
        "search_lag_seconds": 0,
        "overlap_seconds": 0,
        "requests_per_10s": 100_000,
        **settings,
    }
    time = Time()
    budget = Budget(lanes={"search": (100_000, 1.0)}, clock=time, sleep=time.sleep)
    return HubSpotConnector(known, budget)


@pytest.fixture
def hubspot(twin: Twin) -> Iterator[HubSpotConnector]:
    connector = connect(twin)
    yield connector
    connector.close()


@pytest.fixture
def ready(hubspot: HubSpotConnector) -> HubSpotConnector:
    hubspot.prepare(
        [FieldNeed(stream, "tulay_id", "text", "Id", external_id=True) for stream in STREAMS]
    )
    return hubspot


def read(hubspot: HubSpotConnector, stream: str, since: str | None) -> tuple[list[Page], str]:
    pages = list(hubspot.pages(stream, since))
    cursor = [page.cursor for page in pages if page.cursor][-1]
    return pages, cursor


def keys(pages: list[Page]) -> set[str]:
    return {record.key for page in pages for record in page.records}


def key_of(outcome: Outcome) -> str:
    assert outcome.error is None, outcome.error
    assert outcome.key is not None
    return outcome.key


# -- reading


@pytest.mark.parametrize("stream", STREAMS)
def test_a_full_read_brings_every_record(
    twin: Twin, hubspot: HubSpotConnector, stream: str
) -> None:
    pages, _ = read(hubspot, stream, None)
    there = {one["id"]: one for one in twin.objects(stream)}
    assert keys(pages) == set(there)
    assert {key for portion in hubspot.keys(stream) for key in portion} == set(there)
    for page in pages:
        for record in page.records:
            links = there[record.key]["associations"]
            for to, targets in record.payload.get("associations", {}).items():
                assert set(targets) == set(links.get(to, []))


def test_read_fetch_and_search_agree(twin: Twin, hubspot: HubSpotConnector) -> None:
    pages, cursor = read(hubspot, "deals", None)
    listed = {record.key: record for page in pages for record in page.records}
    assert any(record.payload["line_items"] for record in listed.values())
    fetched = {record.key: record for record in hubspot.fetch("deals", list(listed)).records}
    since = cursor.replace('"until":"20', '"until":"19')
    searched = {
        record.key: record for page in read(hubspot, "deals", since)[0] for record in page.records
    }
    for key, record in listed.items():
        assert fetched[key].version == searched[key].version == record.version
        assert fetched[key].payload["line_items"] == record.payload["line_items"]
        assert searched[key].payload["associations"] == record.payload["associations"]


def test_the_next_read_brings_every_change(twin: Twin, hubspot: HubSpotConnector) -> None:
    """Changes, deletions and merges arrive with the next read."""
    twin.clock.set(datetime(2027, 1, 1, tzinfo=UTC))
    ids = sorted((one["id"] for one in twin.objects("companies")), key=int)
    _, cursor = read(hubspot, "companies", None)
    twin.clock.advance(timedelta(seconds=90))
    twin.edit("companies", ids[0], name="Renamed")
    new = twin.create("companies", name="New")
    twin.archive("companies", ids[1])
    survivor = twin.merge("companies", ids[2], ids[3])
    twin.clock.advance(timedelta(seconds=90))
    pages, after = read(hubspot, "companies", cursor)
    assert keys(pages) == {ids[0], new, survivor}
    assert {key for page in pages for key in page.gone} == {ids[1]}
    merges = {merge for page in pages for merge in page.merges}
    assert merges == {Merge(ids[2], survivor), Merge(ids[3], survivor)}
    assert keys(read(hubspot, "companies", after)[0]) == set()


def test_equal_times_across_pages_lose_nothing(twin: Twin, hubspot: HubSpotConnector) -> None:
    """More records than fit on a page share one time of change, and all arrive."""
    _, cursor = read(hubspot, "products", None)
    for number in range(450):
        twin.create("products", name=f"Part {number}", price="1")
    twin.touch("products")
    pages, _ = read(hubspot, "products", cursor)
    assert keys(pages) == {one["id"] for one in twin.objects("products")}
    assert len(keys(pages)) >= 450


def test_changes_not_yet_searchable_are_not_lost(twin: Twin) -> None:
    twin.clock.set(datetime(2027, 1, 1, tzinfo=UTC))
    twin.settings.search_lag_ms = 20_000
    hubspot = connect(twin, search_lag_seconds=30)
    _, cursor = read(hubspot, "companies", None)
    twin.clock.advance(timedelta(seconds=60))
    new = twin.create("companies", name="New")
    twin.clock.advance(timedelta(seconds=10))
    early, cursor = read(hubspot, "companies", cursor)
    assert new not in keys(early)
    twin.clock.advance(timedelta(seconds=60))
    late, _ = read(hubspot, "companies", cursor)
    hubspot.close()
    assert new in keys(late)


def test_a_merged_key_is_fetched_as_its_survivor(twin: Twin, hubspot: HubSpotConnector) -> None:
    one = twin.create("contacts", email="a@one.example")
    other = twin.create("contacts", email="b@one.example")
    gone = twin.create("contacts", email="c@one.example")
    survivor = twin.merge("contacts", one, other)
    twin.archive("contacts", gone)
    page = hubspot.fetch("contacts", [one, other, gone])
    assert {record.key for record in page.records} == {survivor}
    assert page.gone == [gone]
    assert {merge.key for merge in page.merges} == {one, other} - {survivor}


# -- writing


def test_prepare_twice_creates_once(twin: Twin, ready: HubSpotConnector) -> None:
    needs = [
        FieldNeed("companies", "properties.tulay_open_balance", "number", "Open balance"),
        FieldNeed("companies", "properties.tulay_in_production", "boolean", "In production"),
    ]
    assert len(ready.prepare(needs)) == 2
    assert ready.prepare(needs) == []
    described = ready.describe("companies").fields
    assert described["properties.tulay_open_balance"].type == "number"
    assert described["properties.tulay_id"].writable


def test_a_new_deal_has_its_company_and_its_lines(twin: Twin, ready: HubSpotConnector) -> None:
    company, contact = (
        key_of(ready.write(stream, [Create(once, {"properties": values})])[0])
        for stream, once, values in (
            ("companies", "h-1", {"name": "ACME"}),
            ("contacts", "h-2", {"email": "ann@acme.example"}),
        )
    )
    deal = {
        "properties": {"dealname": "Big", "amount": "60", "dealstage": "closedwon"},
        "associations": {"companies": [company], "contacts": [contact]},
        "line_items": [{"properties": {"name": "Widget", "quantity": "2", "price": "30"}}],
    }
    key = key_of(ready.write("deals", [Create("h-3", deal)])[0])
    record = ready.find("deals", ["h-3", "h-4"])["h-3"]
    assert record.key == key
    assert record.payload["associations"] == {"companies": [company], "contacts": [contact]}
    (line,) = record.payload["line_items"]
    assert (line["properties"]["quantity"], line["properties"]["price"]) == ("2", "30")
    lines = [
        {"id": line["id"], "remove": True},
        {"properties": {"name": "Gadget", "quantity": "1", "price": "5"}},
    ]
    key_of(ready.write("deals", [Update(key, {"line_items": lines}, record.version)])[0])
    (only,) = ready.fetch("deals", [key]).records[0].payload["line_items"]
    assert only["properties"]["name"] == "Gadget"


def test_find_returns_nothing_before_prepare(hubspot: HubSpotConnector) -> None:
    assert hubspot.find("companies", ["h-1"]) == {}


def test_bad_rows_fail_alone(twin: Twin, ready: HubSpotConnector) -> None:
    writes = [
        Create("h-1", {"properties": {"dealname": "Good", "dealstage": "closedwon"}}),
        Create("h-2", {"properties": {"dealname": "Bad", "amount": "much"}}),
        Create("h-3", {"properties": {"no_such_thing": "x"}}),
        Create("h-4", {"properties": {"dealname": "Good, too"}}),
    ]
    outcomes = ready.write("deals", writes)
    assert [type(one.error) for one in outcomes] == [
        type(None),
        RecordRejectedError,
        RecordRejectedError,
        type(None),
    ]
    assert ready.fetch("deals", [key_of(outcomes[3])]).records[0].external_id == "h-4"


@pytest.mark.parametrize("as_409", [False, True])
def test_an_earlier_create_is_recognised(twin: Twin, as_409: bool) -> None:
    twin.settings.unique_conflict_409 = as_409
    ready = connect(twin)
    ready.prepare([FieldNeed("companies", "tulay_id", "text", "Id", external_id=True)])
    write = [Create("h-1", {"properties": {"name": "ACME"}})]
    first = key_of(ready.write("companies", write)[0])
    count = twin.count("companies")
    assert key_of(ready.write("companies", write)[0]) == first
    ready.close()
    assert twin.count("companies") == count


def test_another_contacts_email_is_not_taken(twin: Twin, ready: HubSpotConnector) -> None:
    """A contact that is not ours keeps its email address."""
    twin.create("contacts", email="ann@acme.example")
    (outcome,) = ready.write(
        "contacts", [Create("h-1", {"properties": {"email": "ann@acme.example"}})]
    )
    assert isinstance(outcome.error, RecordRejectedError)


@pytest.mark.parametrize("fault", ["lost", "reset", "truncated"])
def test_a_create_whose_answer_was_lost_is_found(
    twin: Twin, ready: HubSpotConnector, fault: Any
) -> None:
    count = twin.count("companies")
    twin.faults.add(fault, "POST */batch/create", times=1)
    write = [Create("h-1", {"properties": {"name": "ACME"}})]
    with pytest.raises(UnavailableError):
        ready.write("companies", write)
    assert set(ready.find("companies", ["h-1"])) == {"h-1"}
    assert twin.count("companies") == count + 1


@pytest.mark.parametrize("fault", ["throttled", "down", "lost", "reset", "html"])
def test_reads_survive_a_passing_fault(twin: Twin, fault: Any) -> None:
    hubspot = connect(twin)
    twin.faults.add(fault, times=1, retry_after=0)
    pages, _ = read(hubspot, "companies", None)
    hubspot.close()
    assert len(keys(pages)) == twin.count("companies")


def test_an_update_of_another_version_is_stale(twin: Twin, ready: HubSpotConnector) -> None:
    twin.clock.set(datetime(2027, 1, 1, tzinfo=UTC))
    key = twin.create("contacts", email="ann@acme.example", firstname="Ann")
    (record,) = ready.fetch("contacts", [key]).records
    rename = Update(key, {"properties": {"firstname": "Anna"}}, record.version)
    twin.clock.advance(timedelta(seconds=1))
    twin.edit("contacts", key, firstname="Anne")
    (outcome,) = ready.write("contacts", [rename])
    assert isinstance(outcome.error, RecordStaleError)
    assert twin.get("contacts", key)["properties"]["firstname"] == "Anne"
    (record,) = ready.fetch("contacts", [key]).records
    key_of(ready.write("contacts", [Update(key, rename.payload, record.version)])[0])
    assert twin.get("contacts", key)["properties"]["firstname"] == "Anna"


def test_the_primary_company_of_a_contact_moves(twin: Twin, ready: HubSpotConnector) -> None:
    one, other = twin.create("companies", name="One"), twin.create("companies", name="Other")
    key = twin.create("contacts", email="ann@acme.example")
    for company in (one, other):
        patch = {"associations": {"companies": [company]}}
        key_of(ready.write("contacts", [Update(key, patch, None)])[0])
        (record,) = ready.fetch("contacts", [key]).records
        assert record.payload["associations"]["companies"][0] == company
    assert set(record.payload["associations"]["companies"]) == {one, other}


def test_the_company_of_an_order_is_replaced(twin: Twin, ready: HubSpotConnector) -> None:
    one, other = twin.create("companies", name="One"), twin.create("companies", name="Other")
    new = Create(
        "h-1",
        {"properties": {"hs_order_name": "SO-1"}, "associations": {"companies": [one]}},
    )
    key = key_of(ready.write("orders", [new])[0])
    patch = {"associations": {"companies": [other]}, "properties": {"hs_order_name": "SO-2"}}
    key_of(ready.write("orders", [Update(key, patch, None)])[0])
    (record,) = ready.fetch("orders", [key]).records
    assert record.payload["associations"]["companies"] == [other]
    assert record.payload["properties"]["hs_order_name"] == "SO-2"


@pytest.mark.parametrize(
    ("stream", "values"),
    [
        ("invoices", {"hs_currency": "EUR"}),
        ("tasks", {"hs_timestamp": "2026-10-01T10:00:00Z", "hs_task_subject": "Call"}),
        ("notes", {"hs_timestamp": "2026-10-01T10:00:00Z", "hs_note_body": "Hello"}),
    ],
)
def test_dependents_are_created_with_partners(
    twin: Twin, ready: HubSpotConnector, stream: str, values: dict[str, str]
) -> None:
    partners = {
        "companies": [twin.create("companies", name="ACME")],
        "contacts": [twin.create("contacts", email="ann@acme.example")],
        "deals": [twin.create("deals", dealname="Big", dealstage="closedwon")],
    }
    new = Create("h-1", {"properties": values, "associations": partners})
    key = key_of(ready.write(stream, [new])[0])
    assert ready.fetch(stream, [key]).records[0].payload["associations"] == partners


def test_a_deleted_record_cannot_be_written(twin: Twin, ready: HubSpotConnector) -> None:
    key = twin.create("products", name="Widget")
    key_of(ready.write("products", [Delete(key, None)])[0])
    assert ready.fetch("products", [key]).gone == [key]
    (outcome,) = ready.write("products", [Update(key, {"properties": {"name": "X"}}, None)])
    assert isinstance(outcome.error, RecordMissingError)


# -- the account


def test_check_is_content_with_a_ready_account(twin: Twin, ready: HubSpotConnector) -> None:
    levels = [finding.level for finding in ready.check()]
    assert levels[0] == "ok"
    assert "error" not in levels


def test_a_wrong_token_is_refused(twin: Twin) -> None:
    hubspot = connect(twin, token="wrong")
    with pytest.raises(CredentialsError):
        hubspot.check()
    hubspot.close()


def test_a_missing_scope_is_a_finding(twin: Twin, ready: HubSpotConnector) -> None:
    twin.faults.add("quota", "GET */deals", detail="crm.objects.deals.read")
    (error,) = [one for one in ready.check() if one.level == "error"]
    assert "crm.objects.deals.read" in error.what


def test_a_webhook_of_the_twin_is_genuine(twin: Twin) -> None:
    """A webhook of the twin is genuine and names the record."""
    deliveries: Queue[Request] = Queue()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            url = f"http://{self.headers['host']}{self.path}"
            deliveries.put(Request("POST", url, headers, body, datetime.now(UTC)))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Receiver) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        twin.subscribe(f"http://127.0.0.1:{server.server_port}/in?a=%3A", "company.creation")
        key = twin.create("companies", name="ACME")
        request = deliveries.get(timeout=10)
        server.shutdown()
        thread.join()
    hubspot = connect(twin, webhook_secret=twin.client_secret)
    assert hubspot.verify(request)
    assert not connect(twin, webhook_secret="other").verify(request)
    assert [(one.stream, one.key) for one in hubspot.notifications(request.body)] == [
        ("companies", key)
    ]


def test_an_oauth_app_survives_token_rotation(twin: Twin) -> None:
    """An OAuth app survives the expiry and the rotation of its tokens."""
    twin.tokens.rotate = True
    twin.tokens.lifetime = 60
    store = MemoryTokens()
    settings = {
        "base_url": twin.url,
        "client_id": twin.tokens.client_id,
        "client_secret": twin.tokens.client_secret,
        "refresh_token": twin.tokens.refresh,
    }
    # Each time the token has expired, it is renewed with the rotated refresh token.
    for _ in range(3):
        hubspot = HubSpotConnector(settings, Budget(), tokens=store)
        for _ in range(2):
            assert list(hubspot.keys("notes")) == [[]]
        hubspot.close()
        twin.clock.advance(timedelta(minutes=1))
        store.save(replace(store.load(), expires_at=EXPIRED))
    stored = store.load()
    assert stored is not None
    assert stored.refresh == twin.tokens.refresh
    assert [entry.path for entry in twin.log.entries()].count("/oauth/2026-09/token") == 3


def test_a_revoked_app_stops_the_connection(twin: Twin) -> None:
    twin.tokens.revoked = True
    settings = {
        "base_url": twin.url,
        "client_id": twin.tokens.client_id,
        "client_secret": twin.tokens.client_secret,
        "refresh_token": twin.tokens.refresh,
    }
    hubspot = HubSpotConnector(settings, Budget())
    with pytest.raises(CredentialsError, match="authorise the app again"):
        hubspot.check()
    hubspot.close()


def test_the_search_limit_is_kept(twin: Twin) -> None:
    twin.limits.enforced = True
    twin.clock.set(datetime(2027, 1, 1, tzinfo=UTC))
    time = TwinTime(twin)
    settings = {"token": twin.token, "base_url": twin.url, "search_lag_seconds": 0}
    kept = HubSpotConnector(settings, Budget(clock=time, sleep=time.sleep))
    _, cursor = read(kept, "notes", None)
    for _ in range(12):
        read(kept, "notes", cursor)
    kept.close()
    assert 429 not in {entry.status for entry in twin.log.entries()}


class TwinTime:
    """The twin's clock for a budget: it advances only by sleeping."""

    def __init__(self, twin: Twin) -> None:
        self._clock = twin.clock

    def __call__(self) -> float:
        return self._clock.now().timestamp()

    def sleep(self, seconds: float) -> None:
        self._clock.advance(timedelta(seconds=seconds))
