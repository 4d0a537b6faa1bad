"""The world of the scenarios: a CRM, an ERP, a hub between them, and a clock that tests move.

`world.quiet()` syncs until nothing is left to do, `world.agree()` proves that both systems show the
same and that a further sync writes nothing.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from connectors.kit.manifest import Manifest, StreamFacts
from connectors.memory import MemoryConnector, MemorySystem, manifest_of
from hub.flows.settings import FlowSettings
from hub.model.change_limits import ChangeLimit
from hub.settings.connection_settings import ConnectionSettings
from hub.settings.policies import resolve_policies
from hub.settings.shape import EntityPolicyText
from hub.store import history, outbox, quarantine
from hub.store.conflicts import Conflict, list_conflicts
from hub.store.connections import save_connection
from hub.store.engine import Store
from hub.store.golden import Golden, golden_by_entity
from hub.store.history import HistoryRow
from hub.store.links import Link, links_by_golden
from hub.store.quarantine import QuarantineEntry
from hub.store.reviews import Review, open_reviews
from hub.store.runs import Run, recent_runs
from hub.store.streams import save_stream
from hub.sync.context import Channel, Connection, Hub
from hub.sync.run import Report, sync
from mappings.canonical.entities import ENTITIES
from mappings.kit.loader import load_all

MAPPINGS = Path(__file__).with_name("mappings")
ACTIONS = ("quote", "confirm", "process", "complete", "cancel")
#: The streams of each system.
STREAMS = {
    "sales": "companies contacts products deals orders invoices tasks notes".split(),
    "works": "parties people articles sales bills jobs".split(),
}

#: The fields that selling needs at least.
SELLING = set("companies parties products articles deals sales orders tasks notes".split())


@cache
def mappings_of(systems: frozenset[str], *folders: Path) -> dict[str, list[Any]]:
    """Returns the mappings of systems; reading them takes longer than most scenarios."""
    return load_all(sorted(systems), folders)


@cache
def shipped_manifest() -> Manifest:
    """Returns the manifest of memory systems."""
    return manifest_of(MemorySystem("any"))


class Clock:
    """Advances a millisecond with every reading, and as far as a test wants."""

    def __init__(self) -> None:
        self.at = datetime(2026, 11, 23, 8, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.at += timedelta(milliseconds=1)
        return self.at

    def later(self, **by: float) -> None:
        """Lets time pass: `later(minutes=10)`."""
        self.at += timedelta(**by)


def made(name: str, clock: Clock, folder: Path | None = None) -> MemorySystem:
    """Returns a system with the streams of `sales` or `works`: from a file, or an empty one."""
    if folder is not None:
        return MemorySystem(name, path=folder / f"{name}.db", clock=clock)
    streams = {}
    for stream in STREAMS[name]:
        actions = ACTIONS if stream == "sales" else ()
        streams[stream] = StreamFacts(
            title=stream,
            create=True,
            update=True,
            delete=True,
            actions=actions,
            lock="native",
            once="once",
            deletions="pages",
        )
    return MemorySystem(name, streams=streams, clock=clock)


class World:
    """A CRM, an ERP and the hub between them."""

    def __init__(self, store: Store, folder: Path | None = None) -> None:
        self.store = store
        self.clock = Clock()
        self.random = random.Random(7)
        self.crm, self.erp = (made(name, self.clock, folder) for name in ("sales", "works"))
        self.systems = {"crm": self.crm, "erp": self.erp}
        self.roles = {"crm": "crm", "erp": "erp"}
        self.policies: dict[str, Any] = {}
        self.extra: list[Path] = [MAPPINGS]
        #: Mapped streams: the fewer, the faster.
        self.streams = {"companies", "parties"}
        self.limit = ChangeLimit()
        self.flows = FlowSettings()
        #: Wraps each connector if a test wants to intercept calls.
        self.wrap: Callable[[Any], Any] = lambda connector: connector
        self._workers = itertools.count(1)
        self.hub = self.restart()

    # --- the hub --------------------------------------------------------------------------------

    def restart(self, **changes: Any) -> Hub:
        """Starts a new hub on the same database; `changes` are attributes of the world."""
        for name, value in changes.items():
            setattr(self, name, value)
        mappings = mappings_of(frozenset(s.name for s in self.systems.values()), *self.extra)
        extended = {m.entity.name: m.entity for found in mappings.values() for m in found}
        entities = {name: extended.get(name, entity) for name, entity in ENTITIES.items()}
        settings, connections = {}, {}
        for name, system in self.systems.items():
            facts = {stream: shape.facts for stream, shape in system.streams().items()}
            manifest = shipped_manifest().model_copy(update={"streams": facts})
            settings[name] = ConnectionSettings(name, manifest, self.roles[name], {}, {})
            connector = self.wrap(MemoryConnector.of(system, page=50))
            channels = {
                m.stream: Channel(name, m.stream, connector, m, manifest.streams[m.stream])
                for m in mappings[system.name]
                if m.stream in self.streams
            }
            connections[name] = Connection(name, system.name, self.roles[name], connector, channels)
        said = TypeAdapter(dict[str, EntityPolicyText]).validate_python(self.policies)
        self.hub = Hub(
            store=self.store,
            connections=connections,
            entities=entities,
            policies=resolve_policies(said, settings, entities),
            flows=self.flows,
            limit=self.limit,
            worker=f"worker-{next(self._workers)}",
            clock=self.clock,
            sleep=lambda seconds: self.clock.later(seconds=seconds),
            fresh_id=lambda: f"{self.random.getrandbits(128):032x}",
        )
        return self.hub

    def map(self, *streams: str) -> None:
        """Maps more streams."""
        self.restart(streams=self.streams | set(streams))

    def another_worker(self) -> Hub:
        """Returns the same hub as another process."""
        return replace(self.hub, worker=f"worker-{next(self._workers)}")

    def sync(self) -> Report:
        """Syncs once, as a user would by hand, a minute later."""
        self.clock.later(minutes=1)
        return sync(self.hub)

    def quiet(self) -> Report:
        """Syncs; every system answers, nothing is left to do and all counts add up."""
        report = self.sync()
        assert report.failed == {}
        assert report.quiet, "still work left after the maximum number of rounds"
        assert report.rounds <= 5
        self.add_up()
        return report

    def add_up(self) -> None:
        """Asserts that the counts of all runs add up."""
        with self.store.read() as tx:
            runs = recent_runs(tx, limit=200)
        assert [r for r in runs if r.state == "inconsistent"] == []
        for run in runs:
            explained = run.same + run.changed + run.quarantined
            assert run.seen == explained + sum(run.skipped.values()), run

    def agree(self) -> None:
        """Asserts that both systems show the same, and that a further sync writes nothing."""
        self.quiet()
        for system in self.systems.values():
            system.forget_writes()
        report = self.quiet()
        assert {n: s.writes for n, s in self.systems.items()} == {n: [] for n in self.systems}
        assert report.written == 0
        assert report.rounds == 1
        self.same_everywhere()

    def same_everywhere(self) -> None:
        """Asserts that every linked record shows the golden values in its system's spelling."""
        for golden in self.golden():
            for link in self.links(golden):
                if link.gone_at is None and link.is_primary:
                    channel = self.hub.connection(link.connection).channel(link.stream)
                    paths = [p for p in golden.values if channel.mapping.writable(p)]
                    differ = {
                        p: (golden.values[p], link.state.seen_at(p), link.state.agreed_at(p))
                        for p in paths
                        if not link.state.in_sync(golden.values, [p])
                    }
                    assert differ == {}, f"{link.connection} {link.stream} {link.key}"

    def only_sweeps(self, **facts: Any) -> None:
        """Makes deletions in the ERP visible to sweeps only; `facts` change those of its
        parties."""
        changed = {"deletions": "sweep", **facts}
        now = self.erp.shape("parties").facts.model_copy(update=changed)
        self.erp.declare("parties", facts=now)
        self.restart()

    def titles(self) -> list[str]:
        """Returns the names of the ERP's parties, sorted."""
        return sorted(party["title"] for party in self.erp.records("parties").values())

    # --- what the hub knows ---------------------------------------------------------------------

    def golden(self, entity: str | None = None) -> list[Golden]:
        """Returns the live golden records of one entity, or all."""
        with self.store.read() as tx:
            names = list(self.hub.entities) if entity is None else [entity]
            return [g for name in names for g in golden_by_entity(tx, name)]

    def links(self, golden: Golden) -> list[Link]:
        """Returns the links of a golden record."""
        with self.store.read() as tx:
            return links_by_golden(tx, [golden.id]).get(golden.id, [])

    def conflicts(self) -> list[Conflict]:
        """Returns the open conflicts."""
        with self.store.read() as tx:
            return list_conflicts(tx)

    def reviews(self) -> list[Review]:
        """Returns the open reviews."""
        with self.store.read() as tx:
            return open_reviews(tx)

    def quarantine_entries(self) -> list[QuarantineEntry]:
        """Returns the records and derivations in quarantine."""
        with self.store.read() as tx:
            return quarantine.listing(tx, kinds=("pull", "flow"))

    def held_writes(self, connection: str | None = None) -> list[QuarantineEntry]:
        """Returns the held writes."""
        with self.store.read() as tx:
            return quarantine.listing(tx, kinds=("push",), source=connection)

    def backlog(self) -> dict[tuple[str, str], int]:
        """Returns the backlog."""
        with self.store.read() as tx:
            return outbox.backlog(tx)

    def history(self, golden: Golden, path: str) -> list[HistoryRow]:
        """Returns the history of a value."""
        with self.store.read() as tx:
            return history.past(tx, golden.id, path)

    def runs(self) -> list[Run]:
        """Returns the runs, newest first."""
        with self.store.read() as tx:
            return recent_runs(tx, limit=1000)

    # --- what people do -------------------------------------------------------------------------

    def customer(self, **fields: Any) -> tuple[str, str]:
        """Creates a customer in both systems; returns its keys in the CRM and the ERP."""
        company = {
            "name": "Acme",
            "domain": "acme.example",
            "address": {"street": "Dock 1", "zip": "20095", "city": "Hamburg", "country": "DE"},
        }
        before = set(self.erp.records("parties"))
        key = self.crm.create("companies", {**company, **fields})
        self.quiet()
        (other,) = set(self.erp.records("parties")) - before
        return key, other

    def resume(self, connection: str, stream: str | None = None, *, accept: bool = False) -> None:
        """Resumes a paused stream, as `tulay resume` does."""
        free = {"paused_at": None, "reason": None}
        with self.store.begin() as tx:
            save_connection(tx, connection, **free)
            if stream is not None:
                save_stream(tx, connection, stream, **free, accepted=int(accept))


def numbering(system: MemorySystem) -> Callable[[str], None]:
    """Numbers sales once they are quoted, as ERPs do."""

    def number(stream: str) -> None:
        if stream != "sales":
            return
        for key, sale in system.records("sales").items():
            if sale["state"] != "draft" and not sale.get("number"):
                system.edit("sales", key, number=f"SO-{key}", total="60", delivery="none")

    return number


@pytest.fixture
def fresh_world(fresh_store: Callable[[], Store]) -> Callable[[], World]:
    """Creates worlds on SQLite, any number of them."""
    return lambda: World(fresh_store())


@pytest.fixture
def world(fresh_world: Callable[[], World]) -> World:
    """A CRM, an ERP and a hub on SQLite."""
    return fresh_world()


@pytest.fixture
def world_on_each(store: Store) -> World:
    """The same on SQLite and on PostgreSQL."""
    return World(store)


@pytest.fixture
def world_on_postgresql(postgresql_store: Store) -> World:
    """The same on PostgreSQL, where several workers really work at the same time."""
    return World(postgresql_store)


@pytest.fixture
def shop(world: World) -> Mapping[str, Any]:
    """A customer and a product in both systems, and an ERP that numbers its orders."""
    return open_shop(world)


@pytest.fixture
def open_a_shop() -> Callable[[World], Mapping[str, Any]]:
    """Opens a shop in any world."""
    return open_shop


def open_shop(world: World) -> Mapping[str, Any]:
    """Sets up a customer, a product and numbering."""
    world.restart(streams=SELLING)
    world.erp.hooks.after_write.append(numbering(world.erp))
    company, party = world.customer(owner="ann")
    article = world.erp.create("articles", code="WID-1", name="Widget", list_price="30")
    world.quiet()
    (product,) = world.crm.records("products")

    def deal(**fields: Any) -> str:
        line = {"id": "1", "product": product, "sku": "WID-1", "name": "Widget"}
        whole = {
            "title": "Two widgets",
            "stage": "open",
            "currency": "EUR",
            "company": company,
            "owner": "ann",
            "lines": [{**line, "quantity": "2", "price": "30"}],
        }
        return world.crm.create("deals", {**whole, **fields})

    return {
        "company": company,
        "party": party,
        "article": article,
        "product": product,
        "deal": deal,
    }
