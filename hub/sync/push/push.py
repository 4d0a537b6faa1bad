"""Writes to a connection what it lacks: leases outbox entries in batches until none is due.

The values are computed when they are written; see batch.py.
"""

from __future__ import annotations

from hub.store import outbox
from hub.store.connections import pause_reason
from hub.store.outbox import OutboxEntry
from hub.store.runs import Tally, save_run, start_run
from hub.sync.change_limits import deletions_are_done
from hub.sync.context import Connection, Hub
from hub.sync.progress import Progress, Silence
from hub.sync.push.batch import push_batch
from hub.sync.push.batch_log import log_batch
from hub.sync.push.job import Batch

#: Number of entries per lease; a connector's batch may be smaller.
_BATCH = 100
#: A push processes up to three times the entries that are due at its start, plus these.
_MORE = 1000


def push(hub: Hub, connection: str, *, progress: Progress | None = None) -> Tally:
    """Writes what is wanted in a connection until nothing is due.

    If writing makes ever more entries due, as with a system that never shows what was written, the
    push ends at a bound; the next one continues.

    Raises: ConnectorError if the system does not answer; every entry is kept.
    """
    target = hub.connection(connection)
    tally = Tally(hub.fresh_id(), "push", connection, "", hub.clock())
    show = progress or Silence()
    show.start(f"to {connection}", None)
    with hub.store.read() as tx:
        left = 3 * outbox.due_in(tx, connection, now=tally.started_at) + _MORE
    try:
        while left > 0 and (entries := _lease(hub, target)):
            left -= len(entries)
            batch = Batch(hub, target, tally, {entry.id: entry for entry in entries})
            try:
                push_batch(batch)
            finally:
                log_batch(batch)
            show.advance(f"to {connection}", len(entries))
        deletions_are_done(hub, connection)
    finally:
        show.done(f"to {connection}")
        if tally.written or tally.quarantined:
            with hub.store.begin() as tx:
                start_run(tx, tally)
                save_run(tx, tally, state="done", finished_at=hub.clock())
    return tally


def _lease(hub: Hub, target: Connection) -> list[OutboxEntry]:
    with hub.store.begin() as tx:
        if pause_reason(tx, target.name) is not None:
            return []
        return outbox.lease(
            tx,
            target.name,
            entities=list(hub.entities),
            worker=hub.worker,
            now=hub.clock(),
            limit=_BATCH,
        )
