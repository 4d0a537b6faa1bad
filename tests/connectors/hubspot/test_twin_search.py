"""Search on the twin: operators against a naive filter, caps, sorts, query, a lagging index."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.hubspot.twin import Twin, start

PATH = "/crm/objects/2026-09/companies/search"
NAMES = ["Acme Tools", "acme tools", "Bolt & Nut", "Ünal Möbel", "Zeta", None]
NUMBERS = ["1", "2.5", "10", "100", None]
INDUSTRIES = ["MACHINERY", "TEXTILES", None]


@pytest.fixture(scope="module")
def twin() -> Iterator[Twin]:
    running = start(seed=5)
    for index in range(60):
        values = {
            "domain": f"d{index}.example",
            "name": NAMES[index % 6],
            "annualrevenue": NUMBERS[index % 5],
            "industry": INDUSTRIES[index % 3],
        }
        running.create("companies", **values)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def http(twin: Twin) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {twin.token}"}
    with httpx.Client(base_url=twin.url, verify=False, headers=headers) as client:
        yield client


def search(http: httpx.Client, **body: Any) -> dict[str, Any]:
    answer = http.post(PATH, json={"limit": 200, **body})
    assert answer.status_code == 200, answer.text
    return answer.json()


def one(name: str, op: str, **operands: Any) -> list[dict[str, Any]]:
    return [{"filters": [{"propertyName": name, "operator": op, **operands}]}]


def ids(found: dict[str, Any]) -> list[str]:
    return [row["id"] for row in found["results"]]


# -- a naive reading of the documentation, written without looking at the twin -------------------

COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "EQ": operator.eq,
    "NEQ": operator.ne,
    "LT": operator.lt,
    "LTE": operator.le,
    "GT": operator.gt,
    "GTE": operator.ge,
}


def naive(row: dict[str, Any], name: str, op: str, operands: dict[str, Any]) -> bool:
    value = row["properties"].get(name)
    if op == "HAS_PROPERTY":
        return value is not None
    if op == "NOT_HAS_PROPERTY":
        return value is None
    if value is None:
        return False
    number = name == "annualrevenue"
    cast: Callable[[str], Any] = Decimal if number else str
    if op in COMPARE:
        wanted = operands["value"]
        if name == "name":
            return COMPARE[op](value.lower(), wanted.lower())
        return COMPARE[op](cast(value), cast(wanted))
    if op == "BETWEEN":
        return cast(operands["value"]) <= cast(value) <= cast(operands["highValue"])
    if op in ("IN", "NOT_IN"):
        own = value.lower() if name == "name" else cast(value)
        inside = own in [cast(v) for v in operands["values"]]
        return inside if op == "IN" else not inside
    words = re.findall(r"\w+", value.lower())
    inside = operands["value"].lower() in words
    return inside if op == "CONTAINS_TOKEN" else not inside


texts = st.sampled_from([name for name in NAMES if name] + ["nothing"])
numbers = st.sampled_from(["1", "2.5", "9", "10.0", "100"])
codes = st.sampled_from(["MACHINERY", "TEXTILES", "machinery"])


def filters() -> st.SearchStrategy[dict[str, Any]]:
    def valued(name: str, values: st.SearchStrategy[str], ops: list[str]) -> Any:
        return st.fixed_dictionaries(
            {"propertyName": st.just(name), "operator": st.sampled_from(ops), "value": values}
        )

    def listed(name: str, values: st.SearchStrategy[str]) -> Any:
        return st.fixed_dictionaries(
            {
                "propertyName": st.just(name),
                "operator": st.sampled_from(["IN", "NOT_IN"]),
                "values": st.lists(values, min_size=1, max_size=3),
            }
        )

    between = st.tuples(numbers, numbers).map(
        lambda pair: {
            "propertyName": "annualrevenue",
            "operator": "BETWEEN",
            "value": pair[0],
            "highValue": pair[1],
        }
    )
    known = st.fixed_dictionaries(
        {
            "propertyName": st.sampled_from(["name", "annualrevenue", "industry"]),
            "operator": st.sampled_from(["HAS_PROPERTY", "NOT_HAS_PROPERTY"]),
        }
    )
    words = st.sampled_from(["acme", "Tools", "nut", "möbel", "zet"])
    return st.one_of(
        valued("name", texts, ["EQ", "NEQ"]),
        valued("annualrevenue", numbers, list(COMPARE)),
        valued("industry", codes, ["EQ", "NEQ"]),
        valued("name", words, ["CONTAINS_TOKEN", "NOT_CONTAINS_TOKEN"]),
        listed("name", texts),
        listed("annualrevenue", numbers),
        between,
        known,
    )


@settings(max_examples=100, deadline=None)
@given(groups=st.lists(st.lists(filters(), min_size=1, max_size=3), min_size=1, max_size=4))
def test_filters_match_a_naive_search(twin, http, groups) -> None:
    found = search(http, filterGroups=[{"filters": group} for group in groups])
    expected = [
        row["id"]
        for row in twin.objects("companies")
        if any(all(naive(row, f["propertyName"], f["operator"], f) for f in g) for g in groups)
    ]
    assert ids(found) == expected
    assert found["total"] == len(expected)


@settings(max_examples=25, deadline=None)
@given(
    limit=st.integers(1, 200),
    down=st.booleans(),
    name=st.sampled_from(["annualrevenue", "name", "createdate", "hs_object_id"]),
)
def test_pages_together_are_the_whole_in_order(twin, http, limit, down, name) -> None:
    direction = "DESCENDING" if down else "ASCENDING"
    sorts = [{"propertyName": name, "direction": direction}]
    pages, after = [], "0"
    while True:
        page = search(http, sorts=sorts, limit=limit, after=after, properties=[name])
        pages += page["results"]
        if "paging" not in page:
            break
        after = page["paging"]["next"]["after"]
    assert len({row["id"] for row in pages}) == len(pages) == 60
    values = [row["properties"][name] for row in pages]
    known = [value for value in values if value is not None]
    assert values[: len(known)] == known
    cast = Decimal if name in ("annualrevenue", "hs_object_id") else str.lower
    keys = [cast(value) for value in known]
    assert keys == sorted(keys, reverse=down)


def test_times_compare_as_milliseconds_or_iso(twin, http) -> None:
    row = twin.objects("companies")[30]
    at = datetime.fromisoformat(row["updatedAt"])
    ms = str(int(at.timestamp() * 1000))
    for value in (ms, row["updatedAt"]):
        found = search(http, filterGroups=one("hs_lastmodifieddate", "GTE", value=value))
        expected = [
            r["id"] for r in twin.objects("companies") if r["updatedAt"] >= row["updatedAt"]
        ]
        assert ids(found) == expected


def test_keyset_by_id_walks_through_equal_times(twin, http) -> None:
    assert twin.touch("companies") == 60
    at = twin.objects("companies")[0]["updatedAt"]
    seen: list[str] = []
    last = "0"
    while True:
        filters = [
            {"propertyName": "hs_lastmodifieddate", "operator": "EQ", "value": at},
            {"propertyName": "hs_object_id", "operator": "GT", "value": last},
        ]
        page = search(http, filterGroups=[{"filters": filters}], sorts=["hs_object_id"], limit=25)
        if not page["results"]:
            break
        seen += ids(page)
        last = seen[-1]
    assert seen == [row["id"] for row in twin.objects("companies")]


def test_text_in_lists_must_be_lower_case(http) -> None:
    assert search(http, filterGroups=one("name", "IN", values=["Zeta"]))["total"] == 0
    assert search(http, filterGroups=one("name", "IN", values=["zeta"]))["total"] == 10


def test_tokens_with_wildcards(http) -> None:
    found = search(http, filterGroups=one("domain", "CONTAINS_TOKEN", value="*7.example"))
    assert found["total"] == 6
    assert search(http, filterGroups=one("domain", "CONTAINS_TOKEN", value="d7"))["total"] == 1


def test_the_query_looks_at_the_usual_properties(http) -> None:
    assert search(http, query="acm too")["total"] == 20
    assert search(http, query="d11.example")["total"] == 1
    assert search(http, query="machinery")["total"] == 0


def test_without_filters_all_come_oldest_first(twin, http) -> None:
    """Without filters all live records are found, oldest first."""
    found = search(http)
    assert ids(found) == [row["id"] for row in twin.objects("companies")]


BAD: list[dict[str, Any]] = [
    {"limit": 201},
    {"limit": -1},
    {"after": "x"},
    {"after": "10000"},
    {"sorts": ["name", "domain"]},
    {"sorts": ["shoe"]},
    {"query": "x" * 3001},
    {"filterGroups": one("shoe", "EQ", value="1")},
    {"filterGroups": one("name", "LIKE", value="1")},
    {"filterGroups": one("name", "EQ")},
    {"filterGroups": one("name", "IN", value="x")},
    {"filterGroups": one("annualrevenue", "GT", value="much")},
    {"filterGroups": one("annualrevenue", "BETWEEN", value="1")},
    {"filterGroups": one("name", "HAS_PROPERTY") * 6},
    {"filterGroups": [{"filters": one("name", "HAS_PROPERTY")[0]["filters"] * 7}]},
    {"filterGroups": [{"filters": one("name", "HAS_PROPERTY")[0]["filters"] * 5}] * 4},
]


@pytest.mark.parametrize("body", BAD)
def test_searches_that_are_refused(http, body) -> None:
    answer = http.post(PATH, json=body)
    assert answer.status_code == 400
    assert answer.json()["category"] == "VALIDATION_ERROR"


def test_a_search_pages_10000_results_at_most() -> None:
    with start(seed=1, records=10_050) as big:
        headers = {"Authorization": f"Bearer {big.token}"}
        with httpx.Client(base_url=big.url, verify=False, headers=headers) as client:
            page = client.post(PATH, json={"limit": 200, "after": "9800"}).json()
            assert page["total"] == 10_050
            assert page["paging"]["next"]["after"] == "10000"
            beyond = client.post(PATH, json={"limit": 200, "after": "10000"})
            assert beyond.status_code == 400


def test_the_index_lags_on_request() -> None:
    with start(seed=1) as late:
        late.clock.set(datetime(2026, 5, 1, 9, tzinfo=UTC))
        headers = {"Authorization": f"Bearer {late.token}"}
        with httpx.Client(base_url=late.url, verify=False, headers=headers) as client:
            key = late.create("companies", name="Old")
            late.settings.search_lag_ms = 5_000

            def names() -> list[str]:
                return [r["properties"]["name"] for r in search(client)["results"]]

            late.edit("companies", key, name="New")
            late.create("companies", name="Fresh")
            assert names() == ["Old"]
            listed = client.get("/crm/objects/2026-09/companies").json()["results"]
            assert [r["properties"]["name"] for r in listed] == ["New", "Fresh"]
            old = search(client, filterGroups=one("name", "EQ", value="New"))
            assert old["total"] == 0
            late.clock.advance(timedelta(seconds=5))
            assert names() == ["New", "Fresh"]


def test_a_lagging_index_shows_old_values() -> None:
    """A lagging index shows the old state of a whole record, never a mixture."""
    with start(seed=1) as late:
        key = late.create("companies", name="Old", city="Linz")
        late.settings.search_lag_ms = 60_000
        before = late.get("companies", key)
        late.edit("companies", key, city="Graz")
        headers = {"Authorization": f"Bearer {late.token}"}
        with httpx.Client(base_url=late.url, verify=False, headers=headers) as client:
            row = search(client, properties=["city"])["results"][0]
        assert row["properties"]["city"] == "Linz"
        assert row["updatedAt"] == before["updatedAt"]
        assert row["properties"]["hs_lastmodifieddate"] == before["updatedAt"]


def test_archived_records_are_not_found(twin, http) -> None:
    key = twin.create("companies", name="Gone", domain="gone.example")
    wanted = one("domain", "EQ", value="gone.example")
    assert ids(search(http, filterGroups=wanted)) == [key]
    twin.archive("companies", key)
    assert search(http, filterGroups=wanted)["total"] == 0
