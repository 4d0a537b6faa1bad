"""Pushes one batch: reads the current state, computes what is missing, writes and reads back.

The intention to create is durable before the network is touched, and a create whose outcome is
unknown is probed before it is repeated. What happens to each entry is decided on the way (see
`verdict.py`) and stored at the end, once for the whole batch.
"""

from __future__ import annotations

from connectors.kit.errors import ConnectorError
from hub.model.recovery import Pause, recovery
from hub.sync.context import Channel
from hub.sync.pauses import pause_connection
from hub.sync.push.actions import act
from hub.sync.push.before_write import read_before_write
from hub.sync.push.custom_fields import prepare_once
from hub.sync.push.in_doubt import is_in_doubt, probe
from hub.sync.push.job import Batch, Job
from hub.sync.push.portion import planned_writes
from hub.sync.push.selection import jobs_by_channel
from hub.sync.push.sending import write
from hub.sync.push.verdict import failed
from hub.sync.storing import store_outcomes


def push_batch(batch: Batch) -> None:
    """Writes what is wanted; no entry is lost, whatever happens. Raises: ConnectorError."""
    try:
        prepare_once(batch.hub, batch.target)
        for channel, jobs in jobs_by_channel(batch).items():
            batch.jobs |= {job.entry.id: (channel.stream, job) for job in jobs}
            for start in range(0, len(jobs), channel.facts.batch):
                _push_portion(batch, channel, jobs[start : start + channel.facts.batch])
    except ConnectorError as error:
        _give_back(batch, error)
        raise
    _store(batch)


def _push_portion(batch: Batch, channel: Channel, jobs: list[Job]) -> None:
    probe(batch, channel, [job for job in jobs if is_in_doubt(job, channel)])
    linked = [job for job in jobs if job.link is not None]
    read_before_write(batch, channel, linked)
    # Merged or moved in the meantime: what the survivor lacks has its own outbox entry.
    lost = {job.entry.id for job in linked if job.link is None}
    jobs = [
        job
        for job in jobs
        if job.entry.id not in lost and batch.is_open(job.entry) and job.is_alive
    ]
    write(batch, channel, planned_writes(batch, channel, jobs))
    act(batch, channel, [job for job in jobs if batch.is_open(job.entry)])


def _give_back(batch: Batch, error: ConnectorError) -> None:
    """The conversation failed as a whole: creates in flight stay in flight."""
    if isinstance(recovery(error, attempts=0), Pause):
        pause_connection(batch.hub, batch.target.name, str(error))
    for entry in batch.open:
        batch.decide(entry, failed(entry.attempts, error, state=None))
    _store(batch)


def _store(batch: Batch) -> None:
    """Stores the outcomes of the entries, all in one transaction."""
    verdicts = [(batch.entries[number], verdict) for number, verdict in batch.verdicts.items()]
    with batch.hub.store.begin() as tx:
        store_outcomes(
            tx,
            not_sent=batch.not_sent,
            verdicts=verdicts,
            complete=batch.open,
            explained=batch.explained,
            now=batch.hub.clock(),
        )
