"""Ingests a page in one transaction: the eight steps, in order.

An unchanged record costs one comparison of digests and no write. A bad record is quarantined and
the page continues. The number of statements does not depend on the number of records: changes are
collected in a ChangeSet and stored at once, except for merges, which are stored one by one.
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
from hub.sync.ingest.parents import resolve_parents
from hub.sync.ingest.read_record import Origin, ReadContext, WrittenValues
from hub.sync.ingest.unchanged import translated, without_unchanged
from hub.sync.record_log import log_ingested


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
    """Ingests a page that was read for the reason `origin`; `written` is what the hub wrote."""
    pending = quarantine.pending(tx, channel.connection)
    policy, now = hub.policy(channel.entity.name), hub.clock()
    context = ReadContext(hub, channel, origin, tally, now, policy, pending, written or {})
    changes = ChangeSet(hub, tally.id, now)
    # 1. Merges: an unknown survivor is read before its merge is applied.
    page = with_reported_merges(tx, context, page)
    merges = sort_merges(tx, context, page)
    _apply_merges(tx, context, merges.now, changes=changes)
    request_survivors(context, merges.asked, changes=changes)
    # 2. Deletions.
    if page.gone:
        apply_deletions(tx, context, page.gone, changes=changes)
    _store(tx, changes)
    # 3. to 7. Records, see _ingest_records.
    if page.records:
        _ingest_records(tx, context, page.records, changes=changes)
        _store(tx, changes)
    # 8. Merges whose survivors had to be linked first.
    _apply_merges(tx, context, merges.later, changes=changes)
    if page.merges:
        follow_unlinked_merges(tx, channel, page, changes=changes)
        _store(tx, changes)
    if tally.kind != "push":  # the hub's own writes do not count towards the change limit
        note_changes(hub, tx, tally)


def _ingest_records(
    tx: Transaction, context: ReadContext, found: Sequence[Record], *, changes: ChangeSet
) -> None:
    context.tally.seen += len(found)
    # 3. Unchanged records are skipped.
    changed = without_unchanged(tx, context, found)
    # 4. The others are translated; those that cannot be are quarantined.
    read = translated(context, changed, changes=changes)
    # 5. References become golden ids; a record with an unknown parent waits for it.
    read = resolve_parents(tx, context, read, changes=changes)
    if not read:
        return
    # 6. Identity: links and golden records are found and locked.
    locked = lock_and_identify(tx, context, read, known=changed.known, changes=changes)
    # 7. Linked records are compared with what is known; the others are linked or reviewed.
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
    log_ingested(changes.effects)
    changes.store(tx)
