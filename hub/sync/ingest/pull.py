"""Reads a stream page by page and ingests each page.

The cursor is stored in the transaction that stores its page. Changes over the limit are not stored.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta

from sqlalchemy import Connection as Transaction

from connectors.kit.contract import Page
from hub.store.keyset import KeySet
from hub.store.links import count_links
from hub.store.runs import Tally, save_run
from hub.store.streams import StreamState, lease_stream, save_stream, stream_state
from hub.sync.change_limits import acceptance_is_used, guard
from hub.sync.context import Channel, Hub
from hub.sync.ingest.page import ingest
from hub.sync.ingest.prefetch import ahead
from hub.sync.ingest.read_record import Origin
from hub.sync.ingest.stream_run import run_stream
from hub.sync.ingest.sweep import take_missing
from hub.sync.progress import Progress

#: How often a long read renews its lease.
_LEASE_RENEWAL = timedelta(minutes=1)


def pull(hub: Hub, connection: str, stream: str, *, progress: Progress | None = None) -> Tally:
    """Reads the changes of a stream since its cursor, or everything the first time.

    Raises: ConnectorError if the system does not answer; pages read before are kept.
    """
    channel = hub.connection(connection).channel(stream)

    def work(tally: Tally, show: Progress) -> None:
        with hub.store.read() as tx:
            state = stream_state(tx, connection, stream)
            known = count_links(tx, connection, stream)
        same_mapping = state.fingerprint == channel.mapping.fingerprint
        since = state.cursor if same_mapping else None
        from_start = since is None
        if from_start and known:
            # Earlier deletions do not show in a full read: if this one is interrupted, only a sweep
            # would find them.
            with hub.store.begin() as tx:
                save_stream(tx, connection, stream, swept_at=None)
        with KeySet() as met:
            for page in _stored(hub, channel, state, since, known=known, tally=tally, show=show):
                if from_start and known:
                    met.add(record.key for record in page.records)
            if from_start and known:
                take_missing(hub, channel, met, tally=tally)
        with hub.store.begin() as tx:
            save_stream(tx, connection, stream, read_at=hub.clock())
            if from_start:
                save_stream(tx, connection, stream, swept_at=hub.clock())
            acceptance_is_used(tx, connection, stream, kind="pull")

    return run_stream(hub, channel, "pull", work, progress=progress)


def _stored(
    hub: Hub,
    channel: Channel,
    state: StreamState,
    since: str | None,
    *,
    known: int,
    tally: Tally,
    show: Progress,
) -> Iterator[Page]:
    """Reads and ingests a stream; yields each stored page, with the cursor reached."""
    connection, stream = channel.connection, channel.stream
    leased_at = hub.clock()
    with closing(ahead(channel.connector.pages(stream, since))) as pages:
        for page in pages:
            if page.total is not None:
                show.start(f"{connection}.{stream}", page.total)
            # A cursor that was reached with another mapping must not be stored with this one.
            since = page.cursor or since

            def store_page(tx: Transaction, page: Page = page, since: str | None = since) -> Tally:
                counted = tally.copy()
                ingest(hub, tx, channel, page=page, tally=counted, origin=Origin.LISTED)
                guard(hub, counted, known=known, accepted=state.accepted)
                saved = {"fingerprint": channel.mapping.fingerprint, "cursor": since}
                save_stream(tx, connection, stream, **saved)
                save_run(tx, counted)
                return counted

            tally.become(hub.store.transact(store_page))
            if hub.clock() - leased_at > _LEASE_RENEWAL:
                leased_at = hub.clock()
                with hub.store.begin() as tx:
                    lease_stream(tx, connection, stream, worker=hub.worker, now=leased_at)
            show.advance(f"{connection}.{stream}", len(page.records))
            yield page
