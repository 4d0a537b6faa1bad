"""The writes of a portion, within the change limit; jobs without a write are decided."""

from __future__ import annotations

from collections.abc import Sequence

from connectors.kit.contract import Delete, Write
from hub.model.causes import Cause
from hub.sync.change_limits import hold_deletions
from hub.sync.context import Channel
from hub.sync.push.job import Batch, Job
from hub.sync.push.plan import Waiting, plan
from hub.sync.push.verdict import failed, postponed
from mappings.kit.errors import LensError


def planned_writes(batch: Batch, channel: Channel, jobs: Sequence[Job]) -> list[tuple[Job, Write]]:
    """Returns the writes; the other jobs wait, are quarantined, or need nothing."""
    return _within_limit(batch, channel, _planned(batch, channel, jobs))


def _planned(batch: Batch, channel: Channel, jobs: Sequence[Job]) -> list[tuple[Job, Write]]:
    with batch.hub.store.read() as tx:
        plans = plan(batch.hub, tx, channel, jobs)
    writes: list[tuple[Job, Write]] = []
    for job, planned in plans:
        attempts = job.entry.attempts
        if isinstance(planned, Waiting):
            verdict = postponed(
                attempts,
                planned.reason,
                state="waiting",
                cause=Cause(planned.cause),
                waits_for=planned.waits_for,
            )
            batch.decide(job.entry, verdict)
        elif isinstance(planned, LensError):
            batch.decide(job.entry, failed(attempts, planned, state="due"))
        elif planned is not None:
            writes.append((job, planned))
    return writes


def _within_limit(
    batch: Batch, channel: Channel, writes: list[tuple[Job, Write]]
) -> list[tuple[Job, Write]]:
    """Returns the writes without deletions that exceed the change limit."""
    deletes = {job.entry.id: write.key for job, write in writes if isinstance(write, Delete)}
    reason = hold_deletions(batch.hub, channel, list(deletes.values())) if deletes else None
    if reason is None:
        return writes
    for job, _ in writes:
        if job.entry.id in deletes:
            attempts = job.entry.attempts
            verdict = postponed(attempts, reason, state="waiting", cause=Cause.CHANGE_LIMIT)
            batch.decide(job.entry, verdict)
    return [(job, write) for job, write in writes if job.entry.id not in deletes]
