"""A store of version 0.1.0 continues: nothing is lost, and nothing is written again.

`store_0009` holds the store (revision 0009) and the two systems as they were when the program
stopped, with invented data: linked, secondary, deleted and merged records, conflicts, a review,
quarantined records and derivations, writes that wait or were refused, and one without an answer.
"""

from __future__ import annotations

import gzip
import random
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hub.store import merges
from hub.store.engine import Store, open_store
from hub.store.migrate import is_current, migrate
from hub.store.quarantine import LISTED, listing
from hub.sync.merge.undo import undo_merge

from .conftest import SELLING, World

DUMPS = Path(__file__).with_name("store_0009")
#: Shortly after the program stopped.
STOPPED = datetime(2026, 11, 23, 9, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The three databases as they were."""
    for dump in DUMPS.glob("*.sql.gz"):
        with sqlite3.connect(tmp_path / f"{dump.name.partition('.')[0]}.db") as database:
            database.executescript(gzip.decompress(dump.read_bytes()).decode())
        database.close()
    return tmp_path


@pytest.fixture
def old_store(folder: Path) -> Iterator[Store]:
    """The store, migrated to the current revision."""
    store = open_store(f"sqlite:///{folder / 'hub.db'}")
    assert not is_current(store)
    migrate(store)
    assert is_current(store)
    yield store
    store.close()


@pytest.fixture
def old_world(old_store: Store, folder: Path) -> World:
    """The hub and the systems, at work again."""
    world = World(old_store, folder)
    # Ids used before are not used again.
    world.clock.at, world.random = STOPPED, random.Random(8)
    asked = {"on_conflict": "ask"}
    world.restart(
        policies={"company": {"fields": {"name": asked, "industry": asked}}},
        streams=SELLING | {"companies", "parties", "contacts", "people"},
    )
    for system in world.systems.values():
        system.forget_writes()
    return world


def test_all_quarantined_records_are_kept(old_store: Store) -> None:
    with old_store.read() as tx:
        entries = listing(tx, kinds=(*LISTED, "review"))
    assert [(e.kind, e.source, e.stream, e.state, e.cause.value) for e in entries] == [
        ("pull", "erp", "parties", "held", "unreadable"),
        ("pull", "erp", "people", "waiting", "missing_parent"),
        ("pull", "erp", "parties", "held", "unreadable"),
        ("flow", "won_deal_to_order", "opportunity", "waiting", "blocked_flow"),
        ("push", "erp", "company", "waiting", "under_review"),
        ("push", "erp", "company", "waiting", "possible_duplicate"),
        ("push", "erp", "company", "held", "refused"),
        ("review", "erp", "parties", "held", "under_review"),
    ]
    assert all(e.reason and e.since <= e.last_at for e in entries)


def test_the_next_sync_writes_nothing(old_world: World) -> None:
    before = {name: {s: len(x.records(s)) for s in x.streams()} for name, x in systems(old_world)}
    assert old_world.backlog()["erp", "in_flight"] == 1
    old_world.quiet()
    assert {name: x.writes for name, x in systems(old_world)} == {"crm": [], "erp": []}
    after = {name: {s: len(x.records(s)) for s in x.streams()} for name, x in systems(old_world)}
    assert after == before
    # The write without an answer was found; the others wait for the same as before.
    assert old_world.backlog() == {("erp", "waiting"): 2, ("erp", "held"): 1}
    assert (len(old_world.conflicts()), len(old_world.reviews())) == (1, 1)


def systems(world: World):
    return world.systems.items()


def test_a_corrected_record_leaves_quarantine(old_world: World) -> None:
    old_world.quiet()
    (odd,) = (k for k, p in old_world.erp.records("parties").items() if p["title"] == "ODD")
    parties = len(old_world.erp.records("parties"))
    old_world.erp.edit("parties", odd, address={"country": "DE"})
    old_world.quiet()
    assert len(old_world.erp.records("parties")) == parties
    assert "people" not in {entry.stream for entry in old_world.quarantine_entries()}


def test_a_merge_of_then_can_be_undone(old_world: World) -> None:
    with old_world.store.read() as tx:
        by_hand = merges.listing(tx)[-1]
    undo_merge(old_world.hub, by_hand.id)
    assert {g.values["name"] for g in old_world.golden("company")} >= {"Bolt", "Nut"}
    old_world.quiet()
    assert {"Bolt", "Nut"} <= {c["name"] for c in old_world.crm.records("companies").values()}
