"""Webhooks of the twin: signed as HubSpot signs, batched, repeated; checked by HubSpot's client."""

from __future__ import annotations

import base64
import hashlib
import hmac
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connectors.hubspot.twin import Twin, start
from connectors.kit.twin import Server

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the vendor's package, not ours
    from hubspot import HubSpot
    from hubspot import webhooks as models
    from hubspot.utils.signature import Signature


@dataclass
class Receiver:
    """Accepts deliveries and answers with the given statuses, then with 200."""

    statuses: list[int] = field(default_factory=list)
    calls: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""

    async def __call__(self, request: Request) -> Response:
        self.calls.append((dict(request.headers), await request.body()))
        return Response(status_code=self.statuses.pop(0) if self.statuses else 200)

    @property
    def events(self) -> list[dict[str, Any]]:
        return [event for _, body in self.calls for event in orjson.loads(body)]


@pytest.fixture(scope="module")
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()

    async def answer(request: Request) -> Response:
        return await receiver(request)

    server = Server(Starlette(routes=[Route("/hooks/hubspot", answer, methods=["POST"])])).start()
    receiver.url = f"{server.url}/hooks/hubspot?connection=crm"
    yield receiver
    server.stop()


@pytest.fixture
def receiver(receiving: Receiver) -> Receiver:
    receiving.calls.clear()
    receiving.statuses.clear()
    return receiving


@pytest.fixture
def twin() -> Iterator[Twin]:
    with start(seed=6) as running:
        running.webhooks.retries = (0.01, 0.01)
        yield running


def test_without_a_subscription_nothing_is_sent(twin, receiver) -> None:
    twin.create("companies", name="A")
    assert twin.webhooks.flush()
    assert not twin.webhooks.deliveries
    assert receiver.calls == []


def test_a_rename_is_delivered_and_signed(twin, receiver) -> None:
    """A rename is delivered with a valid signature."""
    twin.subscribe(receiver.url, "company.propertyChange:name")
    key = twin.create("companies", name="A")
    twin.edit("companies", key, name="Böhm", city="Graz")
    assert twin.webhooks.flush()
    assert [(e["objectId"], e["propertyName"], e["propertyValue"]) for e in receiver.events] == [
        (int(key), "name", "A"),
        (int(key), "name", "Böhm"),
    ]
    event = receiver.events[1]
    assert event["subscriptionType"] == "company.propertyChange"
    assert event["portalId"] == twin.settings.portal_id
    assert event["changeSource"] == "CRM_UI"
    headers, body = receiver.calls[-1]
    stamp = headers["x-hubspot-request-timestamp"]
    text = b"POST" + receiver.url.encode() + body + stamp.encode()
    digest = hmac.new(twin.client_secret.encode(), text, hashlib.sha256).digest()
    assert headers["x-hubspot-signature-v3"] == base64.b64encode(digest).decode()
    assert Signature.is_valid(
        signature=headers["x-hubspot-signature-v3"],
        client_secret=twin.client_secret,
        request_body=body.decode(),
        http_uri=receiver.url,
        http_method="POST",
        signature_version="v3",
        timestamp=stamp,
    )
    assert Signature.is_valid(
        signature=headers["x-hubspot-signature"],
        client_secret=twin.client_secret,
        request_body=body.decode(),
        signature_version=headers["x-hubspot-signature-version"],
    )


def test_all_kinds_of_events(twin, receiver) -> None:
    twin.subscribe(
        receiver.url,
        "contact.creation",
        "contact.deletion",
        "contact.restore",
        "contact.merge",
        "contact.associationChange",
        "object.propertyChange:hs_order_name@0-123",
    )
    firm = twin.create("companies", name="A")
    one = twin.create("contacts", email="a@x.example", associations={"companies": [firm]})
    two = twin.create("contacts", email="b@x.example")
    twin.archive("contacts", two)
    twin.restore("contacts", two)
    new = twin.merge("contacts", one, two)
    order = twin.create("orders", hs_order_name="SO-1")
    assert twin.webhooks.flush()
    assert [(e["subscriptionType"], str(e["objectId"])) for e in receiver.events] == [
        ("contact.creation", one),
        ("contact.associationChange", one),
        ("contact.creation", two),
        ("contact.deletion", two),
        ("contact.restore", two),
        ("contact.merge", one),
        ("object.propertyChange", order),
    ]
    link, merge, change = receiver.events[1], receiver.events[5], receiver.events[6]
    assert (link["fromObjectId"], link["toObjectId"]) == (int(one), int(firm))
    assert link["isPrimaryAssociation"] is True
    assert link["associationRemoved"] is False
    assert (str(merge["newObjectId"]), merge["mergedObjectIds"]) == (new, [int(two)])
    assert change["objectTypeId"] == "0-123"


def test_a_delivery_has_100_events_at_most(twin, receiver) -> None:
    twin.subscribe(receiver.url, "company.creation", "company.propertyChange:name")
    rows = [{"properties": {"name": f"C{n}"}} for n in range(80)]
    answer = httpx.post(
        f"{twin.url}/crm/v3/objects/companies/batch/create",
        json={"inputs": rows},
        headers={"Authorization": f"Bearer {twin.token}"},
        verify=False,
    )
    assert answer.status_code == 201
    assert twin.webhooks.flush()
    assert [delivery.events for delivery in twin.webhooks.deliveries] == [100, 60]
    assert len({event["eventId"] for event in receiver.events}) == 160


def test_a_refused_delivery_is_retried(twin, receiver) -> None:
    """A refused delivery is repeated with the number of the attempt."""
    receiver.statuses[:] = [500, 503]
    twin.subscribe(receiver.url, "company.creation")
    twin.create("companies", name="A")
    assert twin.webhooks.flush()
    assert [event["attemptNumber"] for event in receiver.events] == [0, 1, 2]
    assert len({event["eventId"] for event in receiver.events}) == 1
    assert [d.status for d in twin.webhooks.deliveries] == [500, 503, 200]


def test_an_unreachable_target_is_given_up(twin, receiver) -> None:
    twin.subscribe("http://127.0.0.1:9/", "company.creation")
    twin.create("companies", name="A")
    assert twin.webhooks.flush()
    assert [d.status for d in twin.webhooks.deliveries] == [None, None, None]


def test_the_official_client_configures_the_app(twin, receiver) -> None:
    api = HubSpot(api_key=twin.developer_key, host=twin.url).webhooks
    settings = models.SettingsChangeRequest(
        target_url=receiver.url, throttling=models.ThrottlingSettings(max_concurrent_requests=5)
    )
    assert api.settings_api.configure(880011, settings).throttling.max_concurrent_requests == 5
    made = api.subscriptions_api.create(
        880011,
        models.SubscriptionCreateRequest(
            event_type="deal.propertyChange", property_name="dealstage", active=False
        ),
    )
    twin.create("deals", dealname="D", dealstage="contractsent")
    api.subscriptions_api.update(int(made.id), 880011, models.SubscriptionPatchRequest(active=True))
    twin.create("deals", dealname="D", dealstage="closedwon")
    assert twin.webhooks.flush()
    assert [event["propertyValue"] for event in receiver.events] == ["closedwon"]
    assert len(api.subscriptions_api.get_all(880011).results) == 1
    api.subscriptions_api.archive(int(made.id), 880011)
    api.settings_api.clear(880011)
    with pytest.raises(models.ApiException) as gone:
        api.settings_api.get_all(880011)
    assert gone.value.status == 404


def test_the_dated_path_takes_a_developer_key(twin) -> None:
    url = f"{twin.url}/app-webhooks/2026-09/880011/subscriptions"
    assert httpx.get(url, verify=False).status_code == 401
    keyed = httpx.get(url, params={"hapikey": twin.developer_key}, verify=False)
    assert keyed.json() == {"results": []}


@pytest.mark.parametrize(
    "row",
    [
        {"eventType": "company.explosion"},
        {"eventType": "company.propertyChange"},
        {"eventType": "object.creation"},
        {"eventType": "order.creation"},
    ],
)
def test_subscriptions_that_are_refused(twin, row) -> None:
    answer = httpx.post(
        f"{twin.url}/webhooks/v3/880011/subscriptions",
        json={**row, "active": True},
        headers={"Authorization": f"Bearer {twin.token}"},
        verify=False,
    )
    assert answer.status_code == 400
