"""Fetching by key, sweeping keys, and finding by hub id."""

from __future__ import annotations

import pytest
import respx
from httpx import Response

from connectors.hubspot.connector import HubSpotConnector
from connectors.kit.contract import Merge
from connectors.kit.errors import ContractError

from .conftest import results, sent, thing

OBJECTS = "/crm/objects/2026-09"
LINKS = "/crm/associations/2026-09"


def test_fetch_separates_records_gone_and_merged(
    hubspot: HubSpotConnector, api: respx.MockRouter
) -> None:
    read = api.post(f"{OBJECTS}/companies/batch/read").mock(
        return_value=Response(
            207,
            json=results(
                thing("1"),
                thing("30", hs_merged_object_ids="3"),
                errors=[{"category": "OBJECT_NOT_FOUND", "context": {"ids": ["2", "4"]}}],
            ),
        )
    )
    api.get(f"{OBJECTS}/companies/2").mock(return_value=Response(404))
    api.get(f"{OBJECTS}/companies/4").mock(return_value=Response(200, json=thing("40")))
    page = hubspot.fetch("companies", ["1", "1", "2", "3", "4"])
    assert sorted(record.key for record in page.records) == ["1", "30", "40"]
    assert page.gone == ["2"]
    assert set(page.merges) == {Merge("3", "30"), Merge("4", "40")}
    assert [one["id"] for one in sent(read.calls[0])["inputs"]] == ["1", "2", "3", "4"]


def test_an_odd_key_stays_inside_its_path(hubspot: HubSpotConnector, api: respx.MockRouter) -> None:
    api.post(f"{OBJECTS}/companies/batch/read").mock(return_value=Response(200, json=results()))
    route = api.route(path__startswith="/crm").mock(return_value=Response(404))
    assert hubspot.fetch("companies", ["../deals/1?x"]).gone == ["../deals/1?x"]
    assert route.calls[-1].request.url.raw_path == (
        b"/crm/objects/2026-09/companies/..%2Fdeals%2F1%3Fx?properties="
        + route.calls[-1].request.url.query.removeprefix(b"properties=")
    )


def test_fetch_adds_missing_associations(hubspot: HubSpotConnector, api: respx.MockRouter) -> None:
    """Fetch reads the associations that a batch read does not contain."""
    api.post(f"{OBJECTS}/contacts/batch/read").mock(
        return_value=Response(200, json=results(thing("1"), thing("2")))
    )
    links = {
        "results": [
            {
                "from": {"id": "1"},
                "to": [
                    {"toObjectId": 30, "associationTypes": [{"typeId": 279, "label": None}]},
                    {"toObjectId": 40, "associationTypes": [{"typeId": 279}, {"typeId": 1}]},
                ],
            }
        ],
        "numErrors": 1,
        "errors": [
            {
                "category": "OBJECT_NOT_FOUND",
                "subCategory": "crm.associations.NO_ASSOCIATIONS_FOUND",
                "context": {"fromObjectId": ["2"]},
            }
        ],
    }
    api.post(f"{LINKS}/contacts/companies/batch/read").mock(return_value=Response(207, json=links))
    page = hubspot.fetch("contacts", ["1", "2"])
    assert [record.payload["associations"]["companies"] for record in page.records] == [
        ["40", "30"],
        [],
    ]


def test_other_read_errors_are_no_deletions(
    hubspot: HubSpotConnector, api: respx.MockRouter
) -> None:
    """Other errors of a batch read are not taken for deletions."""
    api.post(f"{OBJECTS}/companies/batch/read").mock(
        return_value=Response(207, json=results(errors=[{"category": "INTERNAL_ERROR"}]))
    )
    with pytest.raises(ContractError, match="INTERNAL_ERROR"):
        hubspot.fetch("companies", ["1"])


# -- keys and hub ids


def test_keys_are_swept_with_the_id_only(hubspot: HubSpotConnector, api: respx.MockRouter) -> None:
    route = api.get(f"{OBJECTS}/contacts").mock(
        side_effect=[
            Response(200, json=results(thing("1"), thing("2"), after="3")),
            Response(200, json=results(thing("3"))),
        ]
    )
    assert list(hubspot.keys("contacts")) == [["1", "2"], ["3"]]
    assert route.calls[0].request.url.params["properties"] == "hs_object_id"
    assert "associations" not in route.calls[0].request.url.params


def test_find_looks_by_the_hub_id(hubspot: HubSpotConnector, api: respx.MockRouter) -> None:
    read = api.post(f"{OBJECTS}/companies/batch/read").mock(
        return_value=Response(207, json=results(thing("7", tulay_id="h-1")))
    )
    found = hubspot.find("companies", ["h-1", "h-2"])
    assert {once: record.key for once, record in found.items()} == {"h-1": "7"}
    assert sent(read.calls[0])["idProperty"] == "tulay_id"


def test_find_needs_the_property(hubspot: HubSpotConnector, api: respx.MockRouter) -> None:
    """Find returns nothing before the property exists."""
    api.post(f"{OBJECTS}/companies/batch/read").mock(
        return_value=Response(400, json={"category": "VALIDATION_ERROR"})
    )
    api.get("/crm/properties/2026-09/companies/tulay_id").mock(return_value=Response(404))
    assert hubspot.find("companies", ["h-1"]) == {}


def test_an_unknown_stream_is_named(hubspot: HubSpotConnector) -> None:
    with pytest.raises(ContractError, match="'tickets'"):
        hubspot.fetch("tickets", ["1"])
