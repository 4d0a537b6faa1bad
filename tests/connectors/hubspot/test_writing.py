"""Writing: batches, single failures, conflicts, versions, associations and lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import orjson
import pytest
import respx
from httpx import Response

from connectors.hubspot.connector import HubSpotConnector
from connectors.kit.contract import Action, Create, Delete, Update
from connectors.kit.errors import (
    CredentialsError,
    RateLimitedError,
    RecordMissingError,
    RecordRejectedError,
    RecordStaleError,
    UnavailableError,
)

from .conftest import results, sent, thing

OBJECTS = "/crm/objects/2026-09"
LINKS = "/crm/associations/2026-09"


def echo(*keys: str, status: int = 201) -> Callable[[httpx.Request], Response]:
    """Answers a batch with these ids, last input first, as HubSpot keeps no order."""

    def answer(request: httpx.Request) -> Response:
        inputs = orjson.loads(request.content)["inputs"]
        rows = [
            thing(key) | {"objectWriteTraceId": one["objectWriteTraceId"]}
            for key, one in zip(keys, inputs, strict=True)
        ]
        return Response(status, json=results(*reversed(rows), status="COMPLETE"))

    return answer


def refused(*traces: str, **more: Any) -> dict[str, Any]:
    return {
        "status": "error",
        "category": "VALIDATION_ERROR",
        "message": "Property values were not valid: hush",
        "context": {"objectWriteTraceId": list(traces)},
        **more,
    }


def nothing_found(api: respx.MockRouter, stream: str = "companies") -> respx.Route:
    return api.post(f"{OBJECTS}/{stream}/batch/read").mock(
        return_value=Response(207, json=results())
    )


# -- creates


def test_creates_are_one_batch_with_trace_ids(
    hubspot: HubSpotConnector, api: respx.MockRouter
) -> None:
    """Creates are sent in one batch, and results are matched by trace id."""
    route = api.post(f"{OBJECTS}/companies/batch/create").mock(side_effect=echo("11", "12"))
    outcomes = hubspot.write(
        "companies",
        [
            Create("h-1", {"properties": {"name": "A", "phone": None, "employees": 3}}),
            Create("h-2", {"properties": {"name": "B"}}),
        ],
    )
    assert [one.key for one in outcomes] == ["11", "12"]
    first, second = sent(route.calls[0])["inputs"]
    assert first["properties"] == {"name": "A", "employees": "3", "tulay_id": "h-1"}
    assert first["associations"] == []
    assert first["objectWriteTraceId"] != second["objectWriteTraceId"]


def test_more_than_a_hundred_are_two_batches(
    hubspot: HubSpotConnector, api: respx.MockRouter
) -> None:
    sizes = []

    def answer(request: httpx.Request) -> Response:
        inputs = orjson.loads(request.content)["inputs"]
        sizes.append(len(inputs))
        return echo(*(one["properties"]["name"] for one in inputs))(request)

    api.post(f"{OBJECTS}/companies/batch/create").mock(side_effect=answer)
    writes = [Create(f"h-{n}", {"properties": {"name": str(n)}}) for n in range(130)]
    outcomes = hubspot.write("companies", writes)
    assert sizes == [100, 30]
    assert [one.key for one in outcomes] == [str(n) for n in range(130)]


def test_one_bad_row_does_not_sink_the_others(
    hubspot: HubSpotConnector, api: respx.MockRouter
) -> None:
    error = refused(
        "row-1", errors=[{"code": "INVALID_OPTION", "context": {"propertyName": ["industry"]}}]
    )
    good = thing("11") | {"objectWriteTraceId": "row-0"}
    api.post(f"{OBJECTS}/companies/batch/create").mock(
        return_value=Response(207, json=results(good, errors=[error], numErrors=1))
    )
    nothing_found(api)
    ok, bad = hubspot.write("companies", [Create("h-1", {}), Create("h-2", {})])
    assert ok.key == "11"
    assert isinstance(bad.error, RecordRejectedError)
    assert bad.error.fields == {"industry": "INVALID_OPTION"}
    assert "hush" not in str(bad.error)


def test_a_refused_batch_is_split(hubspot: HubSpotConnector, api: respx.MockRouter) -> None:
    api.post(f"{OBJECTS}/companies/batch/create").mock(
        return_value=Response(400, json={"category": "VALIDATION_ERROR"})
    )
    single = api.post(f"{OBJECTS}/companies").mock(
        side_effect=[
            Response(201, json=thing("11")),
            Response(400, json={"category": "VALIDATION_ERROR"}),
            Response(201, json=thing("13")),
        ]
    )
    nothing_found(api)
    outcomes = hubspot.write("companies", [Create(f"h-{n}", {}) for n in range(3)])
    assert [one.key for one in outcomes] == ["11", None, "13"]
    assert isinstance(outcomes[1].error, RecordRejectedError)
    assert set(sent(single.calls[0])) == {"properties", "associations"}


def test_our_own_earlier_create_is_a_success(
    hubspot: HubSpotConnector, api: respx.MockRouter
) -> None:
    """A 409 that names our own earlier create is a success."""
    conflict = {"category": "CONFLICT", "message": "Company already exists. Existing ID: 77"}
    api.post(f"{OBJECTS}/companies/batch/create").mock(return_value=Response(409, json=conflict))
    api.post(f"{OBJECTS}/companies").mock(return_value=Response(409, json=conflict))
    read = api.post(f"{OBJECTS}/companies/batch/read").mock(
        return_value=Response(200, json=results(thing("77", tulay_id="h-1")))
    )
    (outcome,) = hubspot.write("companies", [Create("h-1", {})])
    assert (outcome.key, outcome.error) == ("77", None)
    assert sent(read.calls[0])["idProperty"] == "tulay_id"


def test_another_contacts_email_is_refused(
    hubspot: HubSpotConnector, api: respx.MockRouter
) -> None:
    """A 409 that names a contact that is not ours is a refusal."""
    conflict = {"category": "CONFLICT", "message": "Contact already exists. Existing ID: 77"}
    api.post(f"{OBJECTS}/contacts/batch/create").mock(return_value=Response(409, json=conflict))
    api.post(f"{OBJECTS}/contacts").mock(return_value=Response(409, json=conflict))
    nothing_found(api, "contacts")
    (outcome,) = hubspot.write("contacts", [Create("h-1", {"properties": {"email": "a@b.c"}})])
    assert isinstance(outcome.error, RecordRejectedError)
    assert "77" in str(outcome.error)


def test_a_row_the_answer_omits_is_in_doubt(
    hubspot: HubSpotConnector, api: respx.MockRouter
) -> None:
    good = thing("11") | {"objectWriteTraceId": "row-0"}
    api.post(f"{OBJECTS}/companies/batch/create").mock(
        return_value=Response(201, json=results(good))
    )
    ok, lost = hubspot.write("companies", [Create("h-1", {}), Create("h-2", {})])
    assert ok.key == "11"
    assert type(lost.error) is UnavailableError


def test_results_may_be_matched_by_the_hub_id(
    hubspot: HubSpotConnector, api: respx.MockRouter
) -> None:
    """Results without a trace id are matched by the hub id."""
    rows = [thing("12", tulay_id="h-2"), thing("11", tulay_id="h-1")]
    api.post(f"{OBJECTS}/companies/batch/create").mock(
        return_value=Response(201, json=results(*rows))
    )
    outcomes = hubspot.write("companies", [Create("h-1", {}), Create("h-2", {})])
    assert [one.key for one in outcomes] == ["11", "12"]


@pytest.mark.parametrize("failure", [httpx.ReadTimeout("slow"), Response(502)])
def test_a_create_in_doubt_is_not_repeated(
    hubspot: HubSpotConnector, api: respx.MockRouter, failure: Any
) -> None:
    route = api.post(f"{OBJECTS}/companies/batch/create").mock(side_effect=[failure])
    with pytest.raises(UnavailableError):
        hubspot.write("companies", [Create("h-1", {})])
    assert route.call_count == 1


def test_a_late_failure_is_reported_per_write(
    hubspot: HubSpotConnector, api: respx.MockRouter
) -> None:
    """A failure after a first success is reported for each write."""
    api.post(f"{OBJECTS}/companies/batch/create").mock(side_effect=echo("11"))
    api.post(f"{OBJECTS}/companies/batch/update").mock(return_value=Response(401, json={}))
    done, failed = hubspot.write(
        "companies",
        [Create("h-1", {}), Update("5", {"properties": {"name": "B"}}, if_version=None)],
    )
    assert done.key == "11"
    assert isinstance(failed.error, CredentialsError)


def test_rows_not_tried_have_not_happened(hubspot: HubSpotConnector, api: respx.MockRouter) -> None:
    api.post(f"{OBJECTS}/companies/batch/create").mock(return_value=Response(400, json={}))
    single = api.post(f"{OBJECTS}/companies").mock(
        side_effect=[Response(201, json=thing("11")), httpx.ReadTimeout("slow")]
    )
    outcomes = hubspot.write("companies", [Create(f"h-{n}", {}) for n in range(4)])
    assert single.call_count == 2
    assert outcomes[0].key == "11"
    assert type(outcomes[1].error) is UnavailableError
    assert [type(one.error) for one in outcomes[2:]] == [RateLimitedError] * 2


def test_the_first_association_is_primary(hubspot: HubSpotConnector, api: respx.MockRouter) -> None:
    """Associations are created with the record; the first one is primary."""
    route = api.post(f"{OBJECTS}/contacts/batch/create").mock(side_effect=echo("11"))
    hubspot.write("contacts", [Create("h-1", {"associations": {"companies": ["5", None, "6"]}})])
    first, second = sent(route.calls[0])["inputs"][0]["associations"]
    assert first == {
        "to": {"id": "5"},
        "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 1}],
    }
    assert second["to"] == {"id": "6"}
    assert second["types"][0]["associationTypeId"] == 279


def test_an_unknown_association_costs_no_call(
    hubspot: HubSpotConnector, api: respx.MockRouter
) -> None:
    """An association that does not exist is refused before the call."""
    route = api.post(f"{OBJECTS}/products/batch/create").mock(side_effect=echo("11"))
    nothing_found(api, "products")
    bad, good = hubspot.write(
        "products", [Create("h-1", {"associations": {"deals": ["5"]}}), Create("h-2", {})]
    )
    assert isinstance(bad.error, RecordRejectedError)
    assert good.key == "11"
    assert len(sent(route.calls[0])["inputs"]) == 1


def test_a_deal_is_created_with_its_lines(hubspot: HubSpotConnector, api: respx.MockRouter) -> None:
    api.post(f"{OBJECTS}/deals/batch/create").mock(side_effect=echo("11"))
    route = api.post(f"{OBJECTS}/line_items/batch/create").mock(side_effect=echo("70", "71"))
    lines = [{"properties": {"hs_sku": "A", "quantity": "2"}}, {"properties": {"hs_sku": "B"}}]
    (outcome,) = hubspot.write("deals", [Create("h-1", {"line_items": lines})])
    assert outcome.key == "11"
    first = sent(route.calls[0])["inputs"][0]
    assert first["properties"] == {"hs_sku": "A", "quantity": "2"}
    assert first["associations"] == [
        {
            "to": {"id": "11"},
            "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 20}],
        }
    ]


def test_a_deal_with_refused_lines_is_no_success(
    hubspot: HubSpotConnector, api: respx.MockRouter
) -> None:
    api.post(f"{OBJECTS}/deals/batch/create").mock(side_effect=echo("11", "12"))
    api.post(f"{OBJECTS}/line_items/batch/create").mock(
        return_value=Response(207, json=results(errors=[refused("row-0")]))
    )
    line = {"properties": {"hs_sku": "A"}}
    bad, good = hubspot.write(
        "deals", [Create("h-1", {"line_items": [line]}), Create("h-2", {"line_items": []})]
    )
    assert isinstance(bad.error, RecordRejectedError)
    assert good.key == "12"


# -- updates


def test_updates_go_out_in_one_batch(hubspot: HubSpotConnector, api: respx.MockRouter) -> None:
    route = api.post(f"{OBJECTS}/companies/batch/update").mock(
        side_effect=echo("1", "2", status=200)
    )
    outcomes = hubspot.write(
        "companies",
        [
            Update("1", {"properties": {"name": "A", "phone": None}}, if_version=None),
            Update("2", {"properties": {"name": "B"}}, if_version=None),
        ],
    )
    assert [one.key for one in outcomes] == ["1", "2"]
    assert sent(route.calls[0])["inputs"][0]["properties"] == {"name": "A", "phone": ""}


def test_one_record_twice_is_two_batches(hubspot: HubSpotConnector, api: respx.MockRouter) -> None:
    route = api.post(f"{OBJECTS}/companies/batch/update").mock(side_effect=echo("1", status=200))
    writes = [Update("1", {"properties": {"name": name}}, if_version=None) for name in "AB"]
    assert [one.key for one in hubspot.write("companies", writes)] == ["1", "1"]
    names = [sent(call)["inputs"][0]["properties"]["name"] for call in route.calls]
    assert names == ["A", "B"]


def test_an_update_of_the_merged_names_a_survivor(
    hubspot: HubSpotConnector, api: respx.MockRouter
) -> None:
    """An update of a merged record returns the survivor's key."""
    api.post(f"{OBJECTS}/companies/batch/update").mock(side_effect=echo("9", status=200))
    (outcome,) = hubspot.write("companies", [Update("1", {"properties": {"name": "A"}}, None)])
    assert outcome.key == "9"


def test_a_stale_record_is_not_overwritten(
    hubspot: HubSpotConnector, api: respx.MockRouter
) -> None:
    read = api.post(f"{OBJECTS}/companies/batch/read").mock(
        return_value=Response(200, json=results(thing("1", "2026-09-02T00:00:00Z"), thing("2")))
    )
    route = api.post(f"{OBJECTS}/companies/batch/update").mock(side_effect=echo("2", status=200))
    stale, fresh = hubspot.write(
        "companies",
        [
            Update("1", {"properties": {"name": "A"}}, if_version="2026-09-01T00:00:00Z"),
            Update("2", {"properties": {"name": "B"}}, if_version="2026-09-01T00:00:00Z#a1b2"),
        ],
    )
    assert isinstance(stale.error, RecordStaleError)
    assert fresh.key == "2"
    assert [one["id"] for one in sent(route.calls[0])["inputs"]] == ["2"]
    assert sent(read.calls[0])["properties"] == ["hs_lastmodifieddate"]


@pytest.mark.parametrize(
    ("stream", "error"), [("companies", RecordStaleError), ("products", RecordMissingError)]
)
def test_a_missing_expected_record_is_read_again(
    hubspot: HubSpotConnector, api: respx.MockRouter, stream: str, error: type[Exception]
) -> None:
    """An expected record that was not returned is read again, or is gone."""
    nothing_found(api, stream)
    (outcome,) = hubspot.write(stream, [Update("1", {"properties": {"name": "A"}}, if_version="x")])
    assert isinstance(outcome.error, error)


def test_an_update_of_a_deleted_record_is_gone(
    hubspot: HubSpotConnector, api: respx.MockRouter
) -> None:
    api.post(f"{OBJECTS}/companies/batch/update").mock(return_value=Response(404, json={}))
    api.patch(f"{OBJECTS}/companies/1").mock(
        return_value=Response(404, json={"category": "OBJECT_NOT_FOUND"})
    )
    api.patch(f"{OBJECTS}/companies/2").mock(return_value=Response(200, json=thing("2")))
    gone, ok = hubspot.write(
        "companies",
        [Update(key, {"properties": {"name": "A"}}, if_version=None) for key in ("1", "2")],
    )
    assert isinstance(gone.error, RecordMissingError)
    assert gone.error.key == "1"
    assert ok.key == "2"


def test_an_association_is_made_primary(hubspot: HubSpotConnector, api: respx.MockRouter) -> None:
    route = api.post(f"{LINKS}/contacts/companies/batch/create").mock(
        return_value=Response(201, json=results())
    )
    (outcome,) = hubspot.write(
        "contacts", [Update("1", {"associations": {"companies": ["5"]}}, if_version=None)]
    )
    assert outcome.key == "1"
    assert sent(route.calls[0])["inputs"] == [
        {
            "from": {"id": "1"},
            "to": {"id": "5"},
            "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 1}],
        }
    ]


def present(*keys: str) -> dict[str, Any]:
    return results({"from": {"id": "1"}, "to": [{"toObjectId": key} for key in keys]})


def test_an_order_has_one_company(hubspot: HubSpotConnector, api: respx.MockRouter) -> None:
    """A new company of an order replaces the one before."""
    api.get(f"{LINKS}/orders/companies/labels").mock(return_value=Response(200, json=results()))
    api.post(f"{LINKS}/orders/companies/batch/create").mock(
        return_value=Response(201, json=results())
    )
    api.post(f"{LINKS}/orders/companies/batch/read").mock(
        return_value=Response(200, json=present("4", "5"))
    )
    archive = api.post(f"{LINKS}/orders/companies/batch/archive").mock(return_value=Response(204))
    hubspot.write("orders", [Update("1", {"associations": {"companies": ["5"]}}, if_version=None)])
    assert sent(archive.calls[0])["inputs"] == [{"from": {"id": "1"}, "to": [{"id": "4"}]}]


PLAIN = {"category": "HUBSPOT_DEFINED", "label": None}


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Response(200, json={"results": [{**PLAIN, "typeId": 901}]}), 901),
        (Response(200, json={"results": [{**PLAIN, "typeId": n} for n in (901, 509)]}), 509),
        (Response(200, json={"results": [{**PLAIN, "typeId": n} for n in (901, 902)]}), 509),
        (Response(200, json={"results": [{**PLAIN, "typeId": 901, "label": "Payer"}]}), 509),
        (Response(403, json={"category": "MISSING_SCOPES"}), 509),
        (Response(404), 509),
    ],
)
def test_an_association_type_is_looked_up_once(
    hubspot: HubSpotConnector, api: respx.MockRouter, answer: Response, kind: int
) -> None:
    asked = api.get(f"{LINKS}/orders/companies/labels").mock(return_value=answer)
    create = api.post(f"{LINKS}/orders/companies/batch/create").mock(
        return_value=Response(201, json=results())
    )
    api.post(f"{LINKS}/orders/companies/batch/read").mock(
        return_value=Response(200, json=present("5"))
    )
    for key in ("1", "2"):
        patch = {"associations": {"companies": ["5"]}}
        hubspot.write("orders", [Update(key, patch, if_version=None)])
    (first, second) = (sent(call)["inputs"][0]["types"] for call in create.calls)
    assert first == second
    assert first == [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": kind}]
    assert asked.call_count == 1


def test_an_empty_list_removes_all_associations(
    hubspot: HubSpotConnector, api: respx.MockRouter
) -> None:
    api.post(f"{LINKS}/contacts/companies/batch/read").mock(
        return_value=Response(200, json=present("4"))
    )
    archive = api.post(f"{LINKS}/contacts/companies/batch/archive").mock(return_value=Response(204))
    hubspot.write("contacts", [Update("1", {"associations": {"companies": []}}, if_version=None)])
    assert sent(archive.calls[0])["inputs"] == [{"from": {"id": "1"}, "to": [{"id": "4"}]}]


def test_a_refused_association_fails_one_record(
    hubspot: HubSpotConnector, api: respx.MockRouter
) -> None:
    def answer(request: httpx.Request) -> Response:
        inputs = orjson.loads(request.content)["inputs"]
        if any(one["to"]["id"] == "404" for one in inputs):
            return Response(400, json={"category": "VALIDATION_ERROR"})
        return Response(201, json=results())

    api.post(f"{LINKS}/contacts/companies/batch/create").mock(side_effect=answer)
    bad, good = hubspot.write(
        "contacts",
        [
            Update("1", {"associations": {"companies": ["404"]}}, if_version=None),
            Update("2", {"associations": {"companies": ["5"]}}, if_version=None),
        ],
    )
    assert isinstance(bad.error, RecordRejectedError)
    assert good.key == "2"


def test_lines_of_a_deal_change_come_and_go(
    hubspot: HubSpotConnector, api: respx.MockRouter
) -> None:
    added = api.post(f"{OBJECTS}/line_items/batch/create").mock(side_effect=echo("90"))
    changed = api.post(f"{OBJECTS}/line_items/batch/update").mock(side_effect=echo("7", status=200))
    removed = api.delete(f"{OBJECTS}/line_items/8").mock(return_value=Response(204))
    lines = [
        {"properties": {"hs_sku": "C"}},
        {"id": "7", "properties": {"quantity": "3"}},
        {"id": "8", "remove": True},
    ]
    (outcome,) = hubspot.write("deals", [Update("5", {"line_items": lines}, if_version=None)])
    assert outcome.key == "5"
    assert sent(added.calls[0])["inputs"][0]["associations"][0]["to"] == {"id": "5"}
    assert sent(changed.calls[0])["inputs"][0]["properties"] == {"quantity": "3"}
    assert removed.called


# -- deletes and acts


def test_deletes_are_archived_in_one_batch(
    hubspot: HubSpotConnector, api: respx.MockRouter
) -> None:
    route = api.post(f"{OBJECTS}/companies/batch/archive").mock(return_value=Response(204))
    outcomes = hubspot.write("companies", [Delete("1", None), Delete("2", None)])
    assert [one.key for one in outcomes] == ["1", "2"]
    assert sent(route.calls[0])["inputs"] == [{"id": "1"}, {"id": "2"}]


def test_a_stale_record_is_not_deleted(hubspot: HubSpotConnector, api: respx.MockRouter) -> None:
    """A stale record is not deleted; one that is missing counts as done."""
    api.post(f"{OBJECTS}/products/batch/read").mock(
        return_value=Response(200, json=results(thing("1", "2026-09-02T00:00:00Z")))
    )
    route = api.post(f"{OBJECTS}/products/batch/archive").mock(return_value=Response(204))
    stale, missing = hubspot.write(
        "products", [Delete("1", "2026-09-01T00:00:00Z"), Delete("2", "x")]
    )
    assert isinstance(stale.error, RecordStaleError)
    assert missing.key == "2"
    assert not route.called


def test_a_refused_batch_of_deletes_is_split(
    hubspot: HubSpotConnector, api: respx.MockRouter
) -> None:
    api.post(f"{OBJECTS}/companies/batch/archive").mock(return_value=Response(400, json={}))
    api.delete(f"{OBJECTS}/companies/1").mock(return_value=Response(204))
    api.delete(f"{OBJECTS}/companies/2").mock(return_value=Response(400, json={}))
    ok, bad = hubspot.write("companies", [Delete("1", None), Delete("2", None)])
    assert ok.key == "1"
    assert isinstance(bad.error, RecordRejectedError)


def test_there_are_no_actions(hubspot: HubSpotConnector) -> None:
    (outcome,) = hubspot.write("deals", [Action("1", "confirm", if_version=None)])
    assert isinstance(outcome.error, RecordRejectedError)
