"""The account around the records: seeded data, limits, tokens, history, associations, faults."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import phonenumbers
import pytest

from connectors.hubspot.twin import Twin, start
from connectors.hubspot.twin.geography import COUNTRIES

OBJECTS = "/crm/objects/2026-09"
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


@pytest.fixture
def twin() -> Iterator[Twin]:
    with start(seed=4) as running:
        running.clock.set(NOON)
        yield running


@pytest.fixture
def http(twin: Twin) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {twin.token}"}
    with httpx.Client(base_url=twin.url, verify=False, headers=headers, timeout=5) as client:
        yield client


# -- seeded data -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def seeded() -> Iterator[Twin]:
    with start(seed=7, records=900) as running:
        yield running


def test_a_new_account_has_only_owners(twin) -> None:
    assert len(twin.account.owners) == 4
    assert all(twin.count(name) == 0 for name in twin.account.catalogue.kinds)


def test_the_seed_creates_the_requested_records(seeded) -> None:
    assert seeded.count("companies") == 900
    assert 1.2 < seeded.count("contacts") / 900 < 1.4
    assert seeded.count("products") == 15
    assert seeded.count("deals") == 300
    stages = {row["properties"]["dealstage"] for row in seeded.objects("deals")}
    assert "closedwon" not in stages
    assert {"appointmentscheduled", "closedlost"} <= stages


def test_seeded_phones_are_valid_in_their_country(seeded) -> None:
    codes = {country.name: country.code for country in COUNTRIES}
    national = 0
    for row in seeded.objects("companies"):
        values = row["properties"]
        code = codes.get(values["country"], values["country"])
        number = phonenumbers.parse(values["phone"], code)
        assert phonenumbers.is_valid_number(number), values
        assert phonenumbers.region_code_for_number(number) == code, values
        national += not values["phone"].startswith("+")
    assert 40 < national < 200
    for row in seeded.objects("contacts"):
        mobile = row["properties"].get("mobilephone")
        if mobile and mobile.startswith("+"):
            assert phonenumbers.is_valid_number(phonenumbers.parse(mobile)), mobile


def test_seeded_people_belong_to_their_company(seeded) -> None:
    companies = {row["id"]: row for row in seeded.objects("companies")}
    for row in seeded.objects("contacts"):
        (company,) = row["associations"]["companies"]
        domain = companies[company]["properties"]["domain"]
        assert row["properties"]["email"].endswith(f"@{domain}")
        assert row["id"] in companies[company]["associations"]["contacts"]
    emails = [row["properties"]["email"] for row in seeded.objects("contacts")]
    domains = [row["properties"]["domain"] for row in companies.values()]
    assert len({*emails}) == len(emails)
    assert len({*domains}) == len(domains)


def test_seeded_values_would_pass_the_checks(seeded) -> None:
    for name in ("companies", "contacts", "products", "deals", "line_items"):
        kind = seeded.account.catalogue[name]
        for record in list(seeded.account.live(kind))[:200]:
            assert seeded.account.validation.check(kind, record.values) == record.values


def test_a_deals_amount_is_the_sum_of_its_lines(seeded) -> None:
    for row in seeded.objects("deals")[:50]:
        keys = row["associations"]["line_items"]
        kind = seeded.account.catalogue["line_items"]
        lines = [seeded.account.need(kind, key).value("amount") for key in keys]
        assert sum(float(amount) for amount in lines) == pytest.approx(
            float(row["properties"]["amount"])
        )


def test_the_same_seed_gives_the_same_data(seeded) -> None:
    with start(seed=7, records=900) as again:
        for name in ("companies", "contacts", "deals"):
            assert again.objects(name) == seeded.objects(name)
    with start(seed=8, records=900) as other:
        assert other.objects("companies") != seeded.objects("companies")


def test_won_deals_are_there_when_asked_for() -> None:
    with start(seed=7, records=9, won=5) as twin:
        stages = [row["properties"]["dealstage"] for row in twin.objects("deals")]
        assert stages == ["closedwon"] * 5


# -- times, history, derived values ----------------------------------------------------------------


def test_every_write_advances_the_change_time(twin, http) -> None:
    """Every write advances the time of change, even if the clock stands still."""
    key = twin.create("contacts", email="a@b.example")
    seen = [twin.get("contacts", key)["updatedAt"]]
    for name in "ABC":
        answer = http.patch(f"{OBJECTS}/contacts/{key}", json={"properties": {"firstname": name}})
        body = answer.json()
        assert body["updatedAt"] == body["properties"]["lastmodifieddate"]
        seen.append(body["updatedAt"])
    assert seen == sorted({*seen})
    row = http.get(f"{OBJECTS}/contacts/{key}", params={"properties": "hs_lastmodifieddate"})
    assert row.json()["properties"]["hs_lastmodifieddate"] == seen[-1]


def test_history_names_the_source_of_a_change(twin, http) -> None:
    key = twin.create("companies", name="First")
    twin.clock.advance(timedelta(minutes=1))
    http.patch(f"{OBJECTS}/companies/{key}", json={"properties": {"name": "Second"}})
    body = {"inputs": [{"id": key}], "propertiesWithHistory": ["name"], "properties": []}
    answer = http.post(f"{OBJECTS}/companies/batch/read", json=body).json()
    history = answer["results"][0]["propertiesWithHistory"]["name"]
    assert [(h["value"], h["sourceType"]) for h in history] == [
        ("Second", "INTEGRATION"),
        ("First", "CRM_UI"),
    ]
    assert history[0]["timestamp"] > history[1]["timestamp"]


def test_a_won_deal_gets_a_close_date(twin, http) -> None:
    key = twin.create("deals", dealname="D", dealstage="appointmentscheduled")
    names = "pipeline,hs_is_closed,hs_is_closed_won,closedate"

    def read() -> dict[str, Any]:
        return http.get(f"{OBJECTS}/deals/{key}", params={"properties": names}).json()["properties"]

    assert (read()["pipeline"], read()["hs_is_closed"]) == ("default", "false")
    twin.edit("deals", key, dealstage="closedwon")
    assert (read()["hs_is_closed"], read()["hs_is_closed_won"]) == ("true", "true")
    assert read()["closedate"] == "2026-05-04T12:00:00Z"


def test_merged_contacts_are_found_by_both_emails(twin, http) -> None:
    one = twin.create("contacts", email="one@x.example", firstname="One")
    two = twin.create("contacts", email="two@x.example", lastname="Two")
    new = twin.merge("contacts", one, two)
    for email in ("one@x.example", "two@x.example"):
        found = http.get(f"{OBJECTS}/contacts/{email}", params={"idProperty": "email"}).json()
        assert found["id"] == new
    both = {"inputs": [{"id": one}, {"id": two}], "properties": ["hs_additional_emails"]}
    answer = http.post(f"{OBJECTS}/contacts/batch/read", json=both)
    assert [row["id"] for row in answer.json()["results"]] == [new]
    assert answer.json()["results"][0]["properties"]["hs_additional_emails"] == "two@x.example"


def test_a_second_merge_keeps_all_old_ids(twin, http) -> None:
    keys = [twin.create("companies", name=name) for name in "ABC"]
    first = twin.merge("companies", keys[0], keys[1])
    last = twin.merge("companies", keys[2], first)
    for key in (*keys, first):
        assert http.get(f"{OBJECTS}/companies/{key}").json()["id"] == last
    assert [row["id"] for row in twin.objects("companies")] == [last]


# -- associations ----------------------------------------------------------------------------------


def test_a_new_primary_company_replaces_the_first(twin, http) -> None:
    """The first company is the primary one, until a new primary replaces it."""
    person = twin.create("contacts", email="p@x.example")
    firms = [twin.create("companies", name=name) for name in "AB"]
    for firm in firms:
        twin.associate("contacts", person, to="companies", id=firm)
    assert twin.get("contacts", person)["associations"]["companies"] == firms
    twin.associate("contacts", person, to="companies", id=firms[1], primary=True)
    assert twin.get("contacts", person)["associations"]["companies"] == firms[::-1]
    answer = http.get(f"{OBJECTS}/contacts/{person}", params={"associations": "companies"})
    rows = answer.json()["associations"]["companies"]["results"]
    assert rows == [
        {"id": firms[1], "type": "contact_to_company"},
        {"id": firms[1], "type": "contact_to_company_unlabeled"},
        {"id": firms[0], "type": "contact_to_company_unlabeled"},
    ]


def test_archived_records_are_not_associated(twin, http) -> None:
    firm = twin.create("companies", name="A")
    person = twin.create("contacts", email="p@x.example", associations={"companies": [firm]})
    twin.archive("companies", firm)
    row = http.get(f"{OBJECTS}/contacts/{person}", params={"associations": "companies"}).json()
    assert "associations" not in row


def test_labels_of_ones_own(twin, http) -> None:
    path = "/crm/associations/2026-09/contacts/companies/labels"
    made = http.post(path, json={"name": "buyer", "label": "Buyer"}).json()["results"][0]
    assert made["category"] == "USER_DEFINED"
    listed = http.get(path).json()["results"]
    assert {row["typeId"]: row["label"] for row in listed} == {
        1: "Primary",
        279: None,
        made["typeId"]: "Buyer",
    }
    firm = twin.create("companies", name="A")
    person = twin.create("contacts", email="p@x.example")
    spec = [{"associationCategory": "USER_DEFINED", "associationTypeId": made["typeId"]}]
    put = http.put(f"{OBJECTS}/contacts/{person}/associations/companies/{firm}", json=spec)
    assert put.status_code == 201
    assert "Buyer" in put.json()["labels"]
    archive = "/crm/associations/2026-09/contacts/companies/batch/labels/archive"
    pair = {"from": {"id": person}, "to": {"id": firm}, "types": spec}
    assert http.post(archive, json={"inputs": [pair]}).status_code == 204
    left = http.get(f"/crm/v4/objects/contacts/{person}/associations/companies").json()["results"]
    assert {t["typeId"] for t in left[0]["associationTypes"]} == {1, 279}
    assert http.delete(f"{path}/{made['typeId']}").status_code == 204
    assert http.delete(f"{path}/1").status_code == 404


def test_the_v3_way_of_one_association(twin, http) -> None:
    firm = twin.create("companies", name="A")
    person = twin.create("contacts", email="p@x.example")
    path = f"/crm/v3/objects/contacts/{person}/associations/companies"
    assert http.put(f"{path}/{firm}/contact_to_company").status_code == 200
    assert http.get(path).json()["results"] == [{"id": firm, "type": "contact_to_company"}]
    assert http.put(f"{path}/{firm}/contact_to_moon").status_code == 400
    assert http.delete(f"{path}/{firm}/contact_to_company").status_code == 204
    assert http.get(path).json()["results"] == []


# -- limits and usage ------------------------------------------------------------------------------


def test_without_limits_headers_allow_everything(twin, http) -> None:
    assert int(http.get(f"{OBJECTS}/companies").headers["x-hubspot-ratelimit-max"]) >= 1_000_000


def test_headers_count_down_but_not_on_search(twin, http) -> None:
    twin.limits.enforced = True
    first = http.get(f"{OBJECTS}/companies").headers
    second = http.get(f"{OBJECTS}/companies").headers
    assert first["x-hubspot-ratelimit-max"] == "100"
    assert first["x-hubspot-ratelimit-interval-milliseconds"] == "10000"
    name = "x-hubspot-ratelimit-remaining"
    assert int(first[name]) - int(second[name]) == 1
    found = http.post(f"{OBJECTS}/companies/search", json={})
    assert [key for key in found.headers if "ratelimit" in key] == []


def test_the_burst_limit_is_kept_when_it_is_on(twin, http) -> None:
    twin.limits.burst = 3
    assert [http.get(f"{OBJECTS}/deals").status_code for _ in range(5)] == [200] * 5
    twin.clock.advance(timedelta(seconds=11))
    twin.limits.enforced = True
    assert [http.get(f"{OBJECTS}/deals").status_code for _ in range(5)] == [200] * 3 + [429] * 2
    body = http.get(f"{OBJECTS}/deals").json()
    assert (body["policyName"], body["errorType"]) == ("TEN_SECONDLY_ROLLING", "RATE_LIMIT")
    twin.clock.advance(timedelta(seconds=10))
    assert http.get(f"{OBJECTS}/deals").status_code == 200


def test_search_has_its_own_limit(twin, http) -> None:
    twin.limits.enforced = True
    codes = [http.post(f"{OBJECTS}/deals/search", json={}).status_code for _ in range(7)]
    assert codes == [200] * 5 + [429] * 2
    refused = http.post(f"{OBJECTS}/deals/search", json={}).json()
    assert refused["message"] == "You have reached your secondly limit."
    assert http.get(f"{OBJECTS}/deals").status_code == 200
    twin.clock.advance(timedelta(seconds=1))
    assert http.post(f"{OBJECTS}/deals/search", json={}).status_code == 200


def test_the_daily_limit_resets_at_local_midnight(twin, http) -> None:
    """The daily limit ends at midnight in the account's time zone."""
    twin.limits.enforced, twin.limits.daily = True, 2
    codes = [http.get(f"{OBJECTS}/deals").status_code for _ in range(3)]
    assert codes == [200, 200, 429]
    assert http.get(f"{OBJECTS}/deals").json()["policyName"] == "DAILY"
    twin.clock.set(datetime(2026, 5, 4, 22, 0, 1, tzinfo=UTC))  # past midnight in Berlin
    usage = http.get("/account-info/2026-09/api-usage/daily/private-apps").json()["results"][0]
    assert (usage["currentUsage"], usage["usageLimit"]) == (1, 2)
    assert usage["resetsAt"] == "2026-05-05T22:00:00.000Z"


def test_account_details(twin, http) -> None:
    for path in ("/account-info/2026-09/details", "/account-info/v3/details"):
        details = http.get(path).json()
        assert details["portalId"] == twin.settings.portal_id
        assert (details["timeZone"], details["utcOffset"]) == ("Europe/Berlin", "+02:00")
        assert details["companyCurrency"] == "EUR"


# -- tokens ----------------------------------------------------------------------------------------


def grant(twin: Twin, path: str = "/oauth/2026-09/token", **changed: str) -> httpx.Response:
    form = {
        "grant_type": "refresh_token",
        "client_id": twin.tokens.client_id,
        "client_secret": twin.client_secret,
        "refresh_token": twin.tokens.refresh,
    }
    return httpx.post(f"{twin.url}{path}", data={**form, **changed}, verify=False)


def test_access_tokens_expire(twin) -> None:
    token = grant(twin).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    url = f"{twin.url}{OBJECTS}/deals"
    assert httpx.get(url, headers=headers, verify=False).status_code == 200
    twin.clock.advance(timedelta(seconds=1800))
    refused = httpx.get(url, headers=headers, verify=False)
    assert refused.status_code == 401
    assert refused.json()["category"] == "EXPIRED_AUTHENTICATION"
    assert refused.json()["context"]["expireTime"]


def test_refresh_tokens_rotate_on_request(twin) -> None:
    twin.tokens.rotate = True
    old = twin.tokens.refresh
    first = grant(twin).json()
    assert first["refresh_token"] != old
    spent = grant(twin, refresh_token=old)
    assert spent.status_code == 400
    assert (spent.json()["status"], spent.json()["error"]) == ("BAD_REFRESH_TOKEN", "invalid_grant")
    assert grant(twin, refresh_token=first["refresh_token"]).status_code == 200


@pytest.mark.parametrize(
    "wrong",
    [{"client_secret": "x"}, {"client_id": "x"}, {"grant_type": "password"}, {"refresh_token": ""}],
)
def test_wrong_grants(twin, wrong) -> None:
    for path in ("/oauth/v1/token", "/oauth/2026-09/token"):
        assert grant(twin, path, **wrong).status_code == 400


def test_codes_introspection_and_revocation(twin) -> None:
    given = grant(twin, grant_type="authorization_code", code=twin.tokens.code).json()
    base = f"{twin.url}/oauth/2026-09/token"
    token = {"token": given["access_token"]}
    assert httpx.post(f"{base}/introspect", data=token, verify=False).json()["active"] is True
    httpx.post(f"{base}/revoke", data=token, verify=False)
    assert httpx.post(f"{base}/introspect", data=token, verify=False).json()["active"] is False
    httpx.post(f"{base}/revoke", data={"token": given["refresh_token"]}, verify=False)
    assert grant(twin).json()["status"] == "BAD_REFRESH_TOKEN"


# -- faults in HubSpot's words ---------------------------------------------------------------------


def test_a_lost_create_has_happened(twin, http) -> None:
    twin.faults.add("lost", "POST */objects/2026-09/companies", times=1, status=500)
    row = {"properties": {"name": "A"}}
    assert http.post(f"{OBJECTS}/companies", json=row).status_code == 500
    assert [r["properties"]["name"] for r in twin.objects("companies")] == ["A"]


@pytest.mark.parametrize(
    ("kind", "detail", "expected"),
    [
        ("throttled", "", {"policyName": "TEN_SECONDLY_ROLLING", "category": "RATE_LIMITS"}),
        ("throttled", "search", {"policyName": "SECONDLY"}),
        ("throttled", "daily", {"policyName": "DAILY"}),
        ("quota", "crm.objects.deals.read", {"category": "MISSING_SCOPES"}),
        ("down", "", {"category": "INTERNAL_ERROR", "status": "error"}),
    ],
)
def test_faults_answer_like_hubspot(twin, http, kind, detail, expected) -> None:
    twin.faults.add(kind, times=1, detail=detail)
    body = http.get(f"{OBJECTS}/deals").json()
    assert {key: body[key] for key in expected} == expected


def test_the_log_shows_the_requests(twin, http) -> None:
    http.get(f"{OBJECTS}/deals", params={"limit": 5})
    http.post(f"{OBJECTS}/deals", json={"properties": {"dealname": "D"}})
    assert [(e.method, e.path, e.status) for e in twin.log.entries()] == [
        ("GET", f"{OBJECTS}/deals", 200),
        ("POST", f"{OBJECTS}/deals", 201),
    ]
    assert len(twin.log.entries("POST */deals")) == 1


# -- in the foreground -----------------------------------------------------------------------------


def test_it_serves_until_interrupted() -> None:
    code = (
        "from connectors.hubspot.twin import serve\n"
        "try:\n"
        "    serve(port=0, records=3, ready=lambda twin: print(twin.url, flush=True))\n"
        "except KeyboardInterrupt:\n"
        "    print('ended')\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        url = process.stdout.readline().strip()
        headers = {"Authorization": "Bearer twin-token"}
        with httpx.Client(
            base_url=url,
            headers=headers,
            verify=False,
            transport=httpx.HTTPTransport(retries=5, verify=False),
        ) as client:
            assert len(client.get(f"{OBJECTS}/companies").json()["results"]) == 3
        process.send_signal(signal.SIGINT)
        assert process.stdout.read().strip() == "ended"
    assert process.wait(timeout=20) == 0
