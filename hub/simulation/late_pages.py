"""Pages that are read and kept back, to be ingested when they are no longer true."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from connectors.kit.contract import Page
from connectors.memory import MemoryConnector
from connectors.memory.reading import Place
from connectors.memory.storage_tables import as_text
from hub.simulation.stage import Stage
from hub.store.links import links_by_key
from hub.store.runs import Tally
from hub.sync.context import Hub
from hub.sync.ingest.page import ingest
from hub.sync.ingest.read_record import Origin


class LatePages:
    """Pages in the order in which they were read."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._pages: list[tuple[str, str, Page]] = []

    def __bool__(self) -> bool:
        """Returns True if a page is still kept back."""
        return bool(self._pages)

    @property
    def next_stream(self) -> tuple[str, str]:
        """The connection and stream of the page that is ingested next."""
        name, stream, _ = self._pages[0]
        return name, stream

    def keep_back(self, connection: str, stream: str) -> None:
        """Reads a page and keeps it back."""
        system = self._stage.company.systems[connection]
        since = system.fault_state.moment() - timedelta(minutes=10)
        cursor = Place(system.epoch, as_text(since)).text()
        pages = MemoryConnector.of(system).pages(stream, cursor)
        self._pages.append((connection, stream, next(iter(pages))))

    def ingest_next(self, hub: Hub) -> Tally:
        """Ingests the page that was read first; returns its counts."""
        name, stream, page = self._pages.pop(0)
        channel = hub.connection(name).channel(stream)
        tally = Tally(hub.fresh_id(), "late", name, stream, hub.clock())
        system = self._stage.company.systems[name]
        with hub.store.begin() as tx:
            # A page cannot tell that a record unknown to the hub is gone: a sweep will.
            known = links_by_key(tx, name, stream, [record.key for record in page.records])
            kept = [
                record
                for record in page.records
                if record.key in known
                or ((row := system.row(stream, record.key)) is not None and row.fate == "live")
            ]
            ingest(
                hub,
                tx,
                channel,
                page=replace(page, records=kept),
                tally=tally,
                origin=Origin.LISTED,
            )
        return tally
