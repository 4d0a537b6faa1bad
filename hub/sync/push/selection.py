"""Selects the entries of a batch that have a record to write to, or may create one."""

from __future__ import annotations

from collections.abc import Sequence

from hub.store.golden import load_golden
from hub.store.links import Link, links_by_golden
from hub.sync.context import Channel
from hub.sync.merge.primary import primary_link
from hub.sync.push.job import Batch, Job


def jobs_by_channel(batch: Batch) -> dict[Channel, list[Job]]:
    """Groups the selected entries by channel; the others need no write and are complete."""
    ids = [entry.golden_id for entry in batch.entries.values()]
    with batch.hub.store.read() as tx:
        golden = load_golden(tx, ids)
        links = links_by_golden(tx, ids, connection=batch.target.name)
    found: dict[Channel, list[Job]] = {}
    for entry in batch.entries.values():
        record = golden.get(entry.golden_id)
        if record is None or (record.merged_into is not None and entry.state != "in_flight"):
            continue
        channel = batch.target.channel_for(record.entity, record.values)
        if channel is not None:
            known = links.get(record.id, [])
            job = Job(entry, record, primary_link(known, channel))
            if _is_concerned(batch, channel, job, known):
                found.setdefault(channel, []).append(job)
    return found


def _is_concerned(batch: Batch, channel: Channel, job: Job, known: Sequence[Link]) -> bool:
    """Returns True if there is a record to write to, or one may be created."""
    if job.link is not None:
        return job.link.gone_at is None
    # A create in flight may have happened, whatever became of the golden record since.
    alive = job.golden.deleted_at is None or job.entry.state == "in_flight"
    there = any(link.stream == channel.stream and link.gone_at is None for link in known)
    policy = batch.hub.policy(channel.entity.name)
    return alive and not there and channel.facts.create and batch.target.name in policy.create
