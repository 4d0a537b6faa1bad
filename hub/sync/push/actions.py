"""Moves the states of documents forward in the remote system, one transition at a time."""

from __future__ import annotations

from collections.abc import Sequence

from connectors.kit.contract import Action
from hub.model.wanted import route_actions
from hub.sync.context import Channel
from hub.sync.ingest.read_record import Origin
from hub.sync.push.job import Batch, Job, note_records
from hub.sync.push.verdict import failed


def act(batch: Batch, channel: Channel, jobs: Sequence[Job]) -> None:
    """Requests the transitions that lead to the golden state, one step for all jobs at a time."""
    if not channel.has_actions:
        return
    for _ in channel.mapping.actions:
        steps = [
            (job, action)
            for job in jobs
            if batch.is_open(job.entry) and (action := _next_action(channel, job)) is not None
        ]
        if not steps:
            return
        _step(batch, channel, steps)


def _step(batch: Batch, channel: Channel, steps: Sequence[tuple[Job, Action]]) -> None:
    outcomes = channel.connector.write(channel.stream, [action for _, action in steps])
    for (job, _), outcome in zip(steps, outcomes, strict=True):
        if outcome.error is None:
            batch.note_written(job.entry)
        else:
            batch.decide(job.entry, failed(job.entry.attempts, outcome.error, state="due"))
    page = channel.connector.fetch(channel.stream, [action.key for _, action in steps])
    jobs = [job for job, _ in steps]
    note_records(jobs, page.records)
    batch.ingest(channel, page, origin=Origin.BEFORE_WRITE, jobs=jobs)


def _next_action(channel: Channel, job: Job) -> Action | None:
    states = channel.entity.states
    if states is None or job.link is None or job.link.gone_at is not None:
        return None
    goal = job.golden.values.get(states.path)
    shown = job.link.state.seen.get(states.path)
    actions = route_actions(states, shown, goal, channel.mapping.actions)
    if not actions:
        return None
    # An edit that was reverted leaves a newer version of the record, unknown to the link.
    known = job.record if job.record is not None and job.record.key == job.link.key else job.link
    return Action(job.link.key, actions[0], known.version)
