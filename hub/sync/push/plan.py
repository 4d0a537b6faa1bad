"""Computes what to write for a batch of wishes. Reads the store, writes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection as Transaction

from connectors.kit.contract import Create, Delete, Outcome, Payload, Record, Update, Write
from hub.model.matching import certain_prints
from hub.model.want import agree, wanted
from hub.store import aside, quarantine
from hub.store.conflicts import open_paths
from hub.store.golden import Golden, load_golden
from hub.store.links import Link, gone_there, keys_of
from hub.store.outbox import Wish
from hub.store.reviews import open_reviews
from hub.sync.context import Channel, Hub
from hub.sync.names import name_in_full
from mappings.canonical.naming import in_full
from mappings.canonical.values import Scalar, Values
from mappings.kit.errors import LensError
from mappings.kit.mapping import declared_path


@dataclass(slots=True)
class Job:
    """One wish, with what is known about it."""

    wish: Wish
    golden: Golden
    link: Link | None
    #: The record as it was just read.
    record: Record | None = None
    #: The golden values that are written.
    values: Values = field(default_factory=dict, repr=False)
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """It cannot be written yet, for a reason a person understands."""

    reason: str
    #: The golden record whose change will let it go on.
    waits_for: str | None = None


#: What becomes of a job: a write, a wait, a value without translation, or nothing to do.
Plan = Write | Waiting | LensError | None


def plan(
    hub: Hub, tx: Transaction, channel: Channel, jobs: Sequence[Job]
) -> list[tuple[Job, Plan]]:
    """Returns what to do for each job; sets the values that are written."""
    linked = [job.link.id for job in jobs if job.link is not None and job.link.id is not None]
    conflicts = open_paths(tx, linked) if linked else {}
    unclear = _unclear(tx, channel, [job for job in jobs if job.link is None])
    first = [
        (job, unclear.get(job.golden.id) or _lacking(hub, channel, job, conflicts)) for job in jobs
    ]
    keys = _keys(tx, channel, [job for job, waiting in first if waiting is None])
    planned: list[tuple[Job, Plan]] = []
    for job, waiting in first:
        planned.append((job, waiting or _write(hub, tx, channel, job=job, keys=keys)))
    return planned


def _unclear(tx: Transaction, channel: Channel, new: Sequence[Job]) -> dict[str, Waiting]:
    """Returns golden id -> why it is not created: it may be there, as a record not taken in yet."""
    if not new:
        return {}
    pending = quarantine.pending(tx, channel.connection)
    found = _set_aside(tx, channel, new) if pending.letters or pending.reviews else {}
    reviews = _reviews(tx, channel) if pending.reviews else {}
    for job in new:
        waiting = _undecided(channel, job, reviews)
        if waiting is not None:
            found[job.golden.id] = waiting
    return found


def _set_aside(tx: Transaction, channel: Channel, new: Sequence[Job]) -> dict[str, Waiting]:
    """Who is set aside over there and recognised for certain is not made a second time."""
    looks = {
        job.golden.id: certain_prints(channel.entity, job.golden.values)
        for job in new
        if job.golden.deleted_at is None
    }
    values = (value for prints in looks.values() for value in prints)
    holders = aside.holders(tx, channel.connection, channel.stream, values)
    return {
        golden_id: Waiting(
            f"is {channel.stream} {holders[value]} in {channel.connection}, as it seems, which"
            " cannot be taken in yet: see `tulay errors` and `tulay links review`",
            golden_id,
        )
        for golden_id, prints in looks.items()
        for value in prints
        if value in holders
    }


def _reviews(tx: Transaction, channel: Channel) -> dict[str, Mapping[str, Any]]:
    """Returns golden id -> open review that may find its record over there."""
    return {
        golden_id: review
        for review in open_reviews(tx)
        if (review["connection"], review["stream"]) == (channel.connection, channel.stream)
        for golden_id in review["candidates"]
    }


def _undecided(
    channel: Channel, job: Job, reviews: Mapping[str, Mapping[str, Any]]
) -> Waiting | None:
    """A record that perhaps exists over there is not created before a person has decided."""
    review = reviews.get(job.golden.id) if job.link is None else None
    if review is None:
        return None
    return Waiting(
        f"may be {review['title']!r} ({channel.connection} {review['stream']} {review['key']});"
        f" decide with `tulay links decide {review['id']}`",
        job.golden.id,
    )


def _lacking(
    hub: Hub, channel: Channel, job: Job, conflicts: Mapping[int, frozenset[str]]
) -> Waiting | None:
    """Sets the values a job has to write; says what a new record lacks."""
    mapping, golden = channel.mapping, job.golden
    if job.link is None:
        missing = _missing(channel, golden)
        if is_early(hub, channel, golden):
            return None  # when its owner fills it, a new wish comes by itself
        if missing:
            name = in_full(channel.entity, mapping.describe(golden.values))
            return Waiting(
                f"{name} has no {' and no '.join(missing)} yet, which {channel.connection} needs"
            )
        filled = {p: v for p, v in golden.values.items() if v is not None}
        job.values = {p: v for p, v in filled.items() if mapping.writable(p)}
    elif job.record is not None and channel.facts.update and golden.deleted_at is None:
        job.values = wanted(
            golden.values,
            agree(golden.values, job.link.state),
            hub.policy(golden.entity),
            writable=mapping.writable,
            conflicts=conflicts.get(job.link.id or 0, frozenset()),
        )
    return None


def is_early(hub: Hub, channel: Channel, golden: Golden) -> bool:
    """Says whether a record lacks what only others can fill, such as a number given later."""
    missing = _missing(channel, golden)
    return bool(missing) and not _ours_to_fill(hub, channel, golden, missing)


def _missing(channel: Channel, golden: Golden) -> list[str]:
    return [path for path in channel.mapping.requires if not _filled(golden.values, path)]


def _ours_to_fill(hub: Hub, channel: Channel, golden: Golden, missing: Sequence[str]) -> bool:
    """Says whether the people of this connection could fill what is missing."""
    policy = hub.policy(golden.entity)
    return any(policy.of(path).may_set(channel.connection) for path in missing)


def _keys(tx: Transaction, channel: Channel, jobs: Sequence[Job]) -> dict[str, str]:
    """Returns golden id -> key over there of everything the values refer to."""
    references = channel.mapping.references
    targets = {
        str(value): references[declared]
        for job in jobs
        for path, value in job.values.items()
        if value is not None and (declared := declared_path(path)) in references
    }
    return keys_of(tx, channel.connection, targets)


def _write(
    hub: Hub, tx: Transaction, channel: Channel, *, job: Job, keys: Mapping[str, str]
) -> Plan:
    if job.link is not None:
        if job.record is None or job.link.gone_at is not None or job.golden.merged_into:
            return None  # gone meanwhile: deletes stay deleted
        if job.golden.deleted_at is not None:
            return Delete(job.link.key, job.record.version) if channel.facts.delete else None
    if not job.values:
        return None
    references = channel.mapping.references
    outside: dict[str, Scalar] = {}
    for path, value in job.values.items():
        if value is None or declared_path(path) not in references:
            outside[path] = value
        elif str(value) in keys:
            outside[path] = keys[str(value)]
        elif not gone_there(tx, channel.connection, [str(value)]):
            return Waiting(_absent(hub, tx, channel, str(value)), str(value))
        # What was deleted over there cannot be referred to; the rest is told all the same.
    job.values = {path: job.values[path] for path in outside}
    current = None if job.record is None else job.record.payload
    try:
        return _addressed(job, channel.mapping.write(outside, current))
    except LensError as error:
        return error


def _addressed(job: Job, payload: Payload) -> Write | None:
    if job.link is None:
        return Create(job.golden.id, payload)
    assert job.record is not None
    return Update(job.link.key, payload, job.record.version) if payload else None


def _absent(hub: Hub, tx: Transaction, channel: Channel, golden_id: str) -> str:
    golden = load_golden(tx, [golden_id]).get(golden_id)
    if golden is None:
        return "refers to something that does not exist any more"
    name = name_in_full(hub, tx, golden)
    return f"{name} is not in {channel.connection}: create it there, or link it"


def _filled(values: Mapping[str, Scalar], path: str) -> bool:
    """Says whether a path is filled; a branch or list is when anything in it is."""
    if values.get(path) is not None:
        return True
    return any(p.startswith((f"{path}.", f"{path}[")) and v is not None for p, v in values.items())
