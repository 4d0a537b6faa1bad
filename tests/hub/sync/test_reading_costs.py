"""Statements per page: a number that depends neither on its size nor on the store's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from connectors.kit.contract import Page, Record
from connectors.memory import MemorySystem
from hub.settings import load_settings
from hub.store.runs import Tally
from hub.sync.context import Hub
from hub.sync.ingest.page import ingest
from hub.sync.ingest.pull import pull
from hub.sync.ingest.read_record import Origin
from hub.wiring import open_hub

COMPANY = """\
entity: company
stream: companies
requires: [name]
fields: {name: name, domain: domain, phone: phone, address.postal_code: zip}
"""
CONFIG = """\
database: {database}
mappings: [maps]
connections:
  crm: {{system: memory, path: {folder}/crm.db}}
  erp: {{system: memory, path: {folder}/erp.db}}
"""
#: Digests and pending work: all that an unchanged page may query.
UNCHANGED = 2
#: In addition candidates, gone links, four kinds of rows; on PostgreSQL also the lock.
NEW = 12


@pytest.fixture
def hub(database_url: str, tmp_path: Path) -> Iterator[Hub]:
    (tmp_path / "maps" / "memory").mkdir(parents=True)
    (tmp_path / "maps" / "memory" / "company.yaml").write_text(COMPANY, encoding="utf-8")
    config = CONFIG.format(folder=tmp_path, database=database_url)
    (tmp_path / "tulay.yaml").write_text(config, encoding="utf-8")
    opened = open_hub(load_settings(tmp_path / "tulay.yaml", environ={}))
    yield opened
    opened.close()


def companies(first: int, count: int) -> Page:
    return Page(
        [
            Record(
                str(n),
                {"name": f"Firm {n}", "domain": f"firm{n}.example", "zip": str(10_000 + n)},
                version="1",
            )
            for n in range(first, first + count)
        ]
    )


@contextmanager
def statements(hub: Hub) -> Iterator[list[str]]:
    """Records every statement sent to the database."""
    said: list[str] = []

    def note(_tx: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        said.append(statement)

    event.listen(hub.store.engine, "before_cursor_execute", note)
    yield said
    event.remove(hub.store.engine, "before_cursor_execute", note)


def taken(hub: Hub, page: Page) -> tuple[Tally, int]:
    """Ingests a page; returns its counts and the number of statements."""
    tally = Tally(hub.fresh_id(), "pull", "crm", "companies", hub.clock())
    channel = hub.connection("crm").channel("companies")
    with hub.store.begin() as tx, statements(hub) as said:
        ingest(hub, tx, channel, page=page, tally=tally, origin=Origin.LISTED)
    assert tally.adds_up
    return tally, len(said)


def test_statements_per_page_are_constant(hub: Hub) -> None:
    """A page costs the same number of statements whatever its size."""
    small, large = companies(0, 10), companies(1_000, 300)
    first, few = taken(hub, small)
    second, many = taken(hub, large)
    assert (first.changed, second.changed) == (10, 300)
    assert few == many <= NEW


def test_an_unchanged_page_costs_two_queries(hub: Hub) -> None:
    for page in (companies(0, 10), companies(1_000, 300)):
        taken(hub, page)
        again, said = taken(hub, page)
        assert again.same == len(page.records)
        assert said == UNCHANGED


def test_a_full_read_finds_deletions(hub: Hub, tmp_path: Path) -> None:
    crm = MemorySystem.named("memory", path=str(tmp_path / "crm.db"))
    keys = [crm.create("companies", name=f"Firm {n}") for n in range(5)]
    pull(hub, "crm", "companies")
    crm.delete("companies", keys[0])
    with hub.store.begin() as tx:
        tx.exec_driver_sql("UPDATE streams SET cursor = NULL")
    found = pull(hub, "crm", "companies")
    assert (found.same, found.changed, found.adds_up) == (4, 1, True)
