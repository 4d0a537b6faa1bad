"""What the twin refuses, with error bodies as HubSpot sends them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from connectors.hubspot.twin import Twin, start

OBJECTS = "/crm/objects/2026-09"


@pytest.fixture(scope="module")
def twin() -> Iterator[Twin]:
    running = start(seed=2)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def http(twin: Twin) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {twin.token}"}
    with httpx.Client(base_url=twin.url, verify=False, headers=headers) as client:
        client.post(
            "/crm/properties/2026-09/companies/groups", json={"name": "tulay", "label": "Tulay"}
        )
        for name, kind, field in (("tulay_id", "string", "text"), ("since", "date", "date")):
            made = client.post(
                "/crm/properties/2026-09/companies",
                json={
                    "name": name,
                    "label": name,
                    "type": kind,
                    "fieldType": field,
                    "groupName": "tulay",
                    "hasUniqueValue": name == "tulay_id",
                },
            )
            assert made.status_code == 201, made.text
        yield client


def create(http: httpx.Client, kind: str = "companies", **values: Any) -> httpx.Response:
    return http.post(f"{OBJECTS}/{kind}", json={"properties": values, "associations": []})


def codes(answer: httpx.Response) -> list[tuple[str, str]]:
    return [(e["code"], e["context"]["propertyName"][0]) for e in answer.json()["errors"]]


@pytest.mark.parametrize(
    ("kind", "values", "code"),
    [
        ("companies", {"name": "A", "shoe_size": "1"}, "PROPERTY_DOESNT_EXIST"),
        ("companies", {"name": "A", "hs_object_id": "1"}, "READ_ONLY_VALUE"),
        ("companies", {"name": "A", "createdate": "2026-01-01"}, "READ_ONLY_VALUE"),
        ("companies", {"name": "A", "industry": "Machinery"}, "INVALID_OPTION"),
        ("companies", {"name": "A", "hubspot_owner_id": "99"}, "INVALID_OPTION"),
        ("companies", {"name": "A", "annualrevenue": "1,000"}, "INVALID_DOUBLE"),
        ("companies", {"name": "A", "is_public": "yes"}, "INVALID_OPTION"),
        ("companies", {"name": "A", "since": "2026-02-30"}, "INVALID_DATE"),
        ("companies", {"name": "A", "description": "x" * 65_537}, "INVALID_LENGTH"),
        ("contacts", {"email": "nobody"}, "INVALID_EMAIL"),
        ("deals", {"dealname": "D", "dealstage": "Closed Won"}, "INVALID_OPTION"),
        ("deals", {"dealname": "D", "closedate": "soon"}, "INVALID_LONG"),
        ("deals", {"dealname": "D", "pipeline": "Sales Pipeline"}, "INVALID_OPTION"),
    ],
)
def test_bad_values_are_named(twin, http, kind, values, code) -> None:
    before = twin.count(kind)
    answer = create(http, kind, **values)
    body = answer.json()
    assert answer.status_code == 400
    assert (body["status"], body["category"]) == ("error", "VALIDATION_ERROR")
    assert re.fullmatch(r"[0-9a-f-]{36}", body["correlationId"])
    name = list(values)[-1]
    assert codes(answer) == [(code, name)]
    embedded = json.loads(body["message"].removeprefix("Property values were not valid: "))
    assert [(row["isValid"], row["error"], row["name"]) for row in embedded] == [
        (False, code, name)
    ]
    assert twin.count(kind) == before


def test_all_bad_values_are_named_at_once(http) -> None:
    answer = create(http, name="A", shoe="1", industry="x", hs_object_id="3")
    assert codes(answer) == [
        ("PROPERTY_DOESNT_EXIST", "shoe"),
        ("INVALID_OPTION", "industry"),
        ("READ_ONLY_VALUE", "hs_object_id"),
    ]


def test_a_date_is_midnight_utc_or_refused(http) -> None:
    good = create(http, name="A", since="1772323200000")
    assert good.json()["properties"]["since"] == "2026-03-01"
    assert create(http, name="A", since="2026-03-01").json()["properties"]["since"] == "2026-03-01"
    bad = create(http, name="A", since="1772323200001")
    assert "not midnight" in bad.json()["errors"][0]["message"]


def test_numbers_and_booleans_come_back_as_text(twin, http) -> None:
    key = create(http, name="A", numberofemployees=12, is_public=True).json()["id"]
    values = twin.get("companies", key)["properties"]
    assert (values["numberofemployees"], values["is_public"]) == ("12", "true")


@pytest.mark.parametrize(
    ("kind", "values", "lacking"),
    [
        ("notes", {"hs_note_body": "x"}, ["hs_timestamp"]),
        ("tasks", {"hs_task_subject": "x"}, ["hs_timestamp"]),
        ("invoices", {"hs_title": "x"}, ["hs_currency"]),
        ("companies", {"city": "Wien"}, ["name", "domain"]),
        ("contacts", {"phone": "1"}, ["email", "firstname", "lastname"]),
    ],
)
def test_required_properties(http, kind, values, lacking) -> None:
    answer = create(http, kind, **values)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["context"]["properties"] == lacking
    assert "Some required properties were not set" in answer.json()["message"]


def test_a_duplicate_email_names_its_contact(http) -> None:
    """A second contact with the same email is a 409 that names the first."""
    first = create(http, "contacts", email="Dup@x.example").json()
    answer = create(http, "contacts", email="dup@X.example")
    assert answer.status_code == 409
    assert answer.json()["category"] == "CONFLICT"
    assert answer.json()["message"] == f"Contact already exists. Existing ID: {first['id']}"


def test_a_custom_unique_value_is_given_once(twin, http) -> None:
    first = create(http, name="A", tulay_id="u-1").json()["id"]
    answer = create(http, name="B", tulay_id="U-1")
    assert answer.status_code == 400
    assert codes(answer) == [("CONFLICTING_UNIQUE_VALUE", "tulay_id")]
    assert f"{first} already has that value" in answer.json()["message"]
    other = create(http, name="C").json()["id"]
    update = http.patch(f"{OBJECTS}/companies/{other}", json={"properties": {"tulay_id": "u-1"}})
    assert codes(update) == [("CONFLICTING_UNIQUE_VALUE", "tulay_id")]
    twin.archive("companies", first)
    assert create(http, name="D", tulay_id="u-1").status_code == 201


def test_a_duplicate_custom_value_may_be_a_409(twin, http) -> None:
    """A duplicate value of a custom property is a 409 if the account is set up so."""
    first = create(http, name="A", tulay_id="u-409").json()["id"]
    twin.settings.unique_conflict_409 = True
    try:
        answer = create(http, name="B", tulay_id="u-409")
    finally:
        twin.settings.unique_conflict_409 = False
    assert (answer.status_code, answer.json()["category"]) == (409, "CONFLICT")
    assert answer.json()["message"].endswith(f"Existing ID: {first}")


def test_a_refused_update_changes_nothing(twin, http) -> None:
    key = create(http, name="A").json()["id"]
    before = twin.get("companies", key)
    answer = http.patch(
        f"{OBJECTS}/companies/{key}", json={"properties": {"name": "B", "industry": "x"}}
    )
    assert answer.status_code == 400
    assert twin.get("companies", key) == before


@pytest.mark.parametrize("path", ["/companies/4711", "/companies/none", "/contacts/1"])
def test_unknown_records_are_404(http, path) -> None:
    for method in ("GET", "PATCH", "DELETE"):
        answer = http.request(
            method, f"{OBJECTS}{path}", json={"properties": {}} if method == "PATCH" else None
        )
        assert (answer.status_code, answer.json()["category"]) == (404, "OBJECT_NOT_FOUND")


def test_archiving_twice_is_fine(twin, http) -> None:
    key = create(http, name="A").json()["id"]
    assert http.delete(f"{OBJECTS}/companies/{key}").status_code == 204
    assert http.delete(f"{OBJECTS}/companies/{key}").status_code == 204
    archived = http.get(f"{OBJECTS}/companies", params={"archived": "true", "limit": 100}).json()
    assert key in [row["id"] for row in archived["results"]]
    twin.restore("companies", key)
    assert http.get(f"{OBJECTS}/companies/{key}").status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", f"{OBJECTS}/shoes"), ("GET", "/nowhere"), ("PUT", "/crm/v3/objects/deals")],
)
def test_unknown_paths_are_json_too(http, method, path) -> None:
    answer = http.request(method, path)
    assert answer.status_code in (404, 405)
    assert answer.headers["content-type"].startswith("application/json")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"properties": 3}'])
def test_bodies_that_are_no_request(http, body) -> None:
    answer = http.post(f"{OBJECTS}/companies", content=body)
    assert answer.status_code == 400
    assert answer.json()["message"].startswith("Invalid input JSON")


@pytest.mark.parametrize("params", [{"limit": "101"}, {"limit": "0"}, {"after": "x"}])
def test_page_limits(http, params) -> None:
    assert http.get(f"{OBJECTS}/companies", params=params).status_code == 400


@pytest.mark.parametrize("header", [None, "Bearer", "Bearer other", "Basic twin-token"])
def test_without_a_valid_token_nothing_is_shown(twin, header) -> None:
    headers = {"Authorization": header} if header else {}
    for path in (f"{OBJECTS}/companies", "/crm/v3/owners", "/nowhere"):
        answer = httpx.get(f"{twin.url}{path}", headers=headers, verify=False)
        assert answer.status_code == 401
        assert answer.json()["category"] == "INVALID_AUTHENTICATION"


# -- batches ---------------------------------------------------------------------------------------


def batch(http: httpx.Client, verb: str, rows: list[dict], kind: str = "companies") -> Any:
    return http.post(f"{OBJECTS}/{kind}/batch/{verb}", json={"inputs": rows})


def test_a_batch_has_at_most_a_hundred_inputs(http) -> None:
    answer = batch(http, "create", [{"properties": {"name": "A"}}] * 101)
    assert answer.status_code == 400


def test_one_bad_row_fails_a_create_batch(twin, http) -> None:
    """One bad row fails a whole batch of creates without trace ids."""
    before = twin.count("companies")
    rows = [{"properties": {"name": "A"}}, {"properties": {"name": "B", "industry": "x"}}]
    answer = batch(http, "create", rows)
    assert (answer.status_code, answer.json()["category"]) == (400, "VALIDATION_ERROR")
    assert twin.count("companies") == before


def test_with_trace_ids_the_good_rows_are_written(twin, http) -> None:
    rows = [
        {"objectWriteTraceId": "t1", "properties": {"name": "A"}},
        {"objectWriteTraceId": "t2", "properties": {"name": "B", "industry": "x"}},
        {"objectWriteTraceId": "t3", "properties": {"name": "C"}},
    ]
    answer = batch(http, "create", rows)
    body = answer.json()
    assert answer.status_code == 207
    assert [row["objectWriteTraceId"] for row in body["results"]] == ["t1", "t3"]
    assert body["numErrors"] == 1
    assert body["errors"][0]["context"]["objectWriteTraceId"] == ["t2"]
    assert body["errors"][0]["category"] == "VALIDATION_ERROR"


def test_a_batch_update_reports_unknown_ids(twin, http) -> None:
    """A batch update reports unknown ids and writes the other rows."""
    key = create(http, name="A").json()["id"]
    rows = [{"id": key, "properties": {"city": "Linz"}}, {"id": "4711", "properties": {}}]
    answer = batch(http, "update", rows)
    assert answer.status_code == 207
    assert [row["id"] for row in answer.json()["results"]] == [key]
    assert answer.json()["errors"][0]["context"]["ids"] == ["4711"]
    assert twin.get("companies", key)["properties"]["city"] == "Linz"


def test_trace_ids_isolate_a_bad_row(twin, http) -> None:
    """A batch update with trace ids survives a bad row."""
    good, bad = (create(http, name=name).json()["id"] for name in "AB")
    rows = [
        {"id": good, "objectWriteTraceId": "g", "properties": {"city": "Linz"}},
        {"id": bad, "objectWriteTraceId": "b", "properties": {"industry": "x"}},
    ]
    answer = batch(http, "update", rows)
    assert answer.status_code == 207
    assert [row["objectWriteTraceId"] for row in answer.json()["results"]] == ["g"]
    assert answer.json()["errors"][0]["context"] == {"id": [bad], "objectWriteTraceId": ["b"]}


def test_one_bad_row_fails_an_update_batch(twin, http) -> None:
    """One bad row fails a whole batch of updates without trace ids."""
    good, bad = (create(http, name=name).json()["id"] for name in "AB")
    rows = [
        {"id": good, "properties": {"city": "Linz"}},
        {"id": bad, "properties": {"industry": "x"}},
    ]
    assert batch(http, "update", rows).status_code == 400
    assert "city" not in twin.get("companies", good)["properties"]


def test_the_same_id_twice_in_a_batch(http) -> None:
    key = create(http, name="A").json()["id"]
    rows = [{"id": key, "properties": {"city": city}} for city in ("Linz", "Graz")]
    answer = batch(http, "update", rows)
    assert answer.status_code == 400
    assert answer.json()["message"].startswith("Duplicate IDs found in batch input")


def test_an_upsert_by_a_custom_unique_property(twin, http) -> None:
    def upsert(name: str) -> dict:
        row = {"id": "up-1", "idProperty": "tulay_id", "properties": {"name": name}}
        answer = batch(http, "upsert", [row])
        assert answer.status_code == 200, answer.text
        return answer.json()["results"][0]

    first, second = upsert("A"), upsert("B")
    assert (first["new"], second["new"]) == (True, False)
    assert first["id"] == second["id"]
    values = twin.get("companies", first["id"])["properties"]
    assert (values["name"], values["tulay_id"]) == ("B", "up-1")


def test_an_upsert_needs_a_unique_property(http) -> None:
    row = {"id": "a.example", "idProperty": "domain", "properties": {"name": "A"}}
    assert batch(http, "upsert", [row]).status_code == 400


def test_a_value_twice_in_a_batch_writes_nothing(twin, http) -> None:
    """A unique value that occurs twice in one batch writes nothing."""
    before = twin.count("companies")
    rows = [{"properties": {"name": name, "tulay_id": "same"}} for name in "AB"]
    assert batch(http, "create", rows).status_code == 400
    assert twin.count("companies") == before


def test_a_wrong_association_creates_nothing(twin, http) -> None:
    person = twin.create("contacts", email="fit@x.example")
    before = twin.count("companies")
    spec = {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 9999}
    link = {"to": {"id": person}, "types": [spec]}
    answer = http.post(
        f"{OBJECTS}/companies", json={"properties": {"name": "A"}, "associations": [link]}
    )
    assert answer.status_code == 400
    spec["associationTypeId"], link["to"]["id"] = 280, "4711"
    answer = http.post(
        f"{OBJECTS}/companies", json={"properties": {"name": "A"}, "associations": [link]}
    )
    assert answer.status_code == 404
    assert twin.count("companies") == before


def test_products_cannot_be_merged(twin, http) -> None:
    one, two = (twin.create("products", name=name) for name in "AB")
    row = {"primaryObjectId": one, "objectIdToMerge": two}
    assert http.post(f"{OBJECTS}/products/merge", json=row).status_code == 404


# -- properties ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "Tulay Id"},
        {"groupName": "nowhere"},
        {"type": "text"},
        {"type": "date", "fieldType": "text"},
        {"type": "enumeration", "fieldType": "select"},
        {"type": "bool", "fieldType": "booleancheckbox", "hasUniqueValue": True},
        {"label": None},
    ],
)
def test_property_definitions_that_are_refused(http, wrong) -> None:
    row = {
        "name": "fine",
        "label": "Fine",
        "type": "string",
        "fieldType": "text",
        "groupName": "tulay",
    }
    answer = http.post("/crm/properties/2026-09/companies", json={**row, **wrong})
    assert (answer.status_code, answer.json()["category"]) == (400, "VALIDATION_ERROR")
    assert http.get("/crm/properties/2026-09/companies/fine").status_code == 404


def test_at_most_ten_unique_properties(http) -> None:
    row = {"label": "n", "type": "string", "fieldType": "text", "hasUniqueValue": True}
    statuses = [
        http.post(
            "/crm/properties/2026-09/deals",
            json={**row, "name": f"u{n}", "groupName": "dealinformation"},
        ).status_code
        for n in range(11)
    ]
    assert statuses == [201] * 10 + [400]


def test_native_properties_stay(http) -> None:
    path = "/crm/properties/2026-09/companies/name"
    assert http.delete(path).status_code == 400
    assert http.patch(path, json={"label": "x"}).status_code == 400


def test_a_group_goes_when_it_is_empty(http) -> None:
    path = "/crm/properties/2026-09/companies/groups"
    assert http.delete(f"{path}/tulay").status_code == 400
    http.post(path, json={"name": "empty", "label": "Empty"})
    assert http.post(path, json={"name": "empty", "label": "Empty"}).status_code == 409
    assert http.delete(f"{path}/empty").status_code == 204
    assert http.get(f"{path}/empty").status_code == 404
