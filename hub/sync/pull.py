"""Reads a stream page by page and takes each page in; sweeps keys for deletions and gaps.

The cursor is stored in the transaction that stored its page. A surprise is not obeyed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta

from sqlalchemy import Connection as Transaction

from connectors.kit.contract import Page
from connectors.kit.errors import ConnectorError
from hub.model.recovery import Pause, Restart, recovery
from hub.model.surprise import surprising
from hub.store import progress as store
from hub.store import queues, records
from hub.store.progress import Tally
from hub.sync.ahead import ahead
from hub.sync.hub import Channel, Hub
from hub.sync.intake import take_in
from hub.sync.progress import Progress, Silence

#: A long read renews its lease so often.
_LEASE_RENEWAL = timedelta(minutes=1)


class SurpriseError(Exception):
    """The run would change more than its limit. Never leaves the run."""


def pull(hub: Hub, connection: str, stream: str, *, progress: Progress | None = None) -> Tally:
    """Reads what changed in a stream since its cursor, everything the first time.

    Raises: ConnectorError when the system does not answer; what was read before is kept.
    """
    channel = hub.connection(connection).channel(stream)

    def work(tally: Tally, show: Progress) -> None:
        with hub.store.read() as tx:
            state = store.stream_state(tx, connection, stream)
            known = records.count_links(tx, connection, stream)
        same_mapping = state.fingerprint == channel.mapping.fingerprint
        since = state.cursor if same_mapping else None
        anew = since is None
        #: Of a read of everything: what is there, because what is gone does not show.
        present: set[str] | None = set() if anew and known else None
        if present is not None:
            # Were this read broken off, only a sweep would find what is gone: sweep soon.
            with hub.store.begin() as tx:
                store.save_stream(tx, connection, stream, swept_at=None)
        leased_at = hub.clock()
        pages = ahead(channel.connector.pages(stream, since))
        for page in pages:
            if page.total is not None:
                show.start(f"{connection}.{stream}", page.total)
            # An old cursor must not pass for one earned with the present mapping.
            since = page.cursor or since

            def store_page(tx: Transaction, page: Page = page, since: str | None = since) -> Tally:
                counted = tally.copy()
                take_in(hub, tx, channel, page=page, tally=counted, fetched=False)
                guard(hub, counted, known=known, accepted=state.accepted)
                saved = {"fingerprint": channel.mapping.fingerprint, "cursor": since}
                store.save_stream(tx, connection, stream, **saved)
                store.save_run(tx, counted)
                return counted

            tally.become(hub.store.transact(store_page))
            if hub.clock() - leased_at > _LEASE_RENEWAL:
                leased_at = hub.clock()
                with hub.store.begin() as tx:
                    store.lease_stream(tx, connection, stream, worker=hub.worker, now=leased_at)
            show.advance(f"{connection}.{stream}", len(page.records))
            if present is not None:
                present.update(record.key for record in page.records)
        if present is not None:
            _find_gone(hub, channel, present, tally=tally)
        with hub.store.begin() as tx:
            store.save_stream(tx, connection, stream, read_at=hub.clock())
            if anew:
                store.save_stream(tx, connection, stream, swept_at=hub.clock())
            accepted_has_happened(tx, connection, stream, kind="pull")

    return _run(hub, channel, "pull", work, progress=progress)


def sweep(hub: Hub, connection: str, stream: str, *, progress: Progress | None = None) -> Tally:
    """Compares all keys over there with all links: finds deletions and gaps.

    A deletion is believed only after the sweep was complete and a fetch of the key said so.
    """
    channel = hub.connection(connection).channel(stream)

    def work(tally: Tally, show: Progress) -> None:
        present: set[str] = set()
        for portion in channel.connector.keys(stream):
            present.update(portion)
            show.advance(f"{connection}.{stream}", len(portion))
        known = _find_gone(hub, channel, present, tally=tally)
        with hub.store.begin() as tx:
            gaps = sorted(present - known) if _wants_gaps(hub, channel) else []
            queues.receive(tx, [_gap(connection, stream, key) for key in gaps], now=hub.clock())
            store.save_stream(tx, connection, stream, swept_at=hub.clock(), accepted=0)

    return _run(hub, channel, "sweep", work, progress=progress)


def _find_gone(hub: Hub, channel: Channel, present: set[str], *, tally: Tally) -> set[str]:
    """Asks for each linked record that is not present; returns the keys the hub knew before."""
    connection, stream = channel.connection, channel.stream
    with hub.store.read() as tx:
        accepted = store.stream_state(tx, connection, stream).accepted
        linked, known = records.all_keys(tx, connection, stream)
    for portion in _portions(sorted(linked - present), channel.facts.batch):
        page = channel.connector.fetch(stream, portion)

        def store_portion(tx: Transaction, page: Page = page) -> Tally:
            counted = tally.copy()
            take_in(hub, tx, channel, page=page, tally=counted)
            guard(hub, counted, known=len(linked), accepted=accepted)
            return counted

        tally.become(hub.store.transact(store_portion))
    return known


def _wants_gaps(hub: Hub, channel: Channel) -> bool:
    adopt = hub.policy(channel.entity.name).adopt
    return channel.mapping.adopt and (adopt is None or channel.connection in adopt)


def _gap(connection: str, stream: str, key: str) -> dict[str, object]:
    return {
        "connection": connection,
        "stream": stream,
        "key": key,
        "event_id": f"gap:{stream}:{key}"[:120],
        "merged_into": None,
    }


def _run(
    hub: Hub,
    channel: Channel,
    kind: str,
    work: Callable[[Tally, Progress], None],
    *,
    progress: Progress | None,
) -> Tally:
    """One run of a stream: leased, counted, and ended with a state that says how it went."""
    connection, stream = channel.connection, channel.stream
    tally = Tally(hub.fresh_id(), kind, connection, stream, hub.clock())
    show = progress or Silence()
    with hub.store.begin() as tx:
        if not _may_run(hub, tx, channel):
            return tally
        store.start_run(tx, tally)
    show.start(f"{connection}.{stream}", None)
    try:
        _work_once_more_after_restart(hub, channel, tally, work, show)
    except SurpriseError as surprise:
        pause_stream(hub, channel, str(surprise))
        _end(hub, tally, state="paused", reason=str(surprise))
    except ConnectorError as error:
        _fail(hub, channel, tally, error)
        raise
    else:
        red = None if tally.adds_up else "the counts of this run do not add up: please report it"
        _end(hub, tally, state="red" if red else "done", reason=red)
    finally:
        with hub.store.begin() as tx:
            store.release_stream(tx, connection, stream, worker=hub.worker)
        show.done(f"{connection}.{stream}")
    return tally


def _may_run(hub: Hub, tx: Transaction, channel: Channel) -> bool:
    connection, stream = channel.connection, channel.stream
    if store.paused(tx, connection) is not None:
        return False
    if store.stream_state(tx, connection, stream).paused_at is not None:
        return False
    return store.lease_stream(tx, connection, stream, worker=hub.worker, now=hub.clock())


def _work_once_more_after_restart(
    hub: Hub,
    channel: Channel,
    tally: Tally,
    work: Callable[[Tally, Progress], None],
    show: Progress,
) -> None:
    try:
        work(tally, show)
    except ConnectorError as error:
        if not isinstance(recovery(error, attempts=0), Restart):
            raise
        with hub.store.begin() as tx:
            store.save_stream(tx, channel.connection, channel.stream, cursor=None)
        work(tally, show)


def guard(hub: Hub, tally: Tally, *, known: int, accepted: bool) -> None:
    """Lets a page pass, or raises SurpriseError before it is stored."""
    if not accepted and surprising(tally.touched, known, hub.limit):
        raise SurpriseError(
            f"this run would change or delete more than {hub.limit.records} records and"
            f" {hub.limit.share:.0%} of {known}; look at {tally.connection}, then run"
            f" `tulay resume {tally.connection} {tally.stream} --accept`"
        )


def accepted_has_happened(tx: Transaction, connection: str, stream: str, *, kind: str) -> None:
    """Ends a person's consent to a surprise, when a run of the kind that asked has ended."""
    if store.stream_state(tx, connection, stream).accepted:
        asked = store.last_pause(tx, connection, stream)
        if asked is None or asked == kind:
            store.save_stream(tx, connection, stream, accepted=0)


def pause_stream(hub: Hub, channel: Channel, reason: str) -> None:
    """Stops a stream until a person resumes it."""
    with hub.store.begin() as tx:
        store.save_stream(
            tx, channel.connection, channel.stream, paused_at=hub.clock(), reason=reason
        )


def _fail(hub: Hub, channel: Channel, tally: Tally, error: ConnectorError) -> None:
    if isinstance(recovery(error, attempts=0), Pause):
        pause_connection(hub, channel.connection, str(error))
    _end(hub, tally, state="failed", reason=str(error))


def pause_connection(hub: Hub, connection: str, reason: str) -> None:
    """Stops a connection until a person resumes it."""
    with hub.store.begin() as tx:
        store.save_connection(tx, connection, paused_at=hub.clock(), reason=reason)


def _end(hub: Hub, tally: Tally, *, state: str, reason: str | None = None) -> None:
    with hub.store.begin() as tx:
        store.save_run(tx, tally, state=state, finished_at=hub.clock(), reason=reason)


def _portions(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (items[start : start + size] for start in range(0, len(items), size))
