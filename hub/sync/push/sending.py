"""Sends writes: the intention is stored before, and what was written is read back after.

Link and read-back are stored in one transaction. If an answer is lost, the intention remains, and
in_doubt.py probes for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection as Transaction

from connectors.kit.contract import Create, Delete, Merge, Page, Record, Update, Write
from connectors.kit.errors import RateLimitedError, RecordMissingError
from hub.store import in_doubt
from hub.sync.context import Channel
from hub.sync.ingest.read_record import Origin, WrittenValues
from hub.sync.push.in_doubt import not_to_create
from hub.sync.push.job import Batch, Job, note_records
from hub.sync.push.lost_updates import keep_lost_updates
from hub.sync.push.verdict import has_not_happened, of_outcome, postponed

#: A job and what is written for it.
Planned = tuple[Job, Write]


def write(batch: Batch, channel: Channel, writes: Sequence[Planned]) -> None:
    """Writes, reads back, and decides the outcome of each entry."""
    writes = intend(batch, channel, writes)
    if not writes:
        return
    try:
        outcomes = channel.connector.write(channel.stream, [write for _, write in writes])
    except RateLimitedError:  # the system refused all of them
        batch.not_sent |= {job.entry.id for job, write in writes if _is_marked(write)}
        raise
    for (job, _), outcome in zip(writes, outcomes, strict=True):
        job.outcome = outcome
    read_back(batch, channel, writes)
    for job, planned in writes:
        if has_not_happened(job.outcome):
            batch.not_sent.add(job.entry.id)
        verdict = of_outcome(job.entry.attempts, planned, job.outcome)
        if verdict is None:
            batch.note_written(job.entry)
        else:
            batch.decide(job.entry, verdict)


def _is_marked(write: Write) -> bool:
    return isinstance(write, Create | Update)


def intend(batch: Batch, channel: Channel, writes: Sequence[Planned]) -> list[Planned]:
    """Stores the intention; returns the writes without creates of records found meanwhile."""
    if not writes:
        return []
    creates = {job.entry.id: job for job, write in writes if isinstance(write, Create)}
    updates = {job.entry.id: job.values for job, write in writes if isinstance(write, Update)}

    def store_intention(tx: Transaction) -> dict[int, str]:
        found = not_to_create(tx, channel, [job.golden.id for job in creates.values()])
        held = {n: found[job.golden.id] for n, job in creates.items() if job.golden.id in found}
        sent = {number: job.values for number, job in creates.items() if number not in held}
        in_doubt.mark_in_flight(tx, creates=sent, updates=updates)
        return held

    held = batch.hub.store.transact(store_intention, durable=bool(creates))
    for number, reason in held.items():
        entry = creates[number].entry
        batch.decide(entry, postponed(entry.attempts, reason, state="due"))
    return [(job, write) for job, write in writes if job.entry.id not in held]


@dataclass(slots=True)
class _Answers:
    """The answers to writes, and what remains to be read."""

    #: Key -> what was written to it.
    written: dict[str, WrittenValues] = field(default_factory=dict)
    records: list[Record] = field(default_factory=list)
    merges: list[Merge] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    #: Keys of written records that the answers do not show in full.
    unread: list[str] = field(default_factory=list)


def _answers(writes: Sequence[Planned]) -> _Answers:
    found = _Answers()
    for job, write in writes:
        outcome = job.outcome
        if outcome is None:
            continue
        missing = isinstance(outcome.error, RecordMissingError)
        if isinstance(write, Delete) and (outcome.error is None or missing):
            found.gone.append(write.key)
        elif outcome.error is None and outcome.key is not None:
            found.written[outcome.key] = WrittenValues(job.golden.id, job.values)
            if outcome.record is None:
                found.unread.append(outcome.key)
            else:
                found.records.append(outcome.record)
    return found


def read_back(batch: Batch, channel: Channel, writes: Sequence[Planned]) -> None:
    """Marks the written values as agreed, as the system shows them."""
    found, written = _answers(writes), [job for job, _ in writes]
    if found.unread:
        _read_rest(channel, found)
    # Before the written values are agreed: after a crash in between, history has the lost ones.
    keep_lost_updates(batch.hub, channel, written, run=batch.tally.id)
    note_records(written, found.records)
    if found.records or found.gone or found.merges:
        page = Page(records=found.records, gone=found.gone, merges=found.merges)
        batch.ingest(
            channel,
            page,
            origin=Origin.READ_BACK,
            written=found.written,
            jobs=written if channel.has_actions else (),
        )


def _read_rest(channel: Channel, found: _Answers) -> None:
    page = channel.connector.fetch(channel.stream, found.unread)
    found.records += page.records
    found.merges += page.merges
    # The write itself may have given the record another key.
    found.written |= {m.into: found.written[m.key] for m in page.merges if m.key in found.written}
    lost = {m.into for m in page.merges} - {record.key for record in found.records}
    if lost:
        found.records += channel.connector.fetch(channel.stream, sorted(lost)).records
