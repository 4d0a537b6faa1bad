"""Reads a stream page by page and takes each page in; sweeps keys for deletions and gaps.

The cursor is stored in the transaction that stored its page. A surprise is not obeyed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta

from sqlalchemy import Connection as Transaction

from connectors.kit.contract import Page
from connectors.kit.errors import ConnectorError
from hub.model.recovery import Pause, Restart, recovery
from hub.model.surprise import surprising
from hub.store import inbox
from hub.store.connections import pause_reason, save_connection
from hub.store.keyset import KeySet
from hub.store.links import count_links, living_keys, unknown_keys
from hub.store.runs import Tally, save_run, start_run
from hub.store.streams import StreamState, lease_stream, release_stream, save_stream, stream_state
from hub.sync.ahead import ahead
from hub.sync.hub import Channel, Hub
from hub.sync.intake import take_in
from hub.sync.progress import Progress, Silence
from hub.sync.sightings import look_again
from hub.sync.surprises import SurpriseError, accepted_has_happened, guard

#: A long read renews its lease so often.
_LEASE_RENEWAL = timedelta(minutes=1)
#: Keys that a sweep compares at once.
_KEYS = 2_000


def pull(hub: Hub, connection: str, stream: str, *, progress: Progress | None = None) -> Tally:
    """Reads what changed in a stream since its cursor, everything the first time.

    Raises: ConnectorError when the system does not answer; what was read before is kept.
    """
    channel = hub.connection(connection).channel(stream)

    def work(tally: Tally, show: Progress) -> None:
        with hub.store.read() as tx:
            state = stream_state(tx, connection, stream)
            known = count_links(tx, connection, stream)
        same_mapping = state.fingerprint == channel.mapping.fingerprint
        since = state.cursor if same_mapping else None
        anew = since is None
        if anew and known:
            # What was deleted before now does not show in a read of everything: were this one
            # broken off, only a sweep would find it.
            with hub.store.begin() as tx:
                save_stream(tx, connection, stream, swept_at=None)
        with KeySet() as met:
            for page in _stored(hub, channel, state, since, known=known, tally=tally, show=show):
                if anew and known:
                    met.add(record.key for record in page.records)
            if anew and known:
                _take_missing(hub, channel, met, tally=tally)
        with hub.store.begin() as tx:
            save_stream(tx, connection, stream, read_at=hub.clock())
            if anew:
                save_stream(tx, connection, stream, swept_at=hub.clock())
            accepted_has_happened(tx, connection, stream, kind="pull")

    return _run(hub, channel, "pull", work, progress=progress)


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
    """Reads a stream and takes it in; yields what is stored, with the cursor that it reached."""
    connection, stream = channel.connection, channel.stream
    leased_at = hub.clock()
    with closing(ahead(channel.connector.pages(stream, since))) as pages:
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


def sweep(hub: Hub, connection: str, stream: str, *, progress: Progress | None = None) -> Tally:
    """Compares all keys over there with all links: finds deletions and gaps.

    A deletion is believed only after the sweep was complete and a fetch of the key said so.
    """
    channel = hub.connection(connection).channel(stream)

    def work(tally: Tally, show: Progress) -> None:
        with KeySet() as present:
            for portion in channel.connector.keys(stream):
                present.add(portion)
                show.advance(f"{connection}.{stream}", len(portion))
            _take_missing(hub, channel, present, tally=tally)
            if _wants_gaps(hub, channel):
                _ask_for_gaps(hub, channel, present)
        with hub.store.begin() as tx:
            save_stream(tx, connection, stream, swept_at=hub.clock())
            accepted_has_happened(tx, connection, stream, kind="sweep")

    return _run(hub, channel, "sweep", work, progress=progress)


def _take_missing(hub: Hub, channel: Channel, present: KeySet, *, tally: Tally) -> None:
    """Asks for each linked record that a complete read has not met, and takes in what is so."""
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
            take_in(hub, tx, channel, page=page, tally=counted)
            guard(hub, counted, known=linked, accepted=accepted)
            return counted

        tally.become(hub.store.transact(store_portion))


def _look_before(hub: Hub, channel: Channel, present: KeySet, *, tally: Tally, known: int) -> None:
    """Counts first when many records are missing: none of a surprise is stored, not even a portion.

    Raises: SurpriseError.
    """
    missing = sum(map(len, _missing(hub, channel, present)))
    if not surprising(tally.touched + missing, known, hub.limit):
        return
    counted = tally.copy()
    for keys in _missing(hub, channel, present):
        gone = len(channel.connector.fetch(channel.stream, keys).gone)
        counted.touched += gone
        counted.gone += gone
    guard(hub, counted, known=known, accepted=False)


def _missing(hub: Hub, channel: Channel, present: KeySet) -> Iterator[list[str]]:
    """Yields the keys of linked records that are not present, a batch at a time."""
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
                nudges = [look_again(connection, stream, key, why="gap") for key in unknown]
                inbox.receive(tx, nudges, now=hub.clock())


def _wants_gaps(hub: Hub, channel: Channel) -> bool:
    adopt = hub.policy(channel.entity.name).adopt
    return channel.mapping.adopt and (adopt is None or channel.connection in adopt)


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
        start_run(tx, tally)
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
            release_stream(tx, connection, stream, worker=hub.worker)
        show.done(f"{connection}.{stream}")
    return tally


def _may_run(hub: Hub, tx: Transaction, channel: Channel) -> bool:
    connection, stream = channel.connection, channel.stream
    if pause_reason(tx, connection) is not None:
        return False
    if stream_state(tx, connection, stream).paused_at is not None:
        return False
    return lease_stream(tx, connection, stream, worker=hub.worker, now=hub.clock())


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
            save_stream(tx, channel.connection, channel.stream, cursor=None)
        work(tally, show)


def pause_stream(hub: Hub, channel: Channel, reason: str) -> None:
    """Stops a stream until a person resumes it."""
    with hub.store.begin() as tx:
        save_stream(tx, channel.connection, channel.stream, paused_at=hub.clock(), reason=reason)


def _fail(hub: Hub, channel: Channel, tally: Tally, error: ConnectorError) -> None:
    if isinstance(recovery(error, attempts=0), Pause):
        pause_connection(hub, channel.connection, str(error))
    _end(hub, tally, state="failed", reason=str(error))


def pause_connection(hub: Hub, connection: str, reason: str) -> None:
    """Stops a connection until a person resumes it."""
    with hub.store.begin() as tx:
        save_connection(tx, connection, paused_at=hub.clock(), reason=reason)


def _end(hub: Hub, tally: Tally, *, state: str, reason: str | None = None) -> None:
    with hub.store.begin() as tx:
        save_run(tx, tally, state=state, finished_at=hub.clock(), reason=reason)
