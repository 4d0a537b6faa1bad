"""Statements per page, batch and derivation, whatever happens to their records.

A page or batch of a hundred records costs what one of ten costs, and ten bad records what a hundred
cost: unreadable, under review, waiting for a parent, deleted, in conflict, refused, not answered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from connectors.kit.contract import Page, Record
from connectors.kit.errors import ConnectorError
from connectors.memory import MemorySystem
from hub.flows.orders import order_id
from hub.model.causes import Cause
from hub.settings import load_settings
from hub.store import dirty, merges, outbox, quarantine
from hub.store.golden import Golden
from hub.store.links import links_by_key
from hub.store.outbox import OutboxEntry
from hub.store.quarantine import Problem
from hub.store.runs import Tally
from hub.sync.changeset import ChangeSet, new_golden
from hub.sync.context import Hub
from hub.sync.flows import derive
from hub.sync.ingest.page import ingest
from hub.sync.ingest.read_record import Origin
from hub.sync.push.batch import push_batch
from hub.sync.push.job import Batch
from hub.wiring import open_hub

COMPANY = """\
entity: company
stream: companies
requires: [name]
fields: {name: name, domain: domain, phone: phone, address.country: country}
"""
CONTACT = """\
entity: contact
stream: contacts
fields:
  last_name: last
  email: email
  company: {field: company, stream: companies}
"""
CONFIG = """\
database: {database}
mappings: [maps]
connections:
  crm: {{system: memory, path: {folder}/crm.db}}
  erp: {{system: memory, path: {folder}/erp.db}}
"""
#: Numbers of good and of bad records.
SIZES = ((10, 10), (100, 10), (10, 100), (100, 100))
#: Maximum number of statements of a page, whatever its content.
MOST_OF_A_PAGE = 40
#: Maximum number of statements of a batch: reading, writing and reading back.
MOST_OF_A_BATCH = 70
#: Maximum number of statements of a derivation of up to 200 records, with all flows.
MOST_OF_A_DERIVATION = 70


class Desk:
    """A hub with two systems, and invented pages."""

    def __init__(self, hub: Hub, folder: Path) -> None:
        self.hub = hub
        self.erp = MemorySystem.named("memory", path=str(folder / "erp.db"))
        self.numbers = 0

    def numbered(self, count: int) -> list[int]:
        """Returns numbers that no record has had."""
        first, self.numbers = self.numbers, self.numbers + count
        return list(range(first, self.numbers))

    def take(
        self,
        page: Page,
        *,
        connection: str = "crm",
        stream: str = "companies",
        origin: Origin = Origin.FETCHED,
    ) -> tuple[Tally, int]:
        """Ingests a page; returns its counts and the number of statements."""
        channel = self.hub.connection(connection).channel(stream)
        tally = Tally(self.hub.fresh_id(), "pull", connection, stream, self.hub.clock())
        with self.hub.store.begin() as tx, statements(self.hub) as said:
            ingest(self.hub, tx, channel, page=page, tally=tally, origin=origin)
        assert tally.adds_up
        return tally, len(said)

    def enqueued(self, connection: str, entity: str) -> list[OutboxEntry]:
        """Leases all due entries, as a push does."""
        with self.hub.store.begin() as tx:
            return outbox.lease(
                tx,
                connection,
                entities=[entity],
                worker="test",
                now=self.hub.clock(),
                limit=1000,
            )


@contextmanager
def statements(hub: Hub) -> Iterator[list[str]]:
    """Records every statement sent to the database."""
    said: list[str] = []

    def note(_tx: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if not statement.startswith(("PRAGMA", "BEGIN")):
            said.append(statement)

    event.listen(hub.store.engine, "before_cursor_execute", note)
    yield said
    event.remove(hub.store.engine, "before_cursor_execute", note)


@pytest.fixture
def desk(database_url: str, tmp_path: Path) -> Iterator[Desk]:
    folder = tmp_path / "maps" / "memory"
    folder.mkdir(parents=True)
    (folder / "company.yaml").write_text(COMPANY, encoding="utf-8")
    (folder / "contact.yaml").write_text(CONTACT, encoding="utf-8")
    config = CONFIG.format(folder=tmp_path, database=database_url)
    (tmp_path / "tulay.yaml").write_text(config, encoding="utf-8")
    opened = open_hub(load_settings(tmp_path / "tulay.yaml", environ={}))
    yield Desk(opened, tmp_path)
    opened.close()


def company(number: int, *, version: str = "1", **more: str) -> Record:
    payload = {"name": f"Firm {number}", "domain": f"firm{number}.example", **more}
    return Record(str(number), payload, version=version)


def contact(number: int, parent: object) -> Record:
    payload = {"last": f"Lee {number}", "email": f"lee{number}@example.org", "company": parent}
    return Record(str(number), payload, version="1")


# --- pages ----------------------------------------------------------------------------------------

Bad = Callable[[Desk, int], tuple[str, str, Origin, Page]]


def unreadable(desk: Desk, count: int) -> tuple[str, str, Origin, Page]:
    found = [company(n, country="Atlantis") for n in desk.numbered(count)]
    return "crm", "companies", Origin.LISTED, Page(found)


def readable_again(desk: Desk, count: int) -> tuple[str, str, Origin, Page]:
    numbers = desk.numbered(count)
    desk.take(Page([company(n, country="Atlantis") for n in numbers]))
    found = [company(n, version="2", country="DE") for n in numbers]
    return "crm", "companies", Origin.LISTED, Page(found)


def under_review(desk: Desk, count: int) -> tuple[str, str, Origin, Page]:
    numbers = desk.numbered(count)
    for letter in "ab":
        twins = [
            Record(f"{n}{letter}", {"name": f"Firm {n} {letter}", "domain": f"firm{n}.example"})
            for n in numbers
        ]
        desk.take(Page(twins))
    return "erp", "companies", Origin.LISTED, Page([company(n) for n in numbers])


def without_parent(desk: Desk, count: int) -> tuple[str, str, Origin, Page]:
    found = [contact(n, f"nobody {n}") for n in desk.numbered(count)]
    return "crm", "contacts", Origin.LISTED, Page(found)


def _known(desk: Desk, count: int) -> list[int]:
    numbers = desk.numbered(count)
    desk.take(Page([company(n) for n in numbers]))
    return numbers


def deleted(desk: Desk, count: int) -> tuple[str, str, Origin, Page]:
    gone = [str(n) for n in _known(desk, count)]
    return "crm", "companies", Origin.FETCHED, Page(gone=gone)


def restored(desk: Desk, count: int) -> tuple[str, str, Origin, Page]:
    numbers = _known(desk, count)
    desk.take(Page(gone=[str(n) for n in numbers]))
    return "crm", "companies", Origin.FETCHED, Page([company(n, version="2") for n in numbers])


def perhaps_deleted(desk: Desk, count: int) -> tuple[str, str, Origin, Page]:
    numbers = _known(desk, count)
    desk.take(Page(gone=[str(n) for n in numbers]))
    return "crm", "companies", Origin.LISTED, Page([company(n, version="2") for n in numbers])


def next_after_deletion(desk: Desk, count: int) -> tuple[str, str, Origin, Page]:
    numbers = _known(desk, count)
    desk.take(Page(gone=[str(n) for n in numbers]))
    again = [Record(f"{n} again", company(n).payload, version="1") for n in numbers]
    return "crm", "companies", Origin.LISTED, Page(again)


def in_conflict(desk: Desk, count: int) -> tuple[str, str, Origin, Page]:
    numbers = _known(desk, count)
    desk.take(Page([company(n) for n in numbers]), connection="erp")
    changed = [company(n, version="2", phone=f"+4930{n:07}") for n in numbers]
    desk.take(Page(changed))
    found = [company(n, version="2", phone=f"+4940{n:07}") for n in numbers]
    return "erp", "companies", Origin.LISTED, Page(found)


BAD: dict[str, tuple[Bad, str]] = {
    "unreadable": (unreadable, "quarantined"),
    "readable again": (readable_again, "changed"),
    "under review": (under_review, "under review"),
    "without parent": (without_parent, "waits for its parent"),
    "deleted": (deleted, "changed"),
    "restored": (restored, "changed"),
    "perhaps deleted": (perhaps_deleted, "gone when last looked at"),
    "next after a deletion": (next_after_deletion, "changed"),
    "in conflict": (in_conflict, "changed"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_page_costs_the_same_for_every_outcome(desk: Desk, kind: str) -> None:
    make, counted = BAD[kind]
    costs = []
    for good, bad in ((1, 1), *SIZES):
        connection, stream, origin, page = make(desk, bad)
        numbers = desk.numbered(good)
        if stream == "companies":
            others = [company(n) for n in numbers]
        else:
            desk.take(Page([company(n) for n in numbers]), connection=connection)
            others = [contact(n, str(n)) for n in numbers]
        whole = Page([*others, *page.records], gone=page.gone)
        tally, cost = desk.take(whole, connection=connection, stream=stream, origin=origin)
        found = tally.skipped.get(counted) or getattr(tally, counted)
        assert found == bad + (good if counted == "changed" else 0), tally
        costs.append(cost)
    # As long as nothing is quarantined, less is looked up: the first page is not compared.
    assert len(set(costs[1:])) == 1, costs
    assert max(costs) <= MOST_OF_A_PAGE


# --- batches --------------------------------------------------------------------------------------


def down(desk: Desk, _count: int) -> None:
    desk.erp.inject_faults(down=True)


def lost(desk: Desk, _count: int) -> None:
    desk.erp.inject_faults(script=("lost",))


def busy(desk: Desk, _count: int) -> None:
    desk.erp.inject_faults(script=("rate",))


def refused(desk: Desk, _count: int) -> None:
    desk.erp.inject_faults("refused:1", seed=1)


def fine(desk: Desk, _count: int) -> None:
    desk.erp.inject_faults()


def _batch(desk: Desk, entries: Sequence[OutboxEntry], tally: Tally) -> Batch:
    target = desk.hub.connection("erp")
    return Batch(desk.hub, target, tally, {entry.id: entry for entry in entries})


def _pushed(desk: Desk, entity: str) -> tuple[Tally, int]:
    """Pushes all due entries to the ERP in one batch; returns counts and statements."""
    entries = desk.enqueued("erp", entity)
    tally = Tally(desk.hub.fresh_id(), "push", "erp", "", desk.hub.clock())
    with statements(desk.hub) as said, suppress(ConnectorError):
        push_batch(_batch(desk, entries, tally))
    return tally, len(said)


@pytest.mark.parametrize("trouble", [fine, down, lost, busy, refused])
def test_a_batch_costs_the_same_for_every_outcome(
    desk: Desk, trouble: Callable[[Desk, int], None]
) -> None:
    fine(desk, 0)
    desk.take(Page([company(n) for n in desk.numbered(1)]))
    _pushed(desk, "company")  # the fields are prepared with the first one
    costs = set()
    for count in (10, 100):
        desk.take(Page([company(n) for n in desk.numbered(count)]))
        trouble(desk, count)
        tally, cost = _pushed(desk, "company")
        assert tally.written == (count if trouble is fine else 0)
        costs.add(cost)
        _forget_entries(desk)
    assert len(costs) == 1, costs
    assert costs.pop() <= MOST_OF_A_BATCH


@pytest.mark.parametrize("share", [0, 10, 100])
def test_waiting_for_parents_costs_nothing_extra(desk: Desk, share: int) -> None:
    parents = desk.numbered(100)
    desk.take(Page([company(n) for n in parents]))
    absent = set(parents[:share])
    with desk.hub.store.begin() as tx:
        due = outbox.lease(
            tx, "erp", entities=["company"], worker="x", now=desk.hub.clock(), limit=1000
        )
        outbox.release(tx, due)
    _pushed_but(desk, absent)
    desk.take(Page([contact(n, str(n)) for n in parents]), stream="contacts")
    tally, cost = _pushed(desk, "contact")
    assert tally.written == 100 - share
    assert cost <= MOST_OF_A_BATCH


def _pushed_but(desk: Desk, absent: set[int]) -> None:
    """Pushes all companies except these, which exist in the CRM only."""
    entries = desk.enqueued("erp", "company")
    tally = Tally(desk.hub.fresh_id(), "push", "erp", "", desk.hub.clock())
    wanted = entries[len(absent) :]
    with desk.hub.store.begin() as tx:
        outbox.complete(tx, entries[: len(absent)])
    if wanted:
        push_batch(_batch(desk, wanted, tally))


def _forget_entries(desk: Desk) -> None:
    with desk.hub.store.begin() as tx:
        tx.exec_driver_sql("DELETE FROM outbox")


def test_a_restored_or_a_new_record_is_primary(desk: Desk) -> None:
    (number,) = _known(desk, 1)
    desk.take(Page(gone=[str(number)]))
    twin = Record(f"{number} again", company(number).payload, version="1")
    desk.take(Page([company(number, version="2"), twin]))
    with desk.hub.store.read() as tx:
        links = links_by_key(tx, "crm", "companies", [str(number), twin.key])
    assert len({link.golden_id for link in links.values()}) == 1
    assert [link.is_primary for link in links.values()].count(True) == 1
    assert all(link.gone_at is None for link in links.values())


# --- derivations ----------------------------------------------------------------------------------


def _create(
    desk: Desk, changes: ChangeSet, entity: str, golden_id: str | None = None, **values: Any
) -> Golden:
    """Creates a golden record with a link in every connection."""
    about = {"origin": "crm", "run": changes.run, "now": changes.now}
    golden = new_golden(desk.hub, entity, values, **about)
    golden.id = golden_id or golden.id
    changes.born(golden, tell=False)
    return golden


def _won(desk: Desk, changes: ChangeSet, product: Golden, *, blocked: bool = False) -> Golden:
    address = {"address.street": "Dock 1", "address.city": "Kiel"}
    company = _create(desk, changes, "company", name="Firm", **address).id
    line = {"product": product.id, "quantity": "2", "unit_price": "30"}
    lines = {} if blocked else {f"lines[1].{name}": value for name, value in line.items()}
    return _create(desk, changes, "opportunity", name="Deal", stage="won", company=company, **lines)


def _sold(
    desk: Desk, changes: ChangeSet, number: int, deal: Golden, *, golden_id: str | None = None
) -> str:
    """An order with its production, shipment and overdue invoice."""
    company = _create(desk, changes, "company", name=f"Customer {number}").id
    sold = {"number": f"SO-{number}", "state": "confirmed", "shipment_state": "shipped"}
    of_deal = {"company": company, "opportunity": deal.id}
    order = _create(desk, changes, "sales_order", golden_id, **sold, **of_deal).id
    _create(desk, changes, "production_order", sales_order=order, state="running")
    _create(desk, changes, "shipment", sales_order=order)
    owed = {"state": "posted", "due_date": "2020-01-31", "total": "60", "currency": "EUR"}
    _create(desk, changes, "invoice", sales_order=order, company=company, **owed)
    return order


def _inherited(desk: Desk, tx: Any, changes: ChangeSet, *, number: int, product: Golden) -> None:
    """A won deal with the order of one that was merged into it, and one that cannot be written."""
    winner, loser = (_won(desk, changes, product) for _ in range(2))
    loser.merged_into = winner.id
    _create(desk, changes, "sales_order", order_id(loser.id), opportunity=winner.id, state="draft")
    why = {"why": "", "before": {}, "now": changes.now}
    merges.remember_merge(tx, entity="opportunity", loser=loser.id, winner=winner.id, **why)
    other = _sold(desk, changes, number, winner)
    refused = Problem("push", "erp", "sales_order", other, "held", Cause.REFUSED, f"no {number}")
    quarantine.put(tx, [refused], now=changes.now)


def _derived(desk: Desk, count: int) -> tuple[int, int, list[int]]:
    """Derives from `count` records of each kind; returns dirty ones, changed ones, costs of each
    hop."""
    with desk.hub.store.begin() as tx:
        changes = ChangeSet(desk.hub, desk.hub.fresh_id(), desk.hub.clock())
        product = _create(desk, changes, "product", name="Widget", sku="W")
        for number in desk.numbered(count):
            _won(desk, changes, product)
            _won(desk, changes, product, blocked=True)
            ordered = _won(desk, changes, product)
            _sold(desk, changes, number, ordered, golden_id=order_id(ordered.id))
            _inherited(desk, tx, changes, number=number, product=product)
        changes.store(tx)
        marks, _ = dirty.due(tx, limit=1000)
    with statements(desk.hub) as said:
        changed = derive(desk.hub)
    costs = [0]
    for statement in said:
        costs[-1] += 1
        if statement.startswith("DELETE FROM dirty"):
            costs.append(0)
    return len(marks), changed, costs


def test_a_derivation_costs_the_same_always(desk: Desk) -> None:
    few, changed_by_few, cost_of_few = _derived(desk, 1)
    many, changed_by_many, cost_of_many = _derived(desk, 10)
    assert (few > 10, many, many > 100) == (True, few * 10, True)
    assert (changed_by_few > few, changed_by_many) == (True, changed_by_few * 10)
    assert cost_of_few == cost_of_many
    assert max(cost_of_many) <= MOST_OF_A_DERIVATION
