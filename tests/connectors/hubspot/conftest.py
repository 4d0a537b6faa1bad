"""A HubSpot connector whose waits take no time, and objects as HubSpot returns them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
import respx

from connectors.hubspot.connector import HubSpotConnector
from connectors.kit.budget import Budget

HOST = "https://api.hubapi.com"
NOW = datetime(2026, 10, 1, 10, tzinfo=UTC)
DATE = {"Date": "Thu, 01 Oct 2026 10:00:00 GMT"}


class Time:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def time() -> Time:
    return Time()


Build = Callable[..., HubSpotConnector]


@pytest.fixture
def build(time: Time) -> Iterator[Build]:
    """Builds connectors: settings as keywords, `fields` as mappings request them."""
    made = []

    def make(*, fields: dict[str, list[str]] | None = None, **settings: Any) -> HubSpotConnector:
        budget = Budget(clock=time, sleep=time.sleep)
        known = {"token": "pat-na1-hush", **settings}
        made.append(HubSpotConnector(known, budget, fields=fields, clock=lambda: NOW))
        return made[-1]

    yield make
    for connector in made:
        connector.close()


@pytest.fixture
def hubspot(build: Build) -> HubSpotConnector:
    return build(search_lag_seconds=60, overlap_seconds=300)


@pytest.fixture
def api() -> Iterator[respx.MockRouter]:
    with respx.mock(base_url=HOST, assert_all_called=False) as router:
        yield router


def thing(key: str, modified: str = "2026-09-01T00:00:00Z", **properties: Any) -> dict[str, Any]:
    """An object as HubSpot returns it."""
    return {
        "id": key,
        "properties": {
            "hs_lastmodifieddate": modified,
            "lastmodifieddate": modified,
            **properties,
        },
        "createdAt": "2026-01-01T00:00:00Z",
        "updatedAt": modified,
        "archived": False,
    }


def results(*things: dict[str, Any], after: str | None = None, **more: Any) -> dict[str, Any]:
    body: dict[str, Any] = {"results": list(things), **more}
    if after is not None:
        body["paging"] = {"next": {"after": after}}
    return body


def sent(call: respx.models.Call) -> Any:
    return orjson.loads(call.request.content)
