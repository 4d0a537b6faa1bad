"""The HubSpot connector keeps the contract, against the twin, over real HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from connectors.hubspot.connector import HubSpotConnector
from connectors.hubspot.twin import Twin, start
from connectors.hubspot.twin.webhooks import signature
from connectors.kit.budget import Budget
from connectors.kit.contract import Connector, FieldNeed, Request
from connectors.kit.suite import ConnectorContract

SECRET = "the app's client secret"


@pytest.fixture
def twin() -> Iterator[Twin]:
    with start() as twin:
        twin.limits.enforced = False
        yield twin


@pytest.fixture
def company(twin: Twin) -> str:
    return str(twin.create("companies", name="ACME"))


def connect(url: str, token: str) -> HubSpotConnector:
    settings = {
        "token": token,
        "base_url": url,
        "webhook_secret": SECRET,
        "search_lag_seconds": 0,
        "overlap_seconds": 0,
        # what no search finds is read with everything else: see test_hidden_changes.py
        "associations_every_seconds": 86_400,
        "requests_per_10s": 100_000,
    }
    budget = Budget(lanes={"search": (100_000, 1.0)}, sleep=lambda _: None)
    return HubSpotConnector(settings, budget)


class HubSpotContract(ConnectorContract):
    """What is the same for all streams."""

    #: HubSpot's list pages have 100 records.
    many = 102

    @pytest.fixture
    def connector(self, twin: Twin, company: str) -> Iterator[Connector]:
        self.twin, self.company = twin, company
        opened = connect(twin.url, twin.token)
        opened.prepare([FieldNeed(self.stream, "tulay_id", "text", "Tulay id", external_id=True)])
        yield opened
        opened.close()

    @pytest.fixture
    def wrong_credentials(self, twin: Twin) -> Iterator[Connector]:
        opened = connect(twin.url, "wrong")
        yield opened
        opened.close()

    @pytest.fixture
    def unreachable(self) -> Iterator[Connector]:
        opened = connect("http://127.0.0.1:9", "any")
        yield opened
        opened.close()

    @pytest.fixture
    def delivery(self, twin: Twin) -> Request:
        event = {"subscriptionType": "company.creation", "objectId": 7, "occurredAt": 1}
        body, url, now = json.dumps([event]).encode(), "https://hub.example/in", twin.clock.now()
        stamp = str(int(now.timestamp() * 1000))
        signed = signature(SECRET, method="POST", url=url, body=body, timestamp=stamp)
        headers = {"x-hubspot-signature-v3": signed, "x-hubspot-request-timestamp": stamp}
        return Request(method="POST", url=url, headers=headers, body=body, received_at=now)

    def settle(self, connector: Connector) -> None:
        self.twin.clock.advance(timedelta(minutes=1))


class TestCompanies(HubSpotContract):
    stream = "companies"

    def sample(self, n: int) -> dict[str, Any]:
        return {"properties": {"name": f"Customer {n}", "phone": "030 1234567", "city": "Bonn"}}

    def patch(self, n: int) -> dict[str, Any]:
        return {"properties": {"name": f"Renamed {n}", "zip": f"5310{n}"}}


class TestContacts(HubSpotContract):
    stream = "contacts"

    def sample(self, n: int) -> dict[str, Any]:
        who = {"email": f"person{n}@acme.example", "firstname": "Ann", "lastname": f"Number {n}"}
        return {"properties": who, "associations": {"companies": [self.company]}}

    def patch(self, n: int) -> dict[str, Any]:
        return {"properties": {"lastname": f"Renamed {n}"}}


class TestDeals(HubSpotContract):
    stream = "deals"

    def sample(self, n: int) -> dict[str, Any]:
        line = {"hs_sku": "WID-1", "name": "Widget", "quantity": "2", "price": "30"}
        return {
            "properties": {"dealname": f"Deal {n}", "dealstage": "closedwon", "amount": "60"},
            "associations": {"companies": [self.company]},
            "line_items": [{"properties": line}],
        }

    def patch(self, n: int) -> dict[str, Any]:
        return {"properties": {"dealname": f"Renamed {n}"}}


class TestOrders(HubSpotContract):
    stream = "orders"

    def sample(self, n: int) -> dict[str, Any]:
        order = {"hs_order_name": f"SO{n:06}", "hs_currency_code": "EUR", "hs_total_price": "60"}
        return {"properties": order, "associations": {"companies": [self.company]}}

    def patch(self, n: int) -> dict[str, Any]:
        return {"properties": {"hs_order_name": f"SO9{n:05}", "hs_external_order_id": f"PO {n}"}}
