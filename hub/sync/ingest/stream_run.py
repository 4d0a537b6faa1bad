"""One run over a stream: leased, counted, and finished with a state.

What is read and how it is stored is up to the caller: see pull.py and sweep.py.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection as Transaction

from connectors.kit.errors import ConnectorError
from hub.model.recovery import Pause, Restart, recovery
from hub.store.connections import pause_reason
from hub.store.runs import Tally, save_run, start_run
from hub.store.streams import lease_stream, release_stream, save_stream, stream_state
from hub.sync.change_limits import ChangeLimitError
from hub.sync.context import Channel, Hub
from hub.sync.pauses import pause_connection, pause_stream
from hub.sync.progress import Progress, Silence


def run_stream(
    hub: Hub,
    channel: Channel,
    kind: str,
    work: Callable[[Tally, Progress], None],
    *,
    progress: Progress | None,
) -> Tally:
    """Runs `work` over a stream: leased, counted, and finished with a state."""
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
    except ChangeLimitError as surprise:
        pause_stream(hub, channel, str(surprise))
        _end(hub, tally, state="paused", reason=str(surprise))
    except ConnectorError as error:
        _fail(hub, channel, tally, error)
        raise
    else:
        wrong = None if tally.adds_up else "the counts of this run do not add up: please report it"
        _end(hub, tally, state="inconsistent" if wrong else "done", reason=wrong)
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


def _fail(hub: Hub, channel: Channel, tally: Tally, error: ConnectorError) -> None:
    if isinstance(recovery(error, attempts=0), Pause):
        pause_connection(hub, channel.connection, str(error))
    _end(hub, tally, state="failed", reason=str(error))


def _end(hub: Hub, tally: Tally, *, state: str, reason: str | None = None) -> None:
    with hub.store.begin() as tx:
        save_run(tx, tally, state=state, finished_at=hub.clock(), reason=reason)
