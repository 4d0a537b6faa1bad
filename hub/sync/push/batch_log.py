"""Logs one line at DEBUG for each outbox entry of a batch: keys and outcome only."""

from __future__ import annotations

from collections.abc import Iterator

from hub.store.outbox import OutboxEntry
from hub.sync.push.job import Batch, Job
from hub.sync.record_log import RecordEvent, log_records


def log_batch(batch: Batch) -> None:
    """Logs the outcome of each entry of a batch."""
    log_records(lambda: _pushed(batch))


def _pushed(batch: Batch) -> Iterator[RecordEvent]:
    for number, entry in batch.entries.items():
        # An entry without a job belongs to no stream of this connection.
        stream, job = batch.jobs.get(number, (entry.entity, None))
        happened, cause = _outcome(batch, entry)
        yield RecordEvent(
            batch.target.name, stream, _key(job), happened, entry.golden_id, cause=cause
        )


def _outcome(batch: Batch, entry: OutboxEntry) -> tuple[str, str | None]:
    verdict = batch.verdicts.get(entry.id)
    if verdict is not None:
        return ("refused" if verdict.state == "held" else "postponed"), verdict.cause.value
    return ("written" if entry.id in batch.written else "needs nothing"), None


def _key(job: Job | None) -> str:
    if job is None:
        return ""
    written = job.outcome.key if job.outcome is not None else None
    return written or (job.link.key if job.link is not None else "")
