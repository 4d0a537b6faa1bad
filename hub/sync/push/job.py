"""The work of a push: one job for each leased entry, and the batch that collects outcomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection as Transaction

from connectors.kit.contract import Outcome, Page, Record
from hub.flows.registry import is_explained
from hub.store.golden import Golden, load_golden
from hub.store.links import Link, links_by_golden
from hub.store.outbox import OutboxEntry
from hub.store.runs import Tally
from hub.sync.context import Channel, Connection, Hub
from hub.sync.ingest.page import ingest
from hub.sync.ingest.read_record import Origin, WrittenValues
from hub.sync.merge.primary import primary_link
from hub.sync.push.verdict import Verdict
from mappings.canonical.values import Values


@dataclass(slots=True, eq=False)
class Job:
    """One outbox entry, with what is known about it."""

    entry: OutboxEntry
    golden: Golden
    link: Link | None
    #: The record as it was just read.
    record: Record | None = None
    #: The golden values that are written.
    values: Values = field(default_factory=dict, repr=False)
    outcome: Outcome | None = None

    @property
    def is_alive(self) -> bool:
        """True if there is anything to write: a new record must be neither deleted nor merged."""
        golden = self.golden
        return golden.merged_into is None and (self.link is not None or golden.deleted_at is None)


@dataclass(slots=True, eq=False)
class Batch:
    """The leased entries of one entity, each open until it is decided."""

    hub: Hub
    target: Connection
    tally: Tally
    entries: Mapping[int, OutboxEntry]
    verdicts: dict[int, Verdict] = field(default_factory=dict)
    #: Entries that were marked in flight, and that the system reports as not done.
    not_sent: set[int] = field(default_factory=set)
    #: Entry id -> its job, with the stream that it is written to.
    jobs: dict[int, tuple[str, Job]] = field(default_factory=dict)
    #: Entries of which the system has accepted a write.
    written: set[int] = field(default_factory=set)

    def decide(self, entry: OutboxEntry, verdict: Verdict) -> None:
        """Decides an entry; this batch is done with it."""
        self.verdicts[entry.id] = verdict
        if verdict.state == "held":
            self.tally.seen += 1
            self.tally.quarantined += 1

    def note_written(self, entry: OutboxEntry) -> None:
        """Records that the system has accepted a write of this entry."""
        self.tally.written += 1
        self.written.add(entry.id)

    def is_open(self, entry: OutboxEntry) -> bool:
        """Returns True if the entry is not decided yet."""
        return entry.id not in self.verdicts

    @property
    def open(self) -> list[OutboxEntry]:
        """The entries that are written, or need nothing, when the batch ends."""
        return [entry for entry in self.entries.values() if entry.id not in self.verdicts]

    @property
    def explained(self) -> list[str]:
        """The golden records of stuck entries whose reason is reported by flows."""
        return [
            self.entries[number].golden_id
            for number, verdict in self.verdicts.items()
            if verdict.state in ("waiting", "held") and is_explained(self.entries[number].entity)
        ]

    def refresh(self, jobs: Sequence[Job], channel: Channel) -> None:
        """Reloads golden records and links after they were changed outside of this batch."""
        with self.hub.store.read() as tx:
            self._load(tx, jobs, channel)

    def _load(self, tx: Transaction, jobs: Sequence[Job], channel: Channel) -> None:
        ids = [job.golden.id for job in jobs]
        golden = load_golden(tx, ids)
        links = links_by_golden(tx, ids, connection=self.target.name)
        for job in jobs:
            job.golden = golden.get(job.golden.id, job.golden)
            job.link = primary_link(links.get(job.golden.id, []), channel)

    def ingest(
        self,
        channel: Channel,
        page: Page,
        *,
        origin: Origin,
        written: Mapping[str, WrittenValues] | None = None,
        jobs: Sequence[Job] = (),
    ) -> None:
        """Ingests what was read on the way, in its own transaction, and reloads `jobs` in it."""
        now = self.hub.clock()

        def work(tx: Transaction) -> None:
            counts = Tally(self.tally.id, "push", channel.connection, channel.stream, now)
            ingest(self.hub, tx, channel, page=page, tally=counts, origin=origin, written=written)
            self._load(tx, jobs, channel)

        self.hub.store.transact(work)


def note_records(jobs: Sequence[Job], found: Sequence[Record]) -> None:
    """Updates the records of jobs to their current state."""
    by_key = {record.key: record for record in found}
    for job in jobs:
        keys = (job.outcome and job.outcome.key, job.link and job.link.key)
        job.record = next((by_key[key] for key in keys if key in by_key), job.record)
