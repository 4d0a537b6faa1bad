"""Looks at what nudges and waiting records asked for: fetches the truth, takes it in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from connectors.kit.contract import Merge
from connectors.kit.errors import ConnectorError
from hub.model.recovery import Pause, pause, recovery
from hub.store import letters, queues
from hub.store import progress as store
from hub.store.progress import Tally
from hub.store.queues import InboxItem
from hub.sync.hub import Channel, Connection, Hub
from hub.sync.intake import take_in
from hub.sync.pull import pause_connection

#: Parents that ask for their own parents: deeper than any model of orders goes.
_DEPTH = 8


def drain(hub: Hub, connection: str) -> Tally:
    """Empties the inbox of a connection, parents before children, and tries what was waiting.

    Raises: ConnectorError when the system does not answer; nothing is lost from the inbox.
    """
    source = hub.connection(connection)
    tally = Tally(hub.fresh_id(), "drain", connection, "", hub.clock())
    with hub.store.read() as tx:
        if store.paused(tx, connection) is not None:
            return tally
    try:
        for _ in range(_DEPTH):
            if not _drain_inbox(hub, source, tally) and not _retry_letters(hub, source, tally):
                break
    except ConnectorError as error:
        if isinstance(recovery(error, attempts=0), Pause):
            pause_connection(hub, connection, str(error))
        raise
    return tally


def _drain_inbox(hub: Hub, source: Connection, tally: Tally) -> bool:
    worked = False
    with hub.store.read() as tx:
        waiting = set(queues.inbox_streams(tx, source.name, now=hub.clock()))
    _drop_unmapped(hub, source, waiting - set(source.channels))
    for stream, channel in source.channels.items():
        while stream in waiting:
            with hub.store.read() as tx:
                items = queues.inbox_batch(
                    tx, source.name, stream, now=hub.clock(), limit=channel.facts.batch
                )
            if not items:
                break
            _look(hub, channel, items, tally)
            worked = True
    return worked


def _drop_unmapped(hub: Hub, source: Connection, streams: set[str]) -> None:
    """Nudges about streams that nobody has mapped would wait for ever."""
    for stream in streams:
        with hub.store.begin() as tx:
            items = queues.inbox_batch(tx, source.name, stream, now=hub.clock(), limit=1_000_000)
            queues.inbox_done(tx, [item.id for item in items])


def _look(hub: Hub, channel: Channel, items: Sequence[InboxItem], tally: Tally) -> None:
    keys = list(dict.fromkeys(item.merged_into or item.key for item in items))
    page = channel.connector.fetch(channel.stream, keys[: channel.facts.batch])
    told = [Merge(item.key, item.merged_into) for item in items if item.merged_into]
    page = replace(page, merges=[*told, *(m for m in page.merges if m not in told)])
    with hub.store.begin() as tx:
        take_in(hub, tx, channel, page=page, tally=tally)
        queues.inbox_done(tx, [item.id for item in items])


def _retry_letters(hub: Hub, source: Connection, tally: Tally) -> bool:
    with hub.store.read() as tx:
        due = [
            letter
            for letter in letters.due(tx, "pull", now=hub.clock(), limit=1000)
            if letter["source"] == source.name
        ]
    by_stream: dict[str, list[Mapping[str, Any]]] = {}
    for letter in due:
        by_stream.setdefault(letter["stream"], []).append(letter)
    for stream, channel in source.channels.items():
        found = by_stream.get(stream, [])
        for start in range(0, len(found), channel.facts.batch):
            _retry(hub, channel, found[start : start + channel.facts.batch], tally)
    return bool(due)


def _retry(hub: Hub, channel: Channel, found: Sequence[Mapping[str, Any]], tally: Tally) -> None:
    keys = [letter["key"] for letter in found]
    page = channel.connector.fetch(channel.stream, keys)
    with hub.store.begin() as tx:
        take_in(hub, tx, channel, page=page, tally=tally)
        # Those that arrived are gone from the table by now; the others wait longer each time.
        for letter in found:
            later = hub.clock() + pause(letter["attempts"])
            letters.later(tx, [letter["id"]], due_at=later)
