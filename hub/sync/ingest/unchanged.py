"""Skips unchanged records, each at the cost of one comparison of digests; translates the others.

Records that cannot be translated are quarantined here. Nothing is linked or compared yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection as Transaction

from connectors.kit.contract import Record
from hub.model.matching import certain_prints
from hub.store.links import link_digests
from hub.store.quarantine import Cause, Problem
from hub.sync.changeset import ChangeSet
from hub.sync.context import Channel
from hub.sync.freshness import digest, newer
from hub.sync.ingest.read_record import ReadContext, ReadRecord
from hub.sync.unfinished import unsettled_keys
from mappings.kit.errors import LensError


@dataclass(frozen=True, slots=True)
class Changed:
    """The records of a page that are new or have changed, with their digests."""

    records: Sequence[tuple[Record, bytes]]
    #: Keys on the page that have been linked before.
    known: frozenset[str]


def without_unchanged(tx: Transaction, context: ReadContext, found: Sequence[Record]) -> Changed:
    """Returns the newest state of each record, without the unchanged ones."""
    latest: dict[str, Record] = {}
    for record in found:
        latest[record.key] = newer(latest.get(record.key), record)
    context.tally.same += len(found) - len(latest)  # the same key twice in one page
    channel = context.channel
    known = link_digests(tx, channel.connection, channel.stream, list(latest))
    unsettled = {*context.written, *unsettled_keys(tx, channel, context.pending, known)}
    changed = _changed(context, latest.values(), known=known, unsettled=unsettled)
    return Changed(changed, frozenset(known))


def _changed(
    context: ReadContext,
    latest: Iterable[Record],
    *,
    known: Mapping[str, bytes | None],
    unsettled: set[str],
) -> list[tuple[Record, bytes]]:
    fingerprint = context.channel.mapping.fingerprint
    changed = []
    for record in latest:
        mark = digest(record.payload, fingerprint)
        if known.get(record.key) == mark and record.key not in unsettled:
            context.tally.same += 1
        else:
            changed.append((record, mark))
    return changed


def translated(context: ReadContext, changed: Changed, *, changes: ChangeSet) -> list[ReadRecord]:
    """Returns the records in canonical form; quarantines those that cannot be translated."""
    mapping, channel = context.channel.mapping, context.channel
    read = []
    for record, mark in changed.records:
        try:
            read.append(ReadRecord(record, mapping.read(record.payload), mark))
        except LensError as error:
            context.tally.quarantined += 1
            changes.quarantine(_unreadable(channel, record, str(error)))
    return read


def _unreadable(channel: Channel, record: Record, reason: str) -> Problem:
    prints = certain_prints(channel.entity, channel.mapping.legible(record.payload))
    return Problem(
        "pull",
        *(channel.connection, channel.stream, record.key),
        "held",
        Cause.UNREADABLE,
        reason,
        "LensError",
        prints=tuple(prints),
    )
