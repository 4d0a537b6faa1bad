"""Resolves references of records that were read: keys become golden ids, or the record waits.

An unknown parent is requested; until it is known, the record is quarantined with that reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sqlalchemy import Connection as Transaction

from hub.flows.flow_input import derived_id
from hub.model.matching import certain_prints
from hub.store.links import resolve_keys
from hub.store.quarantine import Cause, Problem
from hub.sync.changeset import ChangeSet
from hub.sync.context import Channel
from hub.sync.freshness import request_refetch
from hub.sync.ingest.read_record import ReadContext, ReadRecord
from mappings.canonical.values import Values
from mappings.kit.mapping import declared_path

#: Stream and key of a record that another one refers to.
Reference = tuple[str, str]


def resolve_parents(
    tx: Transaction, context: ReadContext, read: Sequence[ReadRecord], *, changes: ChangeSet
) -> list[ReadRecord]:
    """Returns the records whose parents are known, with golden ids; quarantines the others."""
    channel = context.channel
    streams = channel.mapping.references
    if not streams or not read:
        return list(read)
    asked = {
        (streams[declared], str(value))
        for one in read
        for path, value in one.values.items()
        if value is not None and (declared := declared_path(path)) in streams
    }
    known = resolve_keys(tx, channel.connection, asked)
    ready = []
    for one in read:
        values, missing = _resolved(channel, one.values, known)
        resolved = one if values is one.values else replace(one, values=values)
        if missing is None:
            ready.append(resolved)
        else:
            _wait(context, resolved, missing, changes=changes)
    return ready


def _resolved(
    channel: Channel, values: Values, known: Mapping[Reference, str | None]
) -> tuple[Values, Reference | None]:
    """Returns the values with golden ids instead of keys, and the first unknown parent."""
    resolved: Values = {}
    missing = None
    for path, value in values.items():
        stream = channel.mapping.references.get(declared_path(path))
        if stream is None or value is None:
            continue
        if (stream, str(value)) not in known:
            missing = stream, str(value)
            break
        resolved[path] = known[(stream, str(value))]
    return values | resolved if resolved else values, missing


def _wait(context: ReadContext, one: ReadRecord, parent: Reference, *, changes: ChangeSet) -> None:
    """Requests the parent and quarantines the record until it is known."""
    channel = context.channel
    connection, (stream, key) = channel.connection, parent
    context.tally.skip("waits for its parent")
    changes.notify(request_refetch(connection, stream, key))
    problem = Problem(
        "pull",
        *(connection, channel.stream, one.key),
        "waiting",
        Cause.MISSING_PARENT,
        f"refers to {stream} {key}, which was not found in {connection} yet",
        waits_for=derived_id(connection, stream, key),
        prints=tuple(certain_prints(channel.entity, one.values)),
    )
    changes.quarantine(problem)
