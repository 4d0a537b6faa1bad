"""Creates that may have happened: what of a probe is ours, and what was met meanwhile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection as Transaction

from connectors.kit.contract import Record
from hub.store import merges, unheard
from hub.store.engine import lock_identities
from hub.store.links import links_by_golden, links_by_key
from hub.sync.changeset import Consequences
from hub.sync.context import Channel, Hub
from hub.sync.locking import hold
from hub.sync.merge.merging import merge_golden
from hub.sync.merge.primary import written_link


def found_there(tx: Transaction, channel: Channel, golden_ids: Sequence[str]) -> dict[str, str]:
    """Returns golden id -> why not to create it: it has a record over there by now, or may have.

    Nobody recognises one of them before the transaction ends.
    """
    if not golden_ids:
        return {}
    lock_identities(tx, channel.entity.name)
    merged = unheard.creates_of_merged(tx, channel.connection, channel.entity.name)
    into = merges.survivors(tx, merged).values() if merged else ()
    why = "whether what was merged into it has been created is looked at first"
    found = dict.fromkeys(into, why)
    links = links_by_golden(tx, golden_ids, connection=channel.connection)
    for golden_id, known in links.items():
        if written_link(known, channel) is not None:
            found[golden_id] = "was found there just before"
    return found


def ours_of(tx: Transaction, channel: Channel, made: Mapping[str, Record]) -> dict[str, str]:
    """Returns key -> golden id of what a probe found, without what has become another's record.

    A record that was created for one thing and merged over there lives on as that of another one.
    """
    keys = [record.key for record in made.values()]
    links = links_by_key(tx, channel.connection, channel.stream, keys)
    ours: dict[str, str] = {}
    for golden_id, record in made.items():
        link = links.get(record.key)
        taken = link is not None and link.golden_id not in (None, golden_id)
        if record.once in (None, golden_id) and not taken:
            ours.setdefault(record.key, golden_id)
    return ours


def join(hub: Hub, channel: Channel, golden_id: str, key: str, *, run: str) -> None:
    """Makes a golden record one with that of the record into which its own was merged over there.

    Where that record is not known yet, nothing happens.
    """

    def work(tx: Transaction) -> None:
        links, golden = hold(tx, channel.connection, channel.stream, [key], also=[golden_id])
        link = links.get(key)
        into = None if link is None else golden.get(link.golden_id or "")
        if into is None or into.id == golden_id or golden[golden_id].merged_into is not None:
            return
        then = Consequences(hub, run, hub.clock())
        why = f"what was created for it was merged into {channel.stream} {key} in"
        merge_golden(tx, golden_id, into.id, then=then, why=f"{why} {channel.connection}")
        then.store(tx)

    hub.store.transact(work)
