"""Reads the truth about records that are about to be written, and observes it first."""

from __future__ import annotations

from collections.abc import Sequence

from hub.model.causes import Cause
from hub.sync.context import Channel
from hub.sync.freshness import digest
from hub.sync.ingest.read_record import Origin
from hub.sync.push.job import Batch, Job
from hub.sync.push.verdict import postponed


def read_before_write(batch: Batch, channel: Channel, linked: Sequence[Job]) -> None:
    """Reads the truth about linked records and observes it first."""
    keys = [job.link.key for job in linked if job.link is not None]
    if not keys:
        return
    page = channel.connector.fetch(channel.stream, list(dict.fromkeys(keys)))
    batch.ingest(channel, page, origin=Origin.BEFORE_WRITE)
    batch.refresh(linked, channel)
    found = {record.key: record for record in page.records}
    for job in linked:
        job.record = None if job.link is None else found.get(job.link.key)
        if job.link is not None and job.record is not None and not _is_observed(job, channel):
            # What it shows now may be news: writing would be over words that nobody has read.
            reason = f"{channel.stream} {job.link.key} cannot be taken in yet; see its letter"
            attempts = job.entry.attempts
            verdict = postponed(attempts, reason, state="waiting", cause=Cause.UNREADABLE)
            batch.decide(job.entry, verdict)


def _is_observed(job: Job, channel: Channel) -> bool:
    """Returns True if the record that was just read is what the link knows."""
    if job.link is None or job.record is None:
        return False
    return job.link.digest == digest(job.record.payload, channel.mapping.fingerprint)
