"""Reading: full reads, changes, deletions, merges, associations and lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import httpx
import orjson
import pytest
import respx
from httpx import Response

from connectors.hubspot.connector import HubSpotConnector
from connectors.kit.contract import Merge, Page, Record
from connectors.kit.errors import ContractError, CursorExpiredError

from .conftest import DATE, Build, results, sent, thing

OBJECTS = "/crm/objects/2026-09"
LINKS = "/crm/associations/2026-09"
SINCE = '{"until":"2026-10-01T09:00:00Z","deleted":"2026-10-01T09:00:00Z"}'


def records(pages: Sequence[Page]) -> list[Record]:
    return [record for page in pages for record in page.records]


def none_deleted(api: respx.MockRouter, stream: str) -> None:
    api.get(f"{OBJECTS}/{stream}", params={"archived": "true"}).mock(
        return_value=Response(200, json=results(), headers=DATE)
    )


# -- full reads


def test_a_full_read_ends_with_a_change_cursor(
    hubspot: HubSpotConnector, api: respx.MockRouter
) -> None:
    """A full read brings every page and ends with a cursor for changes."""
    route = api.get(f"{OBJECTS}/companies").mock(
        side_effect=[
            Response(200, json=results(thing("1", name="ACME"), after="2"), headers=DATE),
            Response(200, json=results(thing("2")), headers=DATE),
        ]
    )
    pages = list(hubspot.pages("companies", None))
    assert [record.key for record in records(pages)] == ["1", "2"]
    assert orjson.loads(pages[0].cursor or "") == {"started": "2026-10-01T10:00:00Z", "after": "2"}
    assert orjson.loads(pages[1].cursor or "")["until"] == "2026-10-01T10:00:00Z"
    asked = route.calls[0].request.url.params
    assert asked["limit"] == "100"
    assert "tulay_id" in asked["properties"].split(",")
    assert route.calls[1].request.url.params["after"] == "2"
    assert len(api.calls) == 2  # one call a page


def test_an_aborted_full_read_resumes(hubspot: HubSpotConnector, api: respx.MockRouter) -> None:
    route = api.get(f"{OBJECTS}/companies").mock(
        return_value=Response(200, json=results(thing("9")), headers=DATE)
    )
    cursor = '{"started":"2026-10-01T08:00:00Z","after":"7"}'
    pages = list(hubspot.pages("companies", cursor))
    assert route.calls[0].request.url.params["after"] == "7"
    assert orjson.loads(pages[-1].cursor or "")["until"] == "2026-10-01T08:00:00Z"


def test_an_empty_stream_still_ends_with_a_cursor(
    hubspot: HubSpotConnector, api: respx.MockRouter
) -> None:
    api.get(f"{OBJECTS}/companies").mock(return_value=Response(200, json=results(), headers=DATE))
    assert list(hubspot.pages("companies", None))[-1].cursor is not None


def test_paging_in_circles_is_noticed(hubspot: HubSpotConnector, api: respx.MockRouter) -> None:
    api.get(f"{OBJECTS}/companies").mock(
        return_value=Response(200, json=results(thing("1"), after="1"))
    )
    with pytest.raises(ContractError, match="circles"):
        list(hubspot.pages("companies", None))


def test_a_record_carries_version_time_and_hub_id(
    hubspot: HubSpotConnector, api: respx.MockRouter
) -> None:
    found = thing("1", "2026-09-01T00:00:00.250Z", name="ACME", tulay_id="h-1")
    api.get(f"{OBJECTS}/companies").mock(return_value=Response(200, json=results(found)))
    (record,) = records(list(hubspot.pages("companies", None)))
    assert record.version == "2026-09-01T00:00:00.250Z"
    assert record.modified_at is not None
    assert record.modified_at.microsecond == 250_000
    assert record.external_id == "h-1"
    assert record.payload["properties"]["name"] == "ACME"
    assert "associations" not in record.payload


def test_wanted_fields_of_mappings_are_asked_for(build: Build, api: respx.MockRouter) -> None:
    hubspot = build(fields={"companies": ["properties.industry", "associations.contacts[0]"]})
    route = api.get(f"{OBJECTS}/companies").mock(return_value=Response(200, json=results()))
    list(hubspot.pages("companies", None))
    assert "industry" in route.calls[0].request.url.params["properties"].split(",")


def test_long_property_lists_go_into_a_body(build: Build, api: respx.MockRouter) -> None:
    hubspot = build(fields={"companies": [f"properties.{'p' * 40}_{n}" for n in range(200)]})
    page = api.get(f"{OBJECTS}/companies").mock(
        return_value=Response(200, json=results(thing("1")))
    )
    read = api.post(f"{OBJECTS}/companies/batch/read").mock(
        return_value=Response(200, json=results(thing("1", name="ACME")))
    )
    (record,) = records(list(hubspot.pages("companies", None)))
    assert record.payload["properties"]["name"] == "ACME"
    assert "properties" not in page.calls[0].request.url.params
    assert len(sent(read.calls[0])["properties"]) > 200


def test_associations_come_primary_first_and_once(
    hubspot: HubSpotConnector, api: respx.MockRouter
) -> None:
    contact = thing("1", email="a@b.example")
    contact["associations"] = {
        "companies": {
            "results": [
                {"id": "30", "type": "contact_to_company_unlabeled"},
                {"id": "40", "type": "contact_to_company"},
                {"id": "40", "type": "contact_to_company_unlabeled"},
            ]
        }
    }
    api.get(f"{OBJECTS}/contacts").mock(return_value=Response(200, json=results(contact)))
    (record,) = records(list(hubspot.pages("contacts", None)))
    assert record.payload["associations"] == {"companies": ["40", "30"]}


def test_truncated_associations_are_completed(
    hubspot: HubSpotConnector, api: respx.MockRouter
) -> None:
    contact = thing("1")
    contact["associations"] = {
        "companies": {
            "results": [{"id": "30", "type": "contact_to_company"}],
            "paging": {"next": {"after": "x"}},
        }
    }
    api.get(f"{OBJECTS}/contacts").mock(return_value=Response(200, json=results(contact)))

    def links(key: str, after: str | None) -> dict[str, Any]:
        row: dict[str, Any] = {
            "from": {"id": "1"},
            "to": [{"toObjectId": int(key), "associationTypes": [{"typeId": 279}]}],
        }
        if after:
            row["paging"] = {"next": {"after": after}}
        return {"results": [row]}

    read = api.post(f"{LINKS}/contacts/companies/batch/read").mock(
        side_effect=[Response(200, json=links("30", "x")), Response(200, json=links("31", None))]
    )
    (record,) = records(list(hubspot.pages("contacts", None)))
    assert record.payload["associations"] == {"companies": ["30", "31"]}
    assert sent(read.calls[1]) == {"inputs": [{"id": "1", "after": "x"}]}


def test_associations_are_part_of_the_version(
    hubspot: HubSpotConnector, api: respx.MockRouter
) -> None:
    def contact(company: str) -> dict[str, Any]:
        one = thing("1")
        one["associations"] = {
            "companies": {"results": [{"id": company, "type": "contact_to_company"}]}
        }
        return results(one)

    api.get(f"{OBJECTS}/contacts").mock(
        side_effect=[Response(200, json=contact(one)) for one in ("30", "30", "31")]
    )
    versions = [records(list(hubspot.pages("contacts", None)))[0].version for _ in range(3)]
    assert versions[0] == versions[1] != versions[2]


def test_deals_include_their_lines(hubspot: HubSpotConnector, api: respx.MockRouter) -> None:
    deal = thing("5", dealname="Big")
    deal["associations"] = {
        "companies": {"results": [{"id": "12", "type": "deal_to_company"}]},
        "line items": {"results": [{"id": "70"}, {"id": "8"}]},
    }
    api.get(f"{OBJECTS}/deals").mock(return_value=Response(200, json=results(deal)))
    read = api.post(f"{OBJECTS}/line_items/batch/read").mock(
        return_value=Response(200, json=results(thing("70", hs_sku="B"), thing("8", hs_sku="A")))
    )
    (record,) = records(list(hubspot.pages("deals", None)))
    assert [line["id"] for line in record.payload["line_items"]] == ["8", "70"]
    assert record.payload["line_items"][0]["properties"]["hs_sku"] == "A"
    assert record.payload["associations"] == {"companies": ["12"], "contacts": []}
    assert sent(read.calls[0])["inputs"] == [{"id": "70"}, {"id": "8"}]


# -- changes


def test_changes_are_searched_with_an_overlap(
    hubspot: HubSpotConnector, api: respx.MockRouter
) -> None:
    """Changes are searched from the overlap on, and the cursor stays behind by it."""
    none_deleted(api, "companies")
    search = api.post(f"{OBJECTS}/companies/search").mock(
        return_value=Response(200, json=results(thing("1"), total=1))
    )
    pages = list(hubspot.pages("companies", SINCE))
    body = sent(search.calls[0])
    assert body["filterGroups"][0]["filters"] == [
        {"propertyName": "hs_lastmodifieddate", "operator": "GTE", "value": "1790844900000"},
    ]
    assert body["sorts"] == [{"propertyName": "hs_lastmodifieddate", "direction": "ASCENDING"}]
    assert body["limit"] == 200
    assert "after" not in body
    assert pages[0].total == 1
    assert orjson.loads(pages[-1].cursor or "")["until"] == "2026-10-01T09:59:00Z"


def test_without_lag_the_window_is_open(build: Build, api: respx.MockRouter) -> None:
    none_deleted(api, "companies")
    search = api.post(f"{OBJECTS}/companies/search").mock(
        return_value=Response(200, json=results())
    )
    hubspot = build(search_lag_seconds=0, overlap_seconds=0)
    list(hubspot.pages("companies", SINCE))
    (only,) = sent(search.calls[0])["filterGroups"][0]["filters"]
    assert only["operator"] == "GTE"


def test_contacts_have_another_change_property(
    hubspot: HubSpotConnector, api: respx.MockRouter
) -> None:
    none_deleted(api, "contacts")
    api.get(f"{OBJECTS}/contacts").mock(return_value=Response(200, json=results(), headers=DATE))
    search = api.post(f"{OBJECTS}/contacts/search").mock(return_value=Response(200, json=results()))
    list(hubspot.pages("contacts", SINCE))
    assert sent(search.calls[0])["sorts"][0]["propertyName"] == "lastmodifieddate"


class Search:
    """Answers searches of fixed records as HubSpot does, and counts them."""

    def __init__(self, moments: dict[str, int]) -> None:
        #: id -> modified, in milliseconds
        self.moments = moments
        self.calls = 0

    def __call__(self, request: httpx.Request) -> Response:
        self.calls += 1
        body = orjson.loads(request.content)
        assert int(body.get("after") or 0) + body["limit"] <= 10_000
        rows = list(self.moments.items())
        for one in body["filterGroups"][0]["filters"]:
            value = int(one["value"])
            by_id = one["propertyName"] == "hs_object_id"
            rows = [
                (key, modified)
                for key, modified in rows
                if self._holds(int(key) if by_id else modified, one["operator"], value)
            ]
        by_id = body["sorts"][0]["propertyName"] == "hs_object_id"
        rows.sort(key=lambda row: int(row[0]) if by_id else row[1])
        page = [thing(key, _iso(modified)) for key, modified in rows[: body["limit"]]]
        return Response(200, json=results(*page, total=len(rows)))

    @staticmethod
    def _holds(own: int, operator: str, value: int) -> bool:
        return {"GTE": own >= value, "LTE": own <= value, "GT": own > value}[operator]


def _iso(millis: int) -> str:
    seconds, rest = divmod(millis - 1790845200000, 1000)
    minutes, seconds = divmod(seconds, 60)
    return f"2026-10-01T09:{minutes:02}:{seconds:02}.{rest:03}Z"


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param([0] * 650, id="all in one moment"),
        pytest.param([0] * 199 + [1] * 2 + [2] * 500 + [3], id="moments across pages"),
        pytest.param(range(650), id="all apart"),
        pytest.param([n // 200 for n in range(800)], id="pages full of one moment"),
    ],
)
def test_no_changed_record_is_skipped(
    hubspot: HubSpotConnector, api: respx.MockRouter, steps: Sequence[int]
) -> None:
    none_deleted(api, "companies")
    moments = {str(1000 + n): 1790845200000 + step for n, step in enumerate(steps)}
    search = Search(moments)
    api.post(f"{OBJECTS}/companies/search").mock(side_effect=search)
    pages = list(hubspot.pages("companies", SINCE))
    assert {record.key for record in records(pages)} == set(moments)
    assert search.calls <= len(steps) / 200 * 3 + 3


def test_a_change_while_paging_skips_no_record(
    hubspot: HubSpotConnector, api: respx.MockRouter
) -> None:
    none_deleted(api, "companies")
    search = Search({str(1000 + n): 1790845200000 + n for n in range(500)})

    def changing(request: httpx.Request) -> Response:
        answer = search(request)
        search.moments.pop(str(1000 + search.calls), None)
        return answer

    api.post(f"{OBJECTS}/companies/search").mock(side_effect=changing)
    keys = {record.key for record in records(list(hubspot.pages("companies", SINCE)))}
    assert set(search.moments) <= keys


def test_a_read_resumes_after_any_page(hubspot: HubSpotConnector, api: respx.MockRouter) -> None:
    none_deleted(api, "companies")
    moments = {str(1000 + n): 1790845200000 + n * 1000 for n in range(500)}
    api.post(f"{OBJECTS}/companies/search").mock(side_effect=Search(moments))
    first, *_ = (page for page in hubspot.pages("companies", SINCE) if page.records)
    rest = records(list(hubspot.pages("companies", first.cursor)))
    seen = {record.key for record in [*first.records, *rest]}
    assert seen == set(moments)


def test_an_unknown_cursor_has_expired(hubspot: HubSpotConnector) -> None:
    with pytest.raises(CursorExpiredError):
        list(hubspot.pages("companies", "page-7"))


# -- deletions and merges


def test_only_new_deletions_are_listed(hubspot: HubSpotConnector, api: respx.MockRouter) -> None:
    """Deleted records are gone; deletions before the cursor are left out."""
    api.post(f"{OBJECTS}/products/search").mock(return_value=Response(200, json=results()))
    deleted = [
        thing("1") | {"archived": True, "archivedAt": "2026-10-01T09:30:00Z"},
        thing("2") | {"archived": True, "archivedAt": "2026-09-01T09:30:00Z"},
    ]
    api.get(f"{OBJECTS}/products", params={"archived": "true"}).mock(
        return_value=Response(200, json=results(*deleted), headers=DATE)
    )
    read = api.post(f"{OBJECTS}/products/batch/read").mock(
        return_value=Response(207, json=results(errors=[{"category": "OBJECT_NOT_FOUND"}]))
    )
    pages = list(hubspot.pages("products", SINCE))
    assert [key for page in pages for key in page.gone] == ["1"]
    assert sent(read.calls[0])["inputs"] == [{"id": "1"}]
    assert orjson.loads(pages[-1].cursor or "")["deleted"] == "2026-10-01T10:00:00Z"


def test_a_merge_listed_as_a_deletion_is_a_merge(
    hubspot: HubSpotConnector, api: respx.MockRouter
) -> None:
    api.post(f"{OBJECTS}/companies/search").mock(return_value=Response(200, json=results()))
    api.get(f"{OBJECTS}/companies", params={"archived": "true"}).mock(
        return_value=Response(
            200, json=results(thing("1") | {"archivedAt": "2026-10-01T09:30:00Z"}), headers=DATE
        )
    )
    api.post(f"{OBJECTS}/companies/batch/read").mock(return_value=Response(200, json=results()))
    api.get(f"{OBJECTS}/companies/1").mock(return_value=Response(200, json=thing("3")))
    page = next(iter(hubspot.pages("companies", SINCE)))
    assert page.merges == [Merge("1", "3")]
    assert [record.key for record in page.records] == ["3"]
    assert page.gone == []


def test_deletions_are_not_looked_for_too_often(build: Build, api: respx.MockRouter) -> None:
    api.get("/account-info/2026-09/details").mock(return_value=Response(200, json={}, headers=DATE))
    api.post(f"{OBJECTS}/companies/search").mock(return_value=Response(200, json=results()))
    archive = api.get(f"{OBJECTS}/companies").mock(return_value=Response(200, json=results()))
    list(build(deletions_every_seconds=7200).pages("companies", SINCE))
    assert not archive.called
    list(build(deletions_every_seconds=1800).pages("companies", SINCE))
    assert archive.called


def test_survivors_name_their_merged_records(
    hubspot: HubSpotConnector, api: respx.MockRouter
) -> None:
    api.get(f"{OBJECTS}/deals").mock(
        return_value=Response(200, json=results(thing("3", hs_merged_object_ids="1;2")))
    )
    (page,) = hubspot.pages("deals", None)
    assert page.merges == [Merge("1", "3"), Merge("2", "3")]
