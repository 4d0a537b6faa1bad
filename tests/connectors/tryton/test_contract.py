"""The Tryton connector keeps the contract, against a real server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from connectors.kit.budget import Budget
from connectors.kit.contract import Connector, Create
from connectors.kit.subject import key_of, new_id
from connectors.kit.suite import ConnectorContract
from connectors.tryton.connector import TrytonConnector
from connectors.tryton.sandbox import Sandbox

from .conftest import PARTY, await_next_second


def connect(settings: dict[str, Any]) -> TrytonConnector:
    patient = Budget(10_000, 1.0, sleep=lambda _: None)
    return TrytonConnector({"overlap_seconds": 0, "page_size": 5, **settings}, patient)


@pytest.fixture(scope="module")
def shared(tryton: Sandbox) -> Iterator[TrytonConnector]:
    """One session for all tests: a login is slow, on purpose."""
    opened = connect({**tryton.settings(), "payment_term": "30 days"})
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def customer(shared: TrytonConnector) -> str:
    """The key of a party that can be sold to."""
    return key_of(shared.write("party.party", [Create(new_id(), PARTY)])[0])


class TrytonContract(ConnectorContract):
    """What is the same for all streams; the server, and so its records, are shared by all tests."""

    many = 6

    @pytest.fixture
    def connector(self, shared: TrytonConnector, customer: str) -> Connector:
        self.customer = customer
        return shared

    @pytest.fixture
    def fresh(self, tryton: Sandbox) -> Connector:
        opened = connect(tryton.settings())
        opened.check()
        return opened

    def test_close_may_come_twice(self, fresh: Connector) -> None:
        super().test_close_may_come_twice(fresh)

    @pytest.fixture
    def wrong_credentials(self, tryton: Sandbox) -> Iterator[Connector]:
        # Its own login: a sixth wrong password locks the right one, too.
        opened = connect({**tryton.settings(), "login": f"nobody-{self.stream}"})
        yield opened
        opened.close()

    @pytest.fixture
    def unreachable(self, tryton: Sandbox) -> Iterator[Connector]:
        opened = connect({**tryton.settings(), "url": "http://127.0.0.1:9"})
        yield opened
        opened.close()

    def settle(self, connector: Connector) -> None:
        await_next_second()


class TestParties(TrytonContract):
    stream = "party.party"

    def sample(self, n: int) -> dict[str, Any]:
        return {**PARTY, "name": f"Customer {n}"}

    def patch(self, n: int) -> dict[str, Any]:
        return {"name": f"Renamed {n}", "addresses": [{"street": f"Second St {n}"}]}


class TestContacts(TrytonContract):
    stream = "party.contact_mechanism"

    def sample(self, n: int) -> dict[str, Any]:
        who = {"type": "email", "value": f"person{n}@acme.example", "name": f"Ann Number {n}"}
        return {**who, "party": {"id": self.customer}}

    def patch(self, n: int) -> dict[str, Any]:
        return {"name": f"Renamed {n}"}


class TestSales(TrytonContract):
    stream = "sale.sale"
    action = "quote"

    def sample(self, n: int) -> dict[str, Any]:
        line = {"product": {"code": "WID-1"}, "quantity": "2", "unit_price": "30"}
        return {"party": {"id": self.customer}, "reference": f"Purchase {n}", "lines": [line]}

    def patch(self, n: int) -> dict[str, Any]:
        return {"reference": f"Purchase 9{n}"}
