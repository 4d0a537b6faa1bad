"""Sweeps the keys of a stream to find deletions and gaps that a read of changes does not show.

A deletion counts only if the sweep was complete and a fetch of the key confirms it.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection as Transaction

from connectors.kit.contract import Page
from hub.model.change_limits import exceeds_limit
from hub.store import inbox
from hub.store.keyset import KeySet
from hub.store.links import count_links, living_keys, unknown_keys
from hub.store.runs import Tally
from hub.store.streams import StreamState, save_stream, stream_state
from hub.sync.change_limits import acceptance_is_used, guard
from hub.sync.context import Channel, Hub
from hub.sync.freshness import request_refetch
from hub.sync.ingest.page import ingest
from hub.sync.ingest.stream_run import Ending, run_stream
from hub.sync.progress import Progress

#: Number of keys compared at once.
_KEYS = 2_000


def sweep(hub: Hub, connection: str, stream: str, *, progress: Progress | None = None) -> Tally:
    """Compares all keys in the remote system with all links, to find deletions and gaps.

    A deletion counts only if the sweep was complete and a fetch of the key confirms it.
    """
    channel = hub.connection(connection).channel(stream)

    def work(tally: Tally, show: Progress, _: StreamState) -> Ending:
        with KeySet() as present:
            for portion in channel.connector.keys(stream):
                present.add(portion)
                show.advance(f"{connection}.{stream}", len(portion))
            take_missing(hub, channel, present, tally=tally)
            if _wants_gaps(hub, channel):
                _ask_for_gaps(hub, channel, present)

        def ending(tx: Transaction) -> None:
            save_stream(tx, connection, stream, swept_at=hub.clock())
            acceptance_is_used(tx, connection, stream, kind="sweep")

        return ending

    return run_stream(hub, channel, "sweep", work, progress=progress)


def take_missing(hub: Hub, channel: Channel, present: KeySet, *, tally: Tally) -> None:
    """Fetches each linked record that a complete read did not show, and ingests the result."""
    connection, stream = channel.connection, channel.stream
    with hub.store.read() as tx:
        accepted = stream_state(tx, connection, stream).accepted
        linked = count_links(tx, connection, stream)
    if not accepted:
        _look_before(hub, channel, present, tally=tally, known=linked)
    for missing in _missing(hub, channel, present):
        page = channel.connector.fetch(stream, missing)

        def store_portion(tx: Transaction, page: Page = page) -> Tally:
            counted = tally.copy()
            ingest(hub, tx, channel, page=page, tally=counted)
            guard(hub, counted, known=linked, accepted=accepted)
            return counted

        tally.become(hub.store.transact(store_portion))


def _look_before(hub: Hub, channel: Channel, present: KeySet, *, tally: Tally, known: int) -> None:
    """Counts first if many records are missing, so that no part of a large deletion is stored.

    Raises: ChangeLimitError.
    """
    missing = sum(map(len, _missing(hub, channel, present)))
    if not exceeds_limit(tally.touched + missing, known, hub.limit):
        return
    counted = tally.copy()
    for keys in _missing(hub, channel, present):
        gone = len(channel.connector.fetch(channel.stream, keys).gone)
        counted.touched += gone
        counted.gone += gone
    guard(hub, counted, known=known, accepted=False)


def _missing(hub: Hub, channel: Channel, present: KeySet) -> Iterator[list[str]]:
    """Yields the keys of linked records that were not read, a batch at a time."""
    for keys in linked_keys(hub, channel):
        missing = present.without(keys)
        for start in range(0, len(missing), channel.facts.batch):
            yield missing[start : start + channel.facts.batch]


def linked_keys(hub: Hub, channel: Channel) -> Iterator[list[str]]:
    """Yields the keys of the living links of a stream, sorted, a portion at a time."""
    after = ""
    while True:
        with hub.store.read() as tx:
            keys = living_keys(tx, channel.connection, channel.stream, after=after, limit=_KEYS)
        if not keys:
            return
        yield keys
        after = keys[-1]


def _ask_for_gaps(hub: Hub, channel: Channel, present: KeySet) -> None:
    connection, stream = channel.connection, channel.stream
    for keys in present.portions(_KEYS):
        with hub.store.read() as tx:
            unknown = unknown_keys(tx, connection, stream, keys)
        if unknown:
            with hub.store.begin() as tx:
                notifications = [
                    request_refetch(connection, stream, key, why="gap") for key in unknown
                ]
                inbox.receive(tx, notifications, now=hub.clock())


def _wants_gaps(hub: Hub, channel: Channel) -> bool:
    allowed = hub.policy(channel.entity.name).imports
    return channel.mapping.imports and (allowed is None or channel.connection in allowed)
