"""Computes what to write for a batch of outbox entries. Reads the store, writes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection as Transaction

from connectors.kit.contract import Create, Delete, Payload, Update, Write
from hub.model.matching import certain_prints
from hub.model.wanted import agree, wanted
from hub.store.conflicts import open_paths
from hub.store.golden import Golden, load_golden
from hub.store.links import gone_there, keys_of
from hub.sync.context import Channel, Hub
from hub.sync.push.job import Job
from hub.sync.record_names import full_names
from hub.sync.unfinished import unidentified
from mappings.canonical.naming import in_full
from mappings.canonical.values import Scalar
from mappings.kit.errors import LensError
from mappings.kit.mapping import declared_path


@dataclass(frozen=True, slots=True)
class Waiting:
    """The record cannot be written yet, for a reason that a person understands."""

    reason: str
    #: The golden record on whose change it is retried.
    waits_for: str | None = None
    #: A code of hub.model.causes.
    cause: Literal["missing_parent", "missing_field", "under_review", "possible_duplicate"] = (
        "missing_parent"
    )


#: The plan for a job: a write, a wait, a value without translation, or nothing to do.
Plan = Write | Waiting | LensError | None


def plan(
    hub: Hub, tx: Transaction, channel: Channel, jobs: Sequence[Job]
) -> list[tuple[Job, Plan]]:
    """Returns the plan for each job, and sets the values to be written."""
    linked = [job.link.id for job in jobs if job.link is not None and job.link.id is not None]
    conflicts = open_paths(tx, linked) if linked else {}
    unclear = _unclear(tx, channel, [job for job in jobs if job.link is None])
    first = [
        (job, unclear.get(job.golden.id) or _lacking(hub, channel, job, conflicts)) for job in jobs
    ]
    targets = _targets(hub, tx, channel, [job for job, waiting in first if waiting is None])
    return [(job, waiting or _write(channel, job, targets)) for job, waiting in first]


def _unclear(tx: Transaction, channel: Channel, new: Sequence[Job]) -> dict[str, Waiting]:
    """Returns {golden id: reason} of records that may already exist there, unread."""
    if not new:
        return {}
    # A quarantined record with a strong match must not be created a second time.
    prints = {
        job.golden.id: certain_prints(channel.entity, job.golden.values)
        for job in new
        if job.golden.deleted_at is None
    }
    found = unidentified(tx, channel, (value for values in prints.values() for value in values))
    waiting = {
        golden_id: Waiting(
            f"seems to be {channel.stream} {found.keys[value]} in {channel.connection}, which"
            " cannot be read yet: see `tulay errors` and `tulay links review`",
            golden_id,
            "possible_duplicate",
        )
        for golden_id, values in prints.items()
        for value in values
        if value in found.keys
    }
    # A record that may exist there is not created before a person has decided.
    for job in new:
        review = found.reviews.get(job.golden.id)
        if review is not None:
            waiting[job.golden.id] = Waiting(
                f"may be {review.title!r} ({channel.connection} {review.stream}"
                f" {review.key}); decide with `tulay links decide {review.id}`",
                job.golden.id,
                "under_review",
            )
    return waiting


def _lacking(
    hub: Hub, channel: Channel, job: Job, conflicts: Mapping[int, frozenset[str]]
) -> Waiting | None:
    """Sets the values that a job has to write; returns what a new record still lacks."""
    mapping, golden = channel.mapping, job.golden
    if job.link is None:
        missing = _missing(channel, golden)
        if is_early(hub, channel, golden):
            return None  # when its owner fills it, a new outbox entry follows
        if missing:
            name = in_full(channel.entity, mapping.describe(golden.values))
            return Waiting(
                f"{name} has no {' and no '.join(missing)} yet, which {channel.connection} needs",
                cause="missing_field",
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
    """Returns True if a record lacks what only other systems fill, such as a number given later."""
    missing = _missing(channel, golden)
    return bool(missing) and not _ours_to_fill(hub, channel, golden, missing)


def _missing(channel: Channel, golden: Golden) -> list[str]:
    return [path for path in channel.mapping.requires if not _filled(golden.values, path)]


def _ours_to_fill(hub: Hub, channel: Channel, golden: Golden, missing: Sequence[str]) -> bool:
    """Returns True if users of this connection may fill what is missing."""
    policy = hub.policy(golden.entity)
    return any(policy.of(path).may_set(channel.connection) for path in missing)


@dataclass(frozen=True, slots=True)
class _Targets:
    """The records that the values of a batch refer to, by golden id."""

    #: The key of those that have a record in the target.
    keys: Mapping[str, str]
    #: Those whose record was deleted there.
    gone: frozenset[str]
    #: Why the others cannot be referred to.
    absent: Mapping[str, str]


def _targets(hub: Hub, tx: Transaction, channel: Channel, jobs: Sequence[Job]) -> _Targets:
    references = channel.mapping.references
    streams = {
        str(value): references[declared]
        for job in jobs
        for path, value in job.values.items()
        if value is not None and (declared := declared_path(path)) in references
    }
    keys = keys_of(tx, channel.connection, streams)
    missing = streams.keys() - keys.keys()
    if not missing:
        return _Targets(keys, frozenset(), {})
    gone = gone_there(tx, channel.connection, missing)
    golden = load_golden(tx, missing - gone)
    absent = dict.fromkeys(missing - gone, "refers to a record that no longer exists")
    for one, name in full_names(hub, tx, golden.values()).items():
        absent[one] = f"{name} is not in {channel.connection}: create it there, or link it"
    return _Targets(keys, frozenset(gone), absent)


def _write(channel: Channel, job: Job, targets: _Targets) -> Plan:
    if job.link is not None:
        if job.record is None or job.link.gone_at is not None or job.golden.merged_into:
            return None  # gone in the meantime: deletes stay deleted
        if job.golden.deleted_at is not None:
            return Delete(job.link.key, job.record.version) if channel.facts.delete else None
    if not job.values:
        return None
    references = channel.mapping.references
    outside: dict[str, Scalar] = {}
    for path, value in job.values.items():
        if value is None or declared_path(path) not in references:
            outside[path] = value
        elif str(value) in targets.keys:
            outside[path] = targets.keys[str(value)]
        elif str(value) in targets.absent:
            return Waiting(targets.absent[str(value)], str(value))
        # A reference to a deleted record is left out; the other values are written.
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


def _filled(values: Mapping[str, Scalar], path: str) -> bool:
    """Returns True if a path has a value; a branch or list has one if any path below it does."""
    if values.get(path) is not None:
        return True
    return any(p.startswith((f"{path}.", f"{path}[")) and v is not None for p, v in values.items())
