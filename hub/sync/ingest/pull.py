"""Reads a stream page by page and ingests each page.

The cursor is stored in the transaction that stores its page. Changes over the limit are not stored.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

from sqlalchemy import Connection as Transaction

from connectors.kit.contract import Page
from hub.store.keyset import KeySet
from hub.store.links import count_links
from hub.store.runs import Tally, save_run
from hub.store.streams import StreamState, lease_stream, save_stream
from hub.sync.change_limits import acceptance_is_used, guard
from hub.sync.context import Channel, Hub
from hub.sync.ingest.page import ingest
from hub.sync.ingest.prefetch import ahead
from hub.sync.ingest.read_record import Origin
from hub.sync.ingest.stream_run import Ending, run_stream
from hub.sync.ingest.sweep import take_missing
from hub.sync.progress import Progress

#: How often a long read renews its lease.
_LEASE_RENEWAL = timedelta(minutes=1)


def pull(hub: Hub, connection: str, stream: str, *, progress: Progress | None = None) -> Tally:
    """Reads the changes of a stream since its cursor, or everything the first time.

    Raises: ConnectorError if the system does not answer; pages read before are kept.
    """
    channel = hub.connection(connection).channel(stream)

    def work(tally: Tally, show: Progress, state: StreamState) -> Ending:
        same_mapping = state.fingerprint == channel.mapping.fingerprint
        since = state.cursor if same_mapping else None
        known = _Known(hub, channel)
        compares = since is None and known.count() > 0
        if compares:
            # Earlier deletions do not show in a full read: if this one is interrupted, only a sweep
            # would find them.
            with hub.store.begin() as tx:
                save_stream(tx, connection, stream, swept_at=None)
        reached: dict[str, str | None] = {}
        with KeySet() as met:
            for page in _stored(hub, channel, state, since, known=known, tally=tally, show=show):
                # A cursor that was reached with another mapping must not be stored with this one.
                reached = {"fingerprint": channel.mapping.fingerprint, "cursor": page.cursor}
                if compares:
                    met.add(record.key for record in page.records)
            if compares:
                take_missing(hub, channel, met, tally=tally)

        def ending(tx: Transaction) -> None:
            save_stream(tx, connection, stream, read_at=hub.clock(), **reached)
            if since is None:
                save_stream(tx, connection, stream, swept_at=hub.clock())
            acceptance_is_used(tx, connection, stream, kind="pull")

        return ending

    return run_stream(hub, channel, "pull", work, progress=progress)


class _Known:
    """The number of linked records before a run, counted on first use."""

    def __init__(self, hub: Hub, channel: Channel) -> None:
        self._hub, self._channel = hub, channel
        self._count: int | None = None

    def count(self) -> int:
        """Returns the number."""
        if self._count is None:
            with self._hub.store.read() as tx:
                self._count = count_links(tx, self._channel.connection, self._channel.stream)
        return self._count


def _stored(
    hub: Hub,
    channel: Channel,
    state: StreamState,
    since: str | None,
    *,
    known: _Known,
    tally: Tally,
    show: Progress,
) -> Iterator[Page]:
    """Reads and ingests a stream; yields each page that was ingested, with the cursor reached."""
    connection, stream = channel.connection, channel.stream
    leased_at = hub.clock()
    with closing(ahead(channel.connector.pages(stream, since))) as pages:
        for read in pages:
            page = read if read.cursor else replace(read, cursor=since)
            since = page.cursor
            if page.total is not None:
                show.start(f"{connection}.{stream}", page.total)
            # The cursor of an empty page covers nothing unstored, so it is stored at the end.
            if page.records or page.gone or page.merges:
                _store_page(hub, channel, page, tally=tally, known=known.count(), state=state)
            if hub.clock() - leased_at > _LEASE_RENEWAL:
                leased_at = hub.clock()
                with hub.store.begin() as tx:
                    lease_stream(tx, connection, stream, worker=hub.worker, now=leased_at)
            show.advance(f"{connection}.{stream}", len(page.records))
            yield page


def _store_page(
    hub: Hub, channel: Channel, page: Page, *, tally: Tally, known: int, state: StreamState
) -> None:
    """Ingests a page; its cursor and the counts of the run are stored in the same transaction."""

    def store_page(tx: Transaction) -> Tally:
        counted = tally.copy()
        ingest(hub, tx, channel, page=page, tally=counted, origin=Origin.LISTED)
        guard(hub, counted, known=known, accepted=state.accepted)
        saved = {"fingerprint": channel.mapping.fingerprint, "cursor": page.cursor}
        save_stream(tx, channel.connection, channel.stream, **saved)
        save_run(tx, counted)
        return counted

    tally.become(hub.store.transact(store_page))
