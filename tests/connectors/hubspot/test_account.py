"""Credentials, errors, limits, properties, and the manifest."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import respx
from httpx import Response

import connectors.hubspot
from connectors.hubspot.connector import HubSpotConnector
from connectors.hubspot.vocabulary import ASSOCIATION_TYPES, REPORTED_TYPES, STREAMS
from connectors.kit.auth import MemoryTokens
from connectors.kit.budget import Budget
from connectors.kit.contract import Connector, FieldNeed
from connectors.kit.errors import (
    ContractError,
    CredentialsError,
    RateLimitedError,
    UnavailableError,
)
from connectors.kit.manifest import read_manifest

from .conftest import DATE, HOST, Build, Time, results, sent

OBJECTS = "/crm/objects/2026-09"
LINKS = "/crm/associations/2026-09"
PROPERTIES = "/crm/properties/2026-09"
ACCOUNT = "/account-info/2026-09/details"


# -- credentials


def test_the_connector_implements_the_contract(hubspot: HubSpotConnector) -> None:
    assert isinstance(hubspot, Connector)


def test_calls_carry_the_token_and_the_version(build: Build, api: respx.MockRouter) -> None:
    route = api.get("/crm/objects/2027-03/notes").mock(return_value=Response(200, json=results()))
    list(build(api_version="2027-03").keys("notes"))
    assert route.calls[0].request.headers["authorization"] == "Bearer pat-na1-hush"


def test_an_oauth_app_gets_its_token_first(api: respx.MockRouter) -> None:
    tokens = api.post("/oauth/2026-09/token").mock(
        return_value=Response(
            200, json={"access_token": "one", "refresh_token": "next", "expires_in": 1800}
        )
    )
    route = api.get(f"{OBJECTS}/notes").mock(return_value=Response(200, json=results()))
    settings = {"client_id": "id", "client_secret": "hush", "refresh_token": "first"}
    store = MemoryTokens()
    hubspot = HubSpotConnector(settings, Budget(), tokens=store)
    list(hubspot.keys("notes"))
    hubspot.close()
    assert b"grant_type=refresh_token" in tokens.calls[0].request.content
    assert route.calls[0].request.headers["authorization"] == "Bearer one"
    stored = store.load()
    assert stored is not None
    assert stored.refresh == "next"


@pytest.mark.parametrize(
    "settings", [{}, {"client_id": "id"}, {"client_id": "id", "client_secret": "hush"}]
)
def test_missing_credentials_are_named(settings: dict[str, Any]) -> None:
    with pytest.raises(CredentialsError, match="refresh_token"):
        HubSpotConnector(settings, Budget())


def test_a_wrong_token_stops_the_connection(
    hubspot: HubSpotConnector, api: respx.MockRouter
) -> None:
    body = {"category": "INVALID_AUTHENTICATION", "message": "credentials not found"}
    api.get(ACCOUNT).mock(return_value=Response(401, json=body))
    with pytest.raises(CredentialsError) as raised:
        hubspot.check()
    assert "hush" not in str(raised.value)


def test_a_missing_scope_is_named(hubspot: HubSpotConnector, api: respx.MockRouter) -> None:
    body = {
        "category": "MISSING_SCOPES",
        "errors": [{"context": {"requiredGranularScopes": ["crm.objects.deals.read"]}}],
    }
    api.post(f"{OBJECTS}/deals/batch/read").mock(return_value=Response(403, json=body))
    with pytest.raises(CredentialsError, match=r"crm\.objects\.deals\.read"):
        hubspot.fetch("deals", ["1"])


@pytest.mark.parametrize(
    "body",
    [
        {"errorType": "RATE_LIMIT", "policyName": "DAILY"},
        {"category": "RATE_LIMITS", "message": "You have reached your daily limit."},
    ],
)
def test_a_spent_quota_does_not_pause_it(
    hubspot: HubSpotConnector, api: respx.MockRouter, body: dict[str, str]
) -> None:
    """A spent quota is waited for and does not pause the connection."""
    api.post(f"{OBJECTS}/deals/batch/read").mock(return_value=Response(403, json=body))
    with pytest.raises(RateLimitedError) as raised:
        hubspot.fetch("deals", ["1"])
    assert raised.value.retry_after == timedelta(hours=1)


def test_a_token_that_expires_early_is_renewed(build: Build, api: respx.MockRouter) -> None:
    answers = [Response(200, json={"access_token": name, "expires_in": 1800}) for name in "ab"]
    tokens = api.post("/oauth/2026-09/token").mock(side_effect=answers)
    gone = Response(401, json={"category": "EXPIRED_AUTHENTICATION"})
    api.post(f"{OBJECTS}/tasks/batch/read").mock(side_effect=[gone, Response(200, json=results())])
    oauth = {"client_id": "id", "client_secret": "hush", "refresh_token": "first"}
    assert build(token=None, **oauth).fetch("tasks", ["1"]).gone == ["1"]
    assert tokens.call_count == 2


def test_check_looks_at_every_stream(hubspot: HubSpotConnector, api: respx.MockRouter) -> None:
    account = {"portalId": 42, "accountType": "DEVELOPER_TEST"}
    api.get(ACCOUNT).mock(return_value=Response(200, json=account))
    scopes = {
        "category": "MISSING_SCOPES",
        "context": {"missingScopes": ["crm.objects.orders.read"]},
    }
    for stream in STREAMS:
        answer = Response(403, json=scopes) if stream == "orders" else Response(200, json=results())
        api.get(f"{OBJECTS}/{stream}").mock(return_value=answer)
        ready = Response(404) if stream == "notes" else Response(200, json={})
        api.get(f"{PROPERTIES}/{stream}/tulay_id").mock(return_value=ready)
    for one, other in REPORTED_TYPES:
        plain = {"category": "HUBSPOT_DEFINED", "typeId": 7, "label": None}
        rows = results() if other == "deals" else {"results": [plain]}
        api.get(f"{LINKS}/{one}/{other}/labels").mock(return_value=Response(200, json=rows))
    findings = hubspot.check()
    assert findings[0].level == "ok"
    assert "42 (developer test)" in findings[0].what
    (error,) = [one for one in findings if one.level == "error"]
    assert "crm.objects.orders.read" in error.what
    warnings = [one.what for one in findings if one.level == "warning"]
    assert len(warnings) == 3
    assert "associates invoices with deals" in warnings[0]
    assert "notes" in warnings[1]
    assert "webhook_secret" in warnings[2]


# -- limits


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        ({"policyName": "TEN_SECONDLY_ROLLING"}, 10),
        ({"policyName": "SECONDLY"}, 1),
        ({"message": "You have reached your ten_secondly_rolling limit."}, 10),
        ({"message": "You have reached your secondly limit."}, 1),
    ],
)
def test_without_retry_after_the_policy_decides(
    hubspot: HubSpotConnector,
    api: respx.MockRouter,
    time: Time,
    body: dict[str, str],
    seconds: float,
) -> None:
    """A rate limit without Retry-After waits as long as its policy name implies."""
    api.get(f"{OBJECTS}/notes").mock(
        side_effect=[Response(429, json=body), Response(200, json=results())]
    )
    assert list(hubspot.keys("notes")) == [[]]
    assert time.now == pytest.approx(seconds)


def test_a_spent_daily_limit_is_not_sat_out(
    hubspot: HubSpotConnector, api: respx.MockRouter, time: Time
) -> None:
    route = api.get(f"{OBJECTS}/notes").mock(
        return_value=Response(429, json={"policyName": "DAILY"})
    )
    for _ in range(2):
        with pytest.raises(RateLimitedError) as raised:
            list(hubspot.keys("notes"))
        assert raised.value.retry_after == timedelta(hours=1)
    assert route.call_count == 1
    assert time.now == 0


def test_searches_have_their_own_limit(build: Build, api: respx.MockRouter, time: Time) -> None:
    api.get(f"{OBJECTS}/notes").mock(return_value=Response(200, json=results(), headers=DATE))
    api.post(f"{OBJECTS}/notes/search").mock(return_value=Response(200, json=results()))
    hubspot = build()
    for _ in range(6):
        list(
            hubspot.pages(
                "notes", '{"until":"2026-10-01T09:00:00Z","deleted":"2026-10-01T09:00:00Z"}'
            )
        )
    assert time.now == pytest.approx(1)


def test_the_headers_count_calls_of_others(build: Build, api: respx.MockRouter, time: Time) -> None:
    headers = {
        "X-HubSpot-RateLimit-Max": "100",
        "X-HubSpot-RateLimit-Remaining": "0",
        "X-HubSpot-RateLimit-Interval-Milliseconds": "10000",
    }
    api.get(f"{OBJECTS}/notes").mock(
        side_effect=[
            Response(200, json=results(after="2"), headers=headers),
            Response(200, json=results()),
        ]
    )
    list(build().keys("notes"))
    assert time.now == pytest.approx(10)


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (Response(423, json={}), UnavailableError),
        (Response(477, headers={"Retry-After": "86400"}), RateLimitedError),
        (Response(502, text="bad gateway"), UnavailableError),
        (Response(400, json={"category": "VALIDATION_ERROR"}), ContractError),
        (Response(200, text="<html>"), ContractError),
        (Response(200, json=[]), ContractError),
        (Response(200, json={}), ContractError),
        (Response(200, json=results({"id": "1"})), ContractError),
    ],
)
def test_an_unexpected_answer_says_what_to_do(
    hubspot: HubSpotConnector, api: respx.MockRouter, response: Response, error: type[Exception]
) -> None:
    api.get(f"{OBJECTS}/notes").mock(return_value=response)
    with pytest.raises(error) as raised:
        list(hubspot.keys("notes"))
    assert type(raised.value) is error


# -- properties


def prop(name: str, kind: str = "string", **more: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, "fieldType": "text", "label": name, "options": [], **more}


def test_describe_reports_types_and_permissions(
    hubspot: HubSpotConnector, api: respx.MockRouter
) -> None:
    """Describe names types, options and the fields that cannot be written."""
    api.get(f"{PROPERTIES}/deals").mock(
        return_value=Response(
            200,
            json=results(
                prop("dealname"),
                prop("amount", "number"),
                prop("dealstage", "enumeration", options=[{"value": "won"}, {"value": "lost"}]),
                prop(
                    "hubspot_owner_id",
                    "enumeration",
                    externalOptions=True,
                    options=[{"value": "1"}],
                ),
                prop("hs_object_id", "number", modificationMetadata={"readOnlyValue": True}),
                prop("hs_score", "number", calculated=True),
            ),
        )
    )
    fields = hubspot.describe("deals").fields
    assert fields["properties.dealname"].type == "text"
    assert fields["properties.amount"].type == "number"
    assert list(fields["properties.dealstage"].options) == ["won", "lost"]
    assert not fields["properties.hubspot_owner_id"].options
    assert not fields["properties.hs_object_id"].writable
    assert not fields["properties.hs_score"].writable
    assert fields["line_items"].type == "list"
    assert fields["associations.companies"].type == "reference"


def test_prepare_creates_only_what_is_missing(
    hubspot: HubSpotConnector, api: respx.MockRouter
) -> None:
    api.get(f"{PROPERTIES}/companies").mock(
        return_value=Response(200, json=results(prop("tulay_currency")))
    )
    group = api.post(f"{PROPERTIES}/companies/groups").mock(return_value=Response(409, json={}))
    create = api.post(f"{PROPERTIES}/companies").mock(
        side_effect=[Response(201, json={}), Response(201, json={}), Response(409, json={})]
    )
    needs = [
        FieldNeed("companies", "properties.tulay_in_production", "boolean", "In production"),
        FieldNeed("companies", "tulay_currency", "text", "Currency"),
        FieldNeed("companies", "tulay_last_order", "date", "Last order"),
    ]
    findings = hubspot.prepare(needs)
    assert [one.level for one in findings] == ["ok"] * 3
    assert sent(group.calls[0])["name"] == "tulay"
    first, second, own = (sent(call) for call in create.calls)
    assert (first["name"], first["type"]) == ("tulay_in_production", "bool")
    assert [one["value"] for one in first["options"]] == ["true", "false"]
    assert (second["type"], second["fieldType"]) == ("date", "date")
    assert (own["name"], own["hasUniqueValue"]) == ("tulay_id", True)
    assert not second["hasUniqueValue"]
    assert {one["groupName"] for one in (first, second, own)} == {"tulay"}


def test_an_enum_is_created_with_its_options(
    hubspot: HubSpotConnector, api: respx.MockRouter
) -> None:
    known = prop("tulay_id", hasUniqueValue=True)
    old = prop("tulay_size", type="enumeration", options=[{"value": "small", "label": "Small"}])
    api.get(f"{PROPERTIES}/companies").mock(return_value=Response(200, json=results(known, old)))
    api.post(f"{PROPERTIES}/companies/groups").mock(return_value=Response(409, json={}))
    create = api.post(f"{PROPERTIES}/companies").mock(return_value=Response(201, json={}))
    findings = hubspot.prepare(
        [
            FieldNeed("companies", "tulay_grade", "enum", "Grade", options=("not_rated", "a")),
            FieldNeed("companies", "tulay_size", "enum", "Size", options=("small", "large")),
        ]
    )
    body = sent(create.calls[0])
    assert (body["type"], body["fieldType"]) == ("enumeration", "select")
    assert [(one["label"], one["value"]) for one in body["options"]] == [
        ("Not rated", "not_rated"),
        ("A", "a"),
    ]
    assert len(create.calls) == 1
    assert [one.what for one in findings if one.level == "warning"] == [
        "HubSpot: property tulay_size of companies lacks the options large"
    ]


def test_prepare_twice_creates_nothing(hubspot: HubSpotConnector, api: respx.MockRouter) -> None:
    api.get(f"{PROPERTIES}/notes").mock(
        return_value=Response(200, json=results(prop("tulay_id", hasUniqueValue=True)))
    )
    create = api.post(f"{PROPERTIES}/notes").mock(return_value=Response(201, json={}))
    assert hubspot.prepare([FieldNeed("notes", "tulay_id", "text", "Id", external_id=True)]) == []
    assert not create.called


def test_a_hub_id_that_is_not_unique_is_an_error(
    hubspot: HubSpotConnector, api: respx.MockRouter
) -> None:
    api.get(f"{PROPERTIES}/notes").mock(return_value=Response(200, json=results(prop("tulay_id"))))
    (finding,) = hubspot.prepare([FieldNeed("notes", "tulay_id", "text", "Id", external_id=True)])
    assert finding.level == "error"


# -- the manifest


def test_the_manifest_tells_the_same_as_the_code() -> None:
    folder = Path(connectors.hubspot.__path__[0])
    manifest = read_manifest(folder / "manifest.yaml")
    assert set(manifest.streams) == set(STREAMS)
    assert {facts.once for facts in manifest.streams.values()} == {"properties.tulay_id"}
    assert all(facts.batch == 100 for facts in manifest.streams.values())
    secret = {name for name, facts in manifest.settings.items() if facts.secret}
    assert secret == {"token", "client_secret", "refresh_token", "webhook_secret"}
    assert manifest.settings["base_url"].default == HOST


def test_associations_read_can_be_written() -> None:
    pairs = {(name, to) for name, names in STREAMS.items() for to in names.associations}
    assert pairs <= {*ASSOCIATION_TYPES, *REPORTED_TYPES}
    assert not ASSOCIATION_TYPES.keys() & REPORTED_TYPES
