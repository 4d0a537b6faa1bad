"""One run over a stream: leased, counted, and finished with a state.

What is read and how it is stored is up to the caller: see pull.py and sweep.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sqlalchemy import Connection as Transaction

from connectors.kit.errors import ConnectorError
from hub.model.recovery import Pause, Restart, recovery
from hub.store.connections import pause_reason
from hub.store.runs import Tally, save_run, start_run
from hub.store.streams import (
    StreamState,
    lease_stream,
    release_stream,
    save_stream,
    stream_state,
)
from hub.sync.change_limits import ChangeLimitError
from hub.sync.context import Channel, Hub
from hub.sync.pauses import pause_connection, pause_stream
from hub.sync.progress import Progress, Silence

#: Stored at the end of a successful run, in the same transaction.
Ending = Callable[[Transaction], None]
#: The work on a leased stream, given its state before the run.
StreamWork = Callable[[Tally, Progress, StreamState], Ending]


def run_stream(
    hub: Hub, channel: Channel, kind: str, work: StreamWork, *, progress: Progress | None
) -> Tally:
    """Runs `work` over a stream: leased, counted, and finished with a state.

    Beside what it stores itself, a run costs two transactions.
    """
    connection, stream = channel.connection, channel.stream
    tally = Tally(hub.fresh_id(), kind, connection, stream, hub.clock())
    show = progress or Silence()
    with hub.store.begin() as tx:
        state = _leased(hub, tx, channel)
        if state is None:
            return tally
        start_run(tx, tally)
    show.start(f"{connection}.{stream}", None)
    try:
        ending = _restarted_once(hub, channel, lambda found: work(tally, show, found), state)
    except ChangeLimitError as exceeded:
        pause_stream(hub, channel, str(exceeded))
        _end(hub, channel, tally, state="paused", reason=str(exceeded))
    except ConnectorError as error:
        if isinstance(recovery(error, attempts=0), Pause):
            pause_connection(hub, connection, str(error))
        _end(hub, channel, tally, state="failed", reason=str(error))
        raise
    except BaseException:
        with hub.store.begin() as tx:
            release_stream(tx, connection, stream, worker=hub.worker)
        raise
    else:
        wrong = None if tally.adds_up else "the counts of this run do not add up: please report it"
        end = "inconsistent" if wrong else "done"
        _end(hub, channel, tally, state=end, reason=wrong, ending=ending)
    finally:
        show.done(f"{connection}.{stream}")
    return tally


def _leased(hub: Hub, tx: Transaction, channel: Channel) -> StreamState | None:
    """Leases the stream and returns its state; None if it is paused or another process has it."""
    connection, stream = channel.connection, channel.stream
    if pause_reason(tx, connection) is not None:
        return None
    state = stream_state(tx, connection, stream)
    if state.paused_at is not None:
        return None
    mine = lease_stream(tx, connection, stream, worker=hub.worker, now=hub.clock())
    return state if mine else None


def _restarted_once(
    hub: Hub, channel: Channel, work: Callable[[StreamState], Ending], state: StreamState
) -> Ending:
    """Runs the work, and repeats it from the start of the stream if its cursor has expired."""
    try:
        return work(state)
    except ConnectorError as error:
        if not isinstance(recovery(error, attempts=0), Restart):
            raise
        with hub.store.begin() as tx:
            save_stream(tx, channel.connection, channel.stream, cursor=None)
        return work(replace(state, cursor=None))


def _end(
    hub: Hub,
    channel: Channel,
    tally: Tally,
    *,
    state: str,
    reason: str | None,
    ending: Ending | None = None,
) -> None:
    with hub.store.begin() as tx:
        if ending is not None:
            ending(tx)
        save_run(tx, tally, state=state, finished_at=hub.clock(), reason=reason)
        release_stream(tx, channel.connection, channel.stream, worker=hub.worker)
