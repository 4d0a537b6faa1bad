"""The twin's faults, seen by a plain HTTP client: each of them strikes, by seed, and ends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from connectors.hubspot.connector import HubSpotConnector
from connectors.hubspot.twin import Twin, start
from connectors.hubspot.twin.data_faults import KNOWN
from connectors.kit.budget import Budget
from connectors.kit.faults import FAULTS, FaultError
from connectors.kit.twin import LINE

COMPANIES = "/crm/objects/2026-09/companies"
GRANT = {
    "grant_type": "refresh_token",
    "client_id": "twin-client",
    "client_secret": "twin-client-secret",
}


@pytest.fixture
def twin() -> Iterator[Twin]:
    with start() as running:
        yield running


@pytest.fixture
def api(twin: Twin) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {twin.token}"}
    with httpx.Client(base_url=twin.url, headers=headers, timeout=5) as client:
        yield client


def post(api: httpx.Client, name: str) -> httpx.Response | None:
    try:
        return api.post(COMPANIES, json={"properties": {"name": name}, "associations": []})
    except httpx.TransportError:
        return None


#: Fault -> status (None: no answer), header Retry-After, whether the call was executed.
SEEN = {
    "throttled": (429, "1", False),
    "abrupt": (429, None, False),
    "quota": (403, "1", False),
    "down": (503, None, False),
    "lost": (502, None, True),
    "timeout": (504, None, True),
    "reset": (None, None, True),
    "truncated": (201, None, True),
}


@pytest.mark.parametrize("fault", SEEN)
def test_a_vice_of_the_line(twin: Twin, api: httpx.Client, fault: str) -> None:
    twin.inject_faults(f"{fault}:1")
    answer, (status, wait, executed) = post(api, "Acme"), SEEN[fault]
    assert (answer.status_code if answer else None) == status
    assert (answer.headers.get("retry-after") if answer else None) == wait
    assert twin.count("companies") == executed
    twin.inject_faults()
    good = post(api, "Zenith")
    assert good is not None
    assert good.status_code == 201


def test_a_quota_error_names_the_limit(twin: Twin, api: httpx.Client) -> None:
    """A 403 for a spent quota names the limit, not missing scopes."""
    twin.inject_faults("quota:1")
    answer = post(api, "Acme")
    assert answer is not None
    body = answer.json()
    assert (body["errorType"], body["policyName"]) == ("RATE_LIMIT", "DAILY")


def test_html_comes_before_or_after_the_commit(twin: Twin, api: httpx.Client) -> None:
    twin.inject_faults("html:1", seed=1)
    answers = [post(api, f"Acme {n}") for n in range(12)]
    assert {a.headers["content-type"][:9] for a in answers if a} == {"text/html"}
    assert 0 < twin.count("companies") < 12


def test_the_same_seed_brings_the_same_faults(twin: Twin, api: httpx.Client) -> None:
    def story(seed: int) -> list[int]:
        twin.inject_faults("down:0.3,throttled:0.3", seed=seed)
        return [api.get(COMPANIES).status_code for _ in range(20)]

    assert story(1) == story(1)
    assert story(1) != story(2)
    assert set(story(1)) == {200, 429, 503}


def test_parts_of_a_batch_fail_or_are_omitted(twin: Twin, api: httpx.Client) -> None:
    twin.inject_faults("partial:0.5", seed=1)
    inputs = [
        {"properties": {"name": f"Acme {n}"}, "associations": [], "objectWriteTraceId": str(n)}
        for n in range(20)
    ]
    body: dict[str, Any] = api.post(f"{COMPANIES}/batch/create", json={"inputs": inputs}).json()
    failed = [e["context"]["objectWriteTraceId"][0] for e in body["errors"]]
    assert {e["category"] for e in body["errors"]} == {"RATE_LIMITS"}
    answered = [row["objectWriteTraceId"] for row in body["results"]]
    silent = {str(n) for n in range(20)} - {*failed, *answered}
    assert failed
    assert silent
    made = {one["properties"]["name"] for one in twin.objects("companies")}
    assert made == {f"Acme {n}" for n in range(20) if str(n) not in failed}
    changes = [
        {"id": one["id"], "properties": {"city": "Bonn"}, "objectWriteTraceId": one["id"]}
        for one in twin.objects("companies")
    ]
    body = api.post(f"{COMPANIES}/batch/update", json={"inputs": changes}).json()
    there = [one for one in twin.objects("companies") if one["properties"].get("city")]
    assert len(body["results"]) < len(there) < len(changes)


def test_changes_share_one_time(twin: Twin) -> None:
    twin.inject_faults("ties")
    keys = [twin.create("companies", name=str(n)) for n in range(6)]
    times = {twin.get("companies", key)["updatedAt"] for key in keys}
    assert len(times) <= 2
    assert all(at.endswith(".000Z") for at in times)
    before = twin.get("companies", keys[0])["updatedAt"]
    assert twin.edit("companies", keys[0], name="x")["updatedAt"] > before


def test_the_clock_is_wrong_and_stays_so(twin: Twin, api: httpx.Client) -> None:
    twin.inject_faults("skew", seed=1)
    skew = twin.clock.skew
    assert abs(skew.total_seconds()) >= 60
    twin.inject_faults()
    assert twin.clock.skew == skew
    assert api.get(COMPANIES).headers["date"]


def test_records_move_and_vanish_between_pages(twin: Twin, api: httpx.Client) -> None:
    twin.settings.most_rows = 2
    for n in range(6):
        twin.create("companies", name=str(n))

    def listed() -> list[str]:
        found, after = [], None
        while True:
            body = api.get(COMPANIES, params={"after": after} if after else {}).json()
            found += [row["id"] for row in body["results"]]
            if "paging" not in body:
                return found
            after = body["paging"]["next"]["after"]

    whole = listed()
    before = {one["id"]: one["updatedAt"] for one in twin.objects("companies")}
    twin.inject_faults("moving:1", seed=1)
    assert listed() == whole
    moved = [one for one in twin.objects("companies") if one["updatedAt"] != before[one["id"]]]
    assert moved
    twin.inject_faults("vanishing:1", seed=1)
    assert any(len(listed()) < len(whole) for _ in range(5))
    twin.inject_faults()
    assert [one["id"] for one in twin.objects("companies")] == whole, "all are back"


def test_a_rule_always_refuses_the_same_value(twin: Twin, api: httpx.Client) -> None:
    """A rule refuses writes of the API, and always the same value."""
    twin.inject_faults("refused:0.5", seed=2)
    keys = [twin.create("companies", name=str(n)) for n in range(12)]  # edits by users pass

    def codes() -> list[int]:
        body = {"properties": {"city": "Bonn"}}
        return [api.patch(f"{COMPANIES}/{key}", json=body).status_code for key in keys]

    first = codes()
    assert {*first} == {200, 400}
    assert codes() == first
    key = keys[first.index(400)]
    body = api.patch(f"{COMPANIES}/{key}", json={"properties": {"city": "Bonn"}}).json()
    assert body["category"] == "VALIDATION_ERROR"
    assert body["errors"][0]["context"] == {"propertyName": ["city"]}


def test_values_are_written_another_way(twin: Twin) -> None:
    twin.inject_faults("shouted,shortened,rounded")
    key = twin.create("companies", name="A" * 40, city="Bonn")
    shown = twin.get("companies", key)["properties"]
    assert (shown["name"], shown["city"]) == ("A" * 24, "BONN")
    product = twin.create("products", name="Widget", price="1.26")
    assert twin.get("products", product)["properties"]["price"] == "1.3"


def test_access_tokens_may_expire_early(twin: Twin) -> None:
    """Access tokens may expire early, but not at once."""
    twin.inject_faults("token:1")
    form = {**GRANT, "refresh_token": "twin-refresh"}
    token = httpx.post(f"{twin.url}/oauth/v1/token", data=form).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    answers = [httpx.get(f"{twin.url}{COMPANIES}", headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 401]
    assert answers[1].json()["category"] == "EXPIRED_AUTHENTICATION"
    static = {"Authorization": f"Bearer {twin.token}"}
    assert httpx.get(f"{twin.url}{COMPANIES}", headers=static).status_code == 200


def test_an_old_refresh_token_ends_with_the_next(twin: Twin) -> None:
    """A rotated refresh token leaves the former one valid until the new one is used."""
    twin.inject_faults("rotated:0.000001")

    def grant(refresh: str) -> httpx.Response:
        return httpx.post(f"{twin.url}/oauth/v1/token", data={**GRANT, "refresh_token": refresh})

    grant("twin-refresh")  # its answer is lost
    second = grant("twin-refresh").json()["refresh_token"]
    third = grant(second).json()["refresh_token"]
    assert len({"twin-refresh", second, third}) == 3
    assert grant("twin-refresh").status_code == 400
    assert grant(third).status_code == 200


def test_it_has_every_fault_that_applies(twin: Twin) -> None:
    assert set(FAULTS) - KNOWN == {"cursor"}
    assert set(LINE) <= KNOWN
    with pytest.raises(FaultError, match="a HubSpot twin cannot be cursor"):
        twin.inject_faults("cursor")
    with pytest.raises(FaultError, match="did you mean lost"):
        twin.inject_faults("los")


def test_a_short_search_page_may_not_be_the_last(twin: Twin) -> None:
    settings = {"token": twin.token, "base_url": twin.url, "search_lag_seconds": 0}
    connector = HubSpotConnector(settings, Budget(sleep=lambda _: None))
    try:
        cursor = [page.cursor for page in connector.pages("companies", None)][-1]
        keys = {twin.create("companies", name=str(n)) for n in range(9)}
        twin.settings.most_rows = 4
        found = {r.key for page in connector.pages("companies", cursor) for r in page.records}
        assert found == keys
        twin.touch("companies")  # all at one moment
        found = {r.key for page in connector.pages("companies", cursor) for r in page.records}
        assert found == keys
    finally:
        connector.close()
