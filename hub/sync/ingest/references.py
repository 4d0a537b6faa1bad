"""References of records that were read: keys over there become golden ids, or the record waits.

An unknown parent is asked for; until it is known, its child is parked with that reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection as Transaction

from hub.flows.facts import derived_id
from hub.model.matching import certain_prints
from hub.store import aside, inbox, quarantine
from hub.store.links import resolve_keys
from hub.store.quarantine import QuarantineEntry
from hub.store.runs import Tally
from hub.sync.context import Channel
from hub.sync.freshness import look_again
from hub.sync.ingest.identity import Fresh
from mappings.kit.mapping import declared_path


def with_parents(
    tx: Transaction, channel: Channel, fresh: Sequence[Fresh], *, tally: Tally, now: datetime
) -> list[Fresh]:
    """Returns the records whose references are all known, with golden ids; parks the others."""
    streams = channel.mapping.references
    if not streams or not fresh:
        return list(fresh)
    asked = {
        (streams[declared], str(value))
        for one in fresh
        for path, value in one.values.items()
        if value is not None and (declared := declared_path(path)) in streams
    }
    known = resolve_keys(tx, channel.connection, asked)
    ready: list[Fresh] = []
    parked: dict[str, tuple[str, str]] = {}
    looks: dict[str, list[int]] = {}
    for one in fresh:
        missing = _replace(channel, one, known)
        if missing is None:
            ready.append(one)
        else:
            parked[one.record.key] = missing
            looks[one.record.key] = certain_prints(channel.entity, one.values)
    if parked:
        aside.remember(tx, channel.connection, channel.stream, looks)
        _park(tx, channel, parked, tally=tally, now=now)
    return ready


def _replace(
    channel: Channel, one: Fresh, known: Mapping[tuple[str, str], str | None]
) -> tuple[str, str] | None:
    """Puts golden ids in the place of keys; returns stream and key of the first unknown parent."""
    for path, value in one.values.items():
        stream = channel.mapping.references.get(declared_path(path))
        if stream is None or value is None:
            continue
        if (stream, str(value)) not in known:
            return stream, str(value)
        one.values[path] = known[(stream, str(value))]
    return None


def _park(
    tx: Transaction,
    channel: Channel,
    parked: Mapping[str, tuple[str, str]],
    *,
    tally: Tally,
    now: datetime,
) -> None:
    """Asks for the parents and lets the children wait for them."""
    connection = channel.connection
    tally.skip("waits for its parent", len(parked))
    parents = dict.fromkeys(parked.values())
    nudges = [look_again(connection, stream, parent) for stream, parent in parents]
    inbox.receive(tx, nudges, now=now)
    waiting = [
        QuarantineEntry(
            "pull",
            connection,
            channel.stream,
            key,
            "waiting",
            f"refers to {stream} {parent}, which {connection} has not shown yet",
            waits_for=derived_id(connection, stream, parent),
        )
        for key, (stream, parent) in parked.items()
    ]
    quarantine.put(tx, waiting, now=now, due_at=now)
