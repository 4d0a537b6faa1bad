"""A stage for faults: a CRM with faults, an ERP in memory, the real hub between them.

The CRM is either the HubSpot twin over real HTTP or a memory system. Users of both type; what they
typed is recorded, and at the end everything must be in its place, once.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from connectors.hubspot import twin as hubspot
from connectors.hubspot.connector import HubSpotConnector
from connectors.hubspot.twin import Settings
from connectors.kit.budget import Budget
from connectors.kit.manifest import Manifest, read_manifest
from connectors.kit.twin import Clock as TwinClock
from connectors.memory import MemoryConnector, MemorySystem, manifest_of
from hub.flows.settings import FlowSettings
from hub.model.change_limits import ChangeLimit
from hub.settings.connection_settings import ConnectionSettings
from hub.settings.policies import resolve_policies
from hub.settings.shape import EntityPolicyText
from hub.store import quarantine
from hub.store.engine import Store
from hub.store.golden import golden_by_entity
from hub.store.links import links_by_golden
from hub.store.runs import recent_runs
from hub.sync.context import Channel, Connection, Hub
from hub.sync.run import Report, sync
from mappings.canonical.entities import ENTITIES
from tests.scenarios.conftest import MAPPINGS, made, mappings_of

SECRET = "the app's client secret"


class Clock:
    """Advances a millisecond with every reading, and as far as a test wants."""

    def __init__(self) -> None:
        self.at = datetime(2026, 11, 23, 8, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.at += timedelta(milliseconds=1)
        return self.at

    def later(self, **by: float) -> None:
        self.at += timedelta(**by)


class HubSpotSide:
    """The HubSpot twin and its users."""

    stream = "companies"

    def __init__(self, clock: Clock, **settings: Any) -> None:
        self.clock = clock
        account = Settings(most_rows=4)
        self.twin = hubspot.start(settings=account, clock=TwinClock(source=clock))
        self.settings = settings or {"token": self.twin.token}

    def connector(self) -> HubSpotConnector:
        spent = [0.0]

        def sleep(seconds: float) -> None:
            spent[0] += seconds
            self.clock.later(seconds=seconds)

        settings = {
            "base_url": self.twin.url,
            "search_lag_seconds": 5,
            "overlap_seconds": 5,
            "requests_per_10s": 100_000,
            "webhook_secret": self.twin.client_secret,
            **self.settings,
        }
        budget = Budget(
            lanes={"search": (100_000, 1.0)}, clock=lambda: spent[0], sleep=sleep, patience=3600
        )
        return HubSpotConnector(settings, budget, fields=FIELDS, clock=self.clock)

    def manifest(self) -> Manifest:
        return read_manifest(Path(hubspot.__file__).parents[1] / "manifest.yaml")

    def inject_faults(self, faults: str = "none", seed: int = 0) -> None:
        self.twin.inject_faults(faults, seed=seed)
        if faults.startswith("timeout"):  # the same with shorter waits
            self.twin.faults.clear()
            self.twin.faults.add("timeout", "* /[!o]*", probability=0.3, seconds=0.01)

    def struck(self) -> set[str]:
        """Returns the faults of calls that have struck."""
        return {fault for entry in self.twin.log.entries() for fault in entry.faults}

    def create(self, name: str, domain: str) -> str:
        return self.twin.create("companies", name=name, domain=domain)

    def rename(self, key: str, name: str) -> None:
        self.twin.edit("companies", key, name=name)

    def put_city(self, key: str, city: str) -> None:
        self.twin.edit("companies", key, city=city)

    def delete(self, key: str) -> None:
        self.twin.archive("companies", key)

    def merge(self, key: str, into: str) -> str:
        return self.twin.merge("companies", into, key)

    def rows(self) -> dict[str, dict[str, Any]]:
        return {one["id"]: one["properties"] for one in self.twin.objects("companies")}

    def between_pages(self, hook: Callable[[str], object]) -> None:
        self.twin.account.between_pages.append(hook)

    def written(self) -> int:
        paths = ("batch/create", "batch/update", "batch/archive")
        return sum(len(self.twin.log.entries(f"POST */objects/*/{path}")) for path in paths)

    def close(self) -> None:
        self.twin.stop()


class MemorySide:
    """A memory system as the CRM."""

    stream = "companies"

    def __init__(self, clock: Clock) -> None:
        self.system = made("sales", clock)

    def connector(self) -> MemoryConnector:
        return MemoryConnector.of(self.system, page=2, webhook_secret=SECRET)

    def manifest(self) -> Manifest:
        return manifest_of(self.system)

    def inject_faults(self, faults: str = "none", seed: int = 0) -> None:
        self.system.inject_faults(faults, seed=seed)

    def create(self, name: str, domain: str) -> str:
        return self.system.create("companies", name=name, domain=domain)

    def rename(self, key: str, name: str) -> None:
        self.system.edit("companies", key, name=name)

    def put_city(self, key: str, city: str) -> None:
        self.system.edit("companies", key, {"address": {"city": city}})

    def delete(self, key: str) -> None:
        self.system.delete("companies", key)

    def merge(self, key: str, into: str) -> str:
        return self.system.merge("companies", key, into=into)

    def rows(self) -> dict[str, dict[str, Any]]:
        found = self.system.records("companies")
        return {k: {"city": (p.get("address") or {}).get("city"), **p} for k, p in found.items()}

    def between_pages(self, hook: Callable[[str], object]) -> None:
        self.system.hooks.between_pages.append(hook)

    def written(self) -> int:
        return len(self.system.writes)

    def close(self) -> None:
        """Lives in this process only."""


#: Mapped fields without a value in these scenarios are not requested.
FIELDS = {"companies": ("properties.name", "properties.domain", "properties.city")}


class Stage:
    """The whole landscape, and what users typed in it."""

    def __init__(
        self, store: Store, side: Callable[[Clock], Any], policy: dict[str, Any] | None = None
    ) -> None:
        self.store, self.clock, self.random = store, Clock(), random.Random(7)
        self.crm = side(self.clock)
        self.erp: MemorySystem = made("works", self.clock)
        self.policy = {"company": policy} if policy else {}
        self.hub = self._hub()

    def _hub(self) -> Hub:
        system = "hubspot" if isinstance(self.crm, HubSpotSide) else "sales"
        mappings = mappings_of(frozenset({system, "works"}), MAPPINGS)
        ends = {
            "crm": (system, self.crm.connector(), self.crm.manifest()),
            "erp": ("works", MemoryConnector.of(self.erp, page=50), manifest_of(self.erp)),
        }
        settings, connections = {}, {}
        for role, (name, connector, manifest) in ends.items():
            settings[role] = ConnectionSettings(role, manifest, role, {}, {})
            channels = {
                m.stream: Channel(role, m.stream, connector, m, manifest.streams[m.stream])
                for m in mappings[name]
                if m.stream in ("companies", "parties")
            }
            connections[role] = Connection(role, name, role, connector, channels)
        extended = {m.entity.name: m.entity for found in mappings.values() for m in found}
        entities = {name: extended.get(name, entity) for name, entity in ENTITIES.items()}
        said = TypeAdapter(dict[str, EntityPolicyText]).validate_python(self.policy)
        return Hub(
            store=self.store,
            connections=connections,
            entities=entities,
            policies=resolve_policies(said, settings, entities),
            flows=FlowSettings(),
            limit=ChangeLimit(),
            worker="worker-1",
            clock=self.clock,
            sleep=lambda seconds: self.clock.later(seconds=seconds),
            fresh_id=lambda: f"{self.random.getrandbits(128):032x}",
        )

    # -- what people do --------------------------------------------------------------------------

    def populate(self, count: int = 6) -> None:
        """Creates this many companies in each system; the hub matches them."""
        for n in range(count):
            self.crm.create(f"Crm {n}", f"crm{n}.example")
            self.erp.create("parties", title=f"Erp {n}", website=f"erp{n}.example")
        self.rounds(1)

    def crm_key(self, domain: str) -> str:
        (key,) = [k for k, row in self.crm.rows().items() if row.get("domain") == domain]
        return key

    def erp_key(self, domain: str) -> str:
        found = self.erp.records("parties").items()
        (key,) = [k for k, row in found if row.get("website") == domain]
        return key

    # -- rounds ----------------------------------------------------------------------------------

    def sync(self) -> Report:
        """Makes one run an hour later, however it ends."""
        self.clock.later(hours=1)
        return sync(self.hub)

    def rounds(self, count: int) -> None:
        """Runs under faults: connections may fail, none may wait for a person."""
        for _ in range(count):
            report = self.sync()
            assert report.paused == {}

    def settle(self) -> Report:
        """Runs without faults until nothing is left to do, which must be soon; then a run writes
        nothing."""
        self.crm.inject_faults()
        for _ in range(4):
            report = self.sync()
            assert report.paused == {}
            assert report.failed == {}
            if report.quiet and report.written == 0:
                break
        assert report.quiet
        before = (self.crm.written(), list(self.erp.writes))
        report = self.sync()
        assert (report.written, report.failed, report.quiet) == (0, {}, True)
        assert (self.crm.written(), list(self.erp.writes)) == before
        with self.store.read() as tx:
            runs = recent_runs(tx, limit=1000)
        assert [run for run in runs if run.state == "inconsistent"] == []
        return report

    # -- what must be so at the end --------------------------------------------------------------

    def names(self) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
        """Returns domain -> names, for each system."""
        crm: dict[str, list[str]] = {}
        erp: dict[str, list[str]] = {}
        for row in self.crm.rows().values():
            crm.setdefault(row["domain"], []).append(row["name"])
        for row in self.erp.records("parties").values():
            erp.setdefault(row["website"], []).append(row["title"])
        return crm, erp

    def held_writes(self) -> list[Any]:
        with self.store.read() as tx:
            return quarantine.listing(tx)

    def in_sync(self) -> None:
        """Asserts that every live link agrees with its golden record."""
        with self.store.read() as tx:
            for golden in golden_by_entity(tx, "company"):
                for link in links_by_golden(tx, [golden.id]).get(golden.id, []):
                    if link.gone_at is None and link.is_primary:
                        mapping = self.hub.connection(link.connection).channel(link.stream).mapping
                        paths = [p for p in golden.values if mapping.writable(p)]
                        bad = [p for p in paths if not link.state.in_sync(golden.values, [p])]
                        assert bad == [], f"{link.connection} {link.key}"

    def close(self) -> None:
        for connection in self.hub.connections.values():
            connection.connector.close()
        self.crm.close()
