"""Whatever JSON arrives, the twin answers with a refusal in HubSpot's form and never breaks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.hubspot.twin import Twin, start

VERBS = ["create", "read", "update", "upsert", "archive"]
LINKS = ["create", "read", "archive", "associate/default", "labels/archive"]
PATHS = [
    ("POST", "/crm/objects/2026-09/companies"),
    ("POST", "/crm/objects/2026-09/companies/search"),
    ("POST", "/crm/objects/2026-09/companies/merge"),
    ("POST", "/crm/v3/objects/contacts/gdpr-delete"),
    *(("POST", f"/crm/objects/2026-09/companies/batch/{verb}") for verb in VERBS),
    *(("POST", f"/crm/v4/associations/contacts/companies/batch/{verb}") for verb in LINKS),
    *(("POST", f"/crm/v3/associations/contacts/companies/batch/{v}") for v in LINKS[:3]),
    ("POST", "/crm/associations/2026-09/contacts/companies/labels"),
    ("POST", "/crm/properties/2026-09/companies"),
    ("PATCH", "/crm/properties/2026-09/companies/industry"),
    ("POST", "/crm/properties/2026-09/companies/batch/create"),
    ("POST", "/crm/properties/2026-09/companies/batch/read"),
    ("POST", "/crm/properties/2026-09/companies/batch/archive"),
    ("POST", "/crm/properties/2026-09/companies/groups"),
    ("POST", "/crm/pipelines/2026-09/deals"),
    ("PATCH", "/crm/pipelines/2026-09/deals/default"),
    ("POST", "/crm/pipelines/2026-09/deals/default/stages"),
    ("PATCH", "/crm/pipelines/2026-09/deals/default/stages/closedwon"),
    ("PUT", "/webhooks/v3/880011/settings"),
    ("POST", "/webhooks/v3/880011/subscriptions"),
    ("POST", "/webhooks/v3/880011/subscriptions/batch/update"),
    ("POST", "/oauth/2026-09/token"),
]
NAMES = re.findall(
    r"\w+",
    "inputs id idProperty properties associations to from types filterGroups filters propertyName "
    "operator value values highValue sorts limit after query name label type fieldType groupName "
    "options stages metadata displayOrder primaryObjectId objectIdToMerge objectId eventType "
    "targetUrl throttling maxConcurrentRequests associationCategory associationTypeId direction "
    "industry propertiesWithHistory objectWriteTraceId probability",
)

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 300),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", "x", "1", "name", "EQ", "IN", "BETWEEN", "HUBSPOT_DEFINED", "²", "\x00"]),
)
garbage = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(NAMES), inner, max_size=6),
    ),
    max_leaves=25,
)
bodies = st.one_of(
    garbage,
    st.dictionaries(st.sampled_from(NAMES), garbage, min_size=1, max_size=8),
    st.fixed_dictionaries(
        {"inputs": st.lists(st.dictionaries(st.sampled_from(NAMES), garbage, max_size=5))}
    ),
)


@pytest.fixture(scope="module")
def twin() -> Iterator[Twin]:
    with start(seed=9, records=6) as running:
        yield running


@pytest.fixture(scope="module")
def http(twin: Twin) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {twin.token}"}
    with httpx.Client(base_url=twin.url, verify=False, headers=headers) as client:
        yield client


def check(answer: httpx.Response) -> None:
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        body = answer.json()
        assert {"status", "message", "correlationId", "category"} <= set(body)


@settings(max_examples=150, deadline=None)
@given(path=st.sampled_from(PATHS), body=bodies)
def test_no_body_breaks_it(http, path, body: Any) -> None:
    check(http.request(*path, json=body))


QUERIES = ("limit", "after", "properties", "associations", "archived", "idProperty", "email")


@settings(max_examples=80, deadline=None)
@given(
    path=st.sampled_from(
        [
            "/crm/objects/2026-09/companies",
            "/crm/objects/2026-09/companies/1",
            "/crm/v4/objects/companies/1/associations/deals",
            "/crm/v3/owners",
            "/crm/v3/owners/1",
            "/crm/v3/properties/companies",
        ]
    ),
    query=st.dictionaries(
        st.sampled_from(QUERIES),
        st.sampled_from(["", "0", "-1", "²", "x", "name", "companies", "true", "9" * 30, ","]),
    ),
)
def test_no_query_breaks_it(http, path, query) -> None:
    check(http.get(path, params=query))
