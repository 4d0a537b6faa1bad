"""Merges a golden record into that of the survivor after its record was merged away."""

from __future__ import annotations

from sqlalchemy import Connection as Transaction

from hub.sync.changeset import ChangeSet
from hub.sync.context import Channel, Hub
from hub.sync.locking import lock_records
from hub.sync.merge.merging import merge_golden


def merge_into_survivor(hub: Hub, channel: Channel, golden_id: str, key: str, *, run: str) -> None:
    """Merges a golden record into that of the record into which its own record was merged.

    Does nothing while that record is unknown.
    """

    def work(tx: Transaction) -> None:
        stream = (channel.connection, channel.stream)
        links, golden = lock_records(tx, *stream, [key], also=[golden_id])
        link = links.get(key)
        into = None if link is None else golden.get(link.golden_id or "")
        if into is None or into.id == golden_id or golden[golden_id].merged_into is not None:
            return
        changes = ChangeSet(hub, run, hub.clock())
        why = f"the record created for it was merged into {channel.stream} {key} in"
        merge_golden(tx, golden_id, into.id, changes=changes, why=f"{why} {channel.connection}")
        changes.store(tx)

    hub.store.transact(work)
