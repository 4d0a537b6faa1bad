"""Tryton keeps the contract, stream by stream, on a real server."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import pytest

from connectors.kit.budget import Budget
from connectors.kit.contract import Connector, Create
from connectors.kit.suite import ConnectorContract
from connectors.tryton.connector import TrytonConnector
from connectors.tryton.sandbox import Sandbox

#: The suite asks for some fixtures by name only: pytest must know of the engines beforehand.
pytestmark = pytest.mark.usefixtures("tryton")


class OnTryton(ConnectorContract):
    """What the streams have in common; its name keeps pytest from running it by itself."""

    party: ClassVar[str] = ""

    @pytest.fixture
    def connector(
        self, opened: TrytonConnector, tryton: Sandbox, request: pytest.FixtureRequest
    ) -> Connector:
        if "close" in request.node.name:
            return TrytonConnector(tryton.settings(), fresh_budget())
        there = sum(len(portion) for portion in opened.keys(self.stream))
        opened._reader._page = max(2, (there + self.many) // 3)
        return opened

    @pytest.fixture
    def wrong_credentials(self, tryton: Sandbox) -> Iterator[Connector]:
        settings = {**tryton.settings(), "login": "nobody", "password": "wrong"}
        connector = TrytonConnector(settings, fresh_budget())
        yield connector
        connector.close()

    @pytest.fixture
    def unreachable(self) -> Iterator[Connector]:
        away = {"url": "http://127.0.0.1:9", "database": "x", "login": "x", "password": "x"}
        budget = Budget(1000, 1.0, sleep=lambda seconds: None)
        connector = TrytonConnector(away, budget)
        yield connector
        connector.close()

    def settle(self, connector: Connector) -> None:
        time.sleep(1.1)  # the server's clock in its answers has whole seconds

    def shows(self, payload: Mapping[str, Any], patch: Mapping[str, Any]) -> bool:
        return _shows(payload, patch)


@pytest.fixture(scope="session")
def opened(tryton: Sandbox) -> Iterator[TrytonConnector]:
    """One conversation for all tests: logging in is slow."""
    connector = TrytonConnector({**tryton.settings(), "overlap_seconds": 0}, fresh_budget())
    values = {"name": "Contract party", "addresses": [{"city": "Bonn"}]}
    (outcome,) = connector.write("party.party", [Create("contract-party", values)])
    OnTryton.party = outcome.key or ""
    yield connector
    connector.close()


def fresh_budget() -> Budget:
    return Budget(requests=10_000, per_seconds=1.0)


def _shows(value: Any, wanted: Any) -> bool:
    """Says whether everything wanted is there; the system adds ids and computed fields."""
    if isinstance(wanted, Mapping):
        return all(_shows(value[name], inner) for name, inner in wanted.items())
    if isinstance(wanted, list):
        return len(value) == len(wanted) and all(map(_shows, value, wanted))
    return bool(value == wanted)


class TestParties(OnTryton):
    stream = "party.party"

    def sample(self, n: int) -> dict[str, Any]:
        return {
            "name": f"Customer number {n}",
            "addresses": [{"street": f"Main St {n}", "city": "Bonn", "country": {"code": "DE"}}],
            "contact_mechanisms": [{"type": "email", "value": f"office{n}@customer.example"}],
        }

    def patch(self, n: int) -> dict[str, Any]:
        return {"name": f"Renamed {n}"}


class TestContacts(OnTryton):
    stream = "party.contact_mechanism"

    def sample(self, n: int) -> dict[str, Any]:
        return {
            "value": f"person{n}@customer.example",
            "name": f"Person number {n}",
            "party": {"id": self.party},
        }

    def patch(self, n: int) -> dict[str, Any]:
        return {"name": f"Renamed {n}"}


class TestSales(OnTryton):
    stream = "sale.sale"
    action = "quote"

    def sample(self, n: int) -> dict[str, Any]:
        line = {"product": {"code": "GAD-1"}, "quantity": str(n + 1), "unit_price": "11.5"}
        return {"description": f"Order {n}", "party": {"id": self.party}, "lines": [line]}

    def patch(self, n: int) -> dict[str, Any]:
        return {"description": f"Changed {n}"}
