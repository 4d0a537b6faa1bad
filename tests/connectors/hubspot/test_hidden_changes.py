"""Changes that do not touch the modified date of their record, and that no search finds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import orjson
import pytest

from connectors.hubspot.connector import HubSpotConnector
from connectors.hubspot.twin import Twin, start
from connectors.kit.budget import Budget
from connectors.kit.contract import Record

from .conftest import Time

RARELY = {"associations_every_seconds": 86_400}


@pytest.fixture
def twin() -> Iterator[Twin]:
    with start(records=8, seed=5) as twin:
        twin.limits.burst = 100_000
        yield twin


class Reader:
    """Reads a stream continuously."""

    def __init__(self, twin: Twin, stream: str, settings: Mapping[str, Any]) -> None:
        self.time, self.stream = Time(), stream
        known = {
            "token": twin.token,
            "base_url": twin.url,
            "search_lag_seconds": 0,
            "overlap_seconds": 0,
            "requests_per_10s": 100_000,
        }
        lanes: dict[str, tuple[int, float]] = {"search": (100_000, 1.0)}
        budget = Budget(lanes=lanes, clock=self.time, sleep=self.time.sleep)
        self.connector = HubSpotConnector({**known, **settings}, budget, clock=twin.clock.now)
        self.cursor: str | None = None

    def read(self) -> dict[str, Record]:
        """Returns what is new since the last read."""
        found: dict[str, Record] = {}
        for page in self.connector.pages(self.stream, self.cursor):
            found |= {record.key: record for record in page.records}
            self.cursor = page.cursor or self.cursor
        return found


@pytest.fixture
def reader(twin: Twin) -> Iterator[Any]:
    made: list[Reader] = []

    def make(stream: str, **settings: Any) -> Reader:
        made.append(Reader(twin, stream, settings))
        return made[-1]

    yield make
    for each in made:
        each.connector.close()


def deal_with_line(twin: Twin) -> tuple[str, str]:
    deal = twin.create("deals", dealname="Ten widgets")
    line = twin.create("line_items", name="Widget", quantity="10", price="5")
    twin.associate("line_items", line, to="deals", id=deal)
    return str(deal), str(line)


def test_a_changed_line_brings_its_deal(twin: Twin, reader: Any) -> None:
    deal, line = deal_with_line(twin)
    deals = reader("deals", **RARELY)
    before = deals.read()[deal]
    twin.edit("line_items", line, quantity="12")
    after = deals.read()
    assert after[deal].payload["line_items"][0]["properties"]["quantity"] == "12"
    assert after[deal].version != before.version
    assert after[deal].modified_at == before.modified_at


def test_a_new_line_brings_its_deal(twin: Twin, reader: Any) -> None:
    deal, _ = deal_with_line(twin)
    deals = reader("deals", **RARELY)
    deals.read()
    line = twin.create("line_items", name="Gadget", quantity="1", price="9")
    twin.associate("line_items", line, to="deals", id=deal)
    assert len(deals.read()[deal].payload["line_items"]) == 2


def test_a_line_without_a_deal_is_harmless(twin: Twin, reader: Any) -> None:
    deals = reader("deals", **RARELY)
    deals.read()
    twin.create("line_items", name="Gadget", quantity="1", price="9")
    assert deals.read() == {}


def test_a_contacts_new_company_is_noticed(twin: Twin, reader: Any) -> None:
    old, new = twin.create("companies", name="Old"), twin.create("companies", name="New")
    contact = twin.create("contacts", email="ann@acme.example")
    twin.associate("contacts", contact, to="companies", id=old)
    contacts = reader("contacts")
    before = contacts.read()[str(contact)]
    twin.dissociate("contacts", contact, to="companies", id=old)
    twin.associate("contacts", contact, to="companies", id=new)
    after = contacts.read()[str(contact)]
    assert after.payload["associations"]["companies"] == [str(new)]
    assert after.version != before.version


def test_a_removed_line_is_noticed(twin: Twin, reader: Any) -> None:
    deal, line = deal_with_line(twin)
    deals = reader("deals")
    deals.read()
    twin.archive("line_items", line)
    assert deals.read()[deal].payload["line_items"] == []


def test_many_records_are_looked_at_less_often(twin: Twin, reader: Any) -> None:
    for number in range(400):
        twin.create("contacts", email=f"person{number}@acme.example")
    twin.clock.advance(timedelta(minutes=1))  # otherwise search finds what has just been created
    contacts = reader("contacts")
    known = len(contacts.read())
    pages = orjson.loads(contacts.cursor or "")["pages"]
    assert pages == -(-known // 100)
    assert contacts.read() == {}
    twin.clock.advance(timedelta(seconds=12) * pages)
    assert len(contacts.read()) == known
    assert contacts.read() == {}


def test_rare_associations_are_read_once_a_day(twin: Twin, reader: Any) -> None:
    """Associations that users do not make by hand are read once a day."""
    twin.create("tasks", hs_timestamp="2026-10-01T00:00:00Z", hs_task_subject="Call")
    twin.clock.advance(timedelta(minutes=1))  # otherwise search finds what has just been created
    tasks = reader("tasks")
    known = tasks.read()
    assert tasks.read() == {}
    twin.clock.advance(timedelta(days=1))
    assert tasks.read().keys() == known.keys()


def test_companies_have_nothing_hidden(twin: Twin, reader: Any) -> None:
    companies = reader("companies")
    companies.read()
    twin.clock.advance(timedelta(days=9))
    assert companies.read() == {}
