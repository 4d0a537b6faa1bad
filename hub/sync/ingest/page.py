"""Takes a page in, one transaction a page: the eight steps, in order.

An unchanged record costs one comparison of digests and no write. One bad record is quarantined;
the page goes on. How many statements a page takes does not depend on its records: what changes is
collected in a ChangeSet and stored at once, but for merges, which are stored one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Connection as Transaction

from connectors.kit.contract import Merge, Page, Record
from hub.store import quarantine
from hub.store.runs import Tally
from hub.sync.change_limits import note_changes
from hub.sync.changeset import ChangeSet
from hub.sync.context import Channel, Hub
from hub.sync.ingest.deletions import apply_deletions, apply_merge, follow_unlinked_merges
from hub.sync.ingest.linking import link_others, lock_and_identify, observe_linked
from hub.sync.ingest.merge_order import request_survivors, sort_merges, with_reported_merges
from hub.sync.ingest.oscillation import pause_oscillations
from hub.sync.ingest.read_record import Origin, ReadContext, WrittenValues
from hub.sync.ingest.references import resolve_parents
from hub.sync.ingest.unchanged import translated, without_unchanged


def ingest(
    hub: Hub,
    tx: Transaction,
    channel: Channel,
    *,
    page: Page,
    tally: Tally,
    origin: Origin = Origin.FETCHED,
    written: Mapping[str, WrittenValues] | None = None,
) -> None:
    """Takes a page in that was read for this reason; `written` is what the hub wrote, by key."""
    pending = quarantine.pending(tx, channel.connection)
    policy, now = hub.policy(channel.entity.name), hub.clock()
    context = ReadContext(hub, channel, origin, tally, now, policy, pending, written or {})
    changes = ChangeSet(hub, tally.id, now)
    # 1. Merges: a survivor that is not known yet is read before its merge is taken.
    page = with_reported_merges(tx, context, page)
    merges = sort_merges(tx, context, page)
    _apply_merges(tx, context, merges.now, changes=changes)
    request_survivors(context, merges.asked, changes=changes)
    # 2. Deletions.
    if page.gone:
        apply_deletions(tx, context, page.gone, changes=changes)
    _store(tx, changes)
    # 3. to 7. Records.
    if page.records:
        _ingest_records(tx, context, page.records, changes=changes)
        _store(tx, changes)
    # 8. What could only be told with the records at hand.
    _apply_merges(tx, context, merges.later, changes=changes)
    if page.merges:
        follow_unlinked_merges(tx, channel, page, changes=changes)
        _store(tx, changes)
    if tally.kind != "push":  # what the hub itself has written or deleted is no surprise
        note_changes(hub, tx, tally)


def _ingest_records(
    tx: Transaction, context: ReadContext, found: Sequence[Record], *, changes: ChangeSet
) -> None:
    context.tally.seen += len(found)
    # 3. Unchanged records are left out.
    changed = without_unchanged(tx, context, found)
    # 4. The others are translated; what cannot be is quarantined.
    read = translated(context, changed, changes=changes)
    # 5. References become golden ids; a child of an unknown parent waits for it.
    read = resolve_parents(tx, context, read, changes=changes)
    if not read:
        return
    # 6. Who is who: links and golden records, locked.
    locked = lock_and_identify(tx, context, read, known=changed.known, changes=changes)
    # 7. Linked records are compared with what is known; the others are linked, or reviewed.
    observe_linked(context, locked, changes=changes)
    link_others(context, locked, changes=changes)


def _apply_merges(
    tx: Transaction, context: ReadContext, merges: Iterable[Merge], *, changes: ChangeSet
) -> None:
    for merge in merges:
        apply_merge(tx, context, merge, changes=changes)
        _store(tx, changes)


def _store(tx: Transaction, changes: ChangeSet) -> None:
    pause_oscillations(tx, changes)
    changes.store(tx)
