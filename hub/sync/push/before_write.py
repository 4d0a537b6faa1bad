"""Reads the current state of records that are about to be written, and observes it first."""

from __future__ import annotations

from collections.abc import Sequence

from hub.model.causes import Cause
from hub.sync.context import Channel
from hub.sync.freshness import digest
from hub.sync.ingest.read_record import Origin
from hub.sync.push.job import Batch, Job
from hub.sync.push.verdict import postponed


def read_before_write(batch: Batch, channel: Channel, linked: Sequence[Job]) -> None:
    """Fetches linked records and observes their current state before they are written."""
    keys = [job.link.key for job in linked if job.link is not None]
    if not keys:
        return
    page = channel.connector.fetch(channel.stream, list(dict.fromkeys(keys)))
    batch.ingest(channel, page, origin=Origin.BEFORE_WRITE, jobs=linked)
    found = {record.key: record for record in page.records}
    for job in linked:
        job.record = None if job.link is None else found.get(job.link.key)
        if job.link is not None and job.record is not None and not _is_observed(job, channel):
            # It may hold edits that the hub cannot read yet; a write could replace them.
            reason = (
                f"{channel.stream} {job.link.key} cannot be read yet;"
                " see its quarantine entry (`tulay errors`)"
            )
            attempts = job.entry.attempts
            verdict = postponed(attempts, reason, state="waiting", cause=Cause.UNREADABLE)
            batch.decide(job.entry, verdict)


def _is_observed(job: Job, channel: Channel) -> bool:
    """Returns True if the record that was just read is the one that the link knows."""
    if job.link is None or job.record is None:
        return False
    return job.link.digest == digest(job.record.payload, channel.mapping.fingerprint)
