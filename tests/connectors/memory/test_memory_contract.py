"""The memory connector keeps the contract of which it is the reference."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.kit.contract import Connector, Request
from connectors.kit.suite import ConnectorContract
from connectors.memory import MemoryConnector, MemorySystem
from connectors.memory.webhooks import delivery


class Ticking:
    """A clock that advances a little with every reading."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 23, 8, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(milliseconds=1)
        return self.now


@pytest.fixture
def system() -> MemorySystem:
    return MemorySystem("crm", clock=Ticking(), password="sesame")


class TestCompanies(ConnectorContract):
    stream = "companies"

    @pytest.fixture
    def connector(self, system: MemorySystem) -> Connector:
        return MemoryConnector.of(system, page=2, password="sesame", webhook_secret="hush")

    @pytest.fixture
    def wrong_credentials(self, system: MemorySystem) -> Connector:
        return MemoryConnector.of(system, password="Sesame")

    @pytest.fixture
    def unreachable(self, system: MemorySystem) -> Connector:
        system.inject_faults(down=True)
        return MemoryConnector.of(system, password="sesame")

    @pytest.fixture
    def delivery(self, system: MemorySystem) -> Request:
        return delivery([("companies", "1")], secret="hush", at=system.clock())

    def sample(self, n: int) -> dict[str, Any]:
        return {"name": f"Customer number {n}", "phone": "030-123", "address": {"city": "Bonn"}}

    def patch(self, n: int) -> dict[str, Any]:
        return {"name": f"Renamed {n}", "address": {"postal_code": f"5310{n}"}}

    def settle(self, connector: Connector) -> None:
        assert isinstance(connector, MemoryConnector)
        clock: Callable[[], datetime] = connector.system.clock
        assert isinstance(clock, Ticking)
        clock.now += timedelta(minutes=1)


class TestOrders(TestCompanies):
    stream = "orders"
    action = "quote"

    def sample(self, n: int) -> dict[str, Any]:
        return {"number": f"SO{n:06}", "lines": {"first": {"sku": "WID-1", "quantity": "2"}}}

    def patch(self, n: int) -> dict[str, Any]:
        return {"reference": f"Purchase {n}"}
