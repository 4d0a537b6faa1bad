"""Records that are gone in the remote system, or were merged into another record there.

A deletion affects only its own link unless the policy says otherwise; a merge moves everything to
the survivor and keeps the history of both.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection as Transaction

from connectors.kit.contract import Merge, Page
from hub.flows.flow_input import derived_id
from hub.model.observe import Change
from hub.store.golden import Golden
from hub.store.links import Link, links_by_key
from hub.sync.changeset import ChangeSet
from hub.sync.context import Channel
from hub.sync.freshness import request_refetch
from hub.sync.ingest.read_record import ReadContext
from hub.sync.locking import lock_records
from hub.sync.merge.merging import as_shown, merge_golden
from hub.sync.merge.primary import (
    hand_over_primary,
    make_primary,
    next_primaries,
)


def apply_deletions(
    tx: Transaction, context: ReadContext, keys: Sequence[str], *, changes: ChangeSet
) -> None:
    """Marks records as gone; the policy decides whether that affects other connections."""
    channel, tally = context.channel, context.tally
    tally.seen += len(keys)
    tally.same += len(keys) - len(set(keys))  # the same key twice in one page
    keys = list(dict.fromkeys(keys))
    links, golden = lock_records(tx, channel.connection, channel.stream, keys)
    left = next_primaries(tx, channel, links)
    for key in keys:
        link = links.get(key)
        if link is None:
            # Keep its key, so that records that refer to it do not wait for ever.
            changes.linked(Link(channel.connection, channel.stream, key, None, gone_at=context.now))
            tally.skip("gone before it was known")
        elif link.gone_at is not None:
            tally.same += 1
        else:
            next_primary = left.get(link.golden_id or "") if link.is_primary else None
            owner = golden.get(link.golden_id or "")
            _unlink(channel, link, golden=owner, next_primary=next_primary, changes=changes)
            if next_primary is not None:
                hand_over_primary(link, next_primary, changes=changes)
                changes.enqueue_children(str(next_primary.golden_id), [channel.connection])
            tally.changed += 1
            tally.touch(key, "gone")
    changes.resolve((channel.connection, channel.stream), keys)


def _unlink(
    channel: Channel,
    link: Link,
    *,
    golden: Golden | None,
    next_primary: Link | None,
    changes: ChangeSet,
) -> None:
    link.gone_at, link.digest = changes.now, None
    changes.link_changed(link)
    if golden is None:
        return
    if next_primary is not None:
        changes.enqueue(channel.connection, golden)
    policy = changes.hub.policy(golden.entity)
    propagate = policy.delete == "propagate" and link.is_primary and next_primary is None
    why = f"deleted in {channel.connection}; policy delete: {policy.delete}"
    if next_primary is not None:
        why = f"deleted in {channel.connection}, where {next_primary.key} is left of it"
    gone = Change("(record)", link.key, None, "taken", why)
    changes.history(golden.id, [gone], connection=channel.connection)
    if propagate:
        golden.deleted_at = changes.now
        changes.touch(golden)
        changes.enqueue_everywhere(golden, but=channel.connection)


def apply_merge(tx: Transaction, context: ReadContext, merge: Merge, *, changes: ChangeSet) -> None:
    """Moves the link of a merged record to the survivor."""
    channel, tally = context.channel, context.tally
    tally.seen += 1
    links, _ = lock_records(tx, channel.connection, channel.stream, [merge.key, merge.into])
    old, into = links.get(merge.key), links.get(merge.into)
    if old is None or old.gone_at is not None or merge.key == merge.into:
        tally.same += 1
        return
    tally.changed += 1
    tally.touch(merge.key, "gone")
    if into is None:
        # The time of the old record tells nothing about the age of the survivor.
        old.key, old.digest, old.modified_at = merge.into, None, None
        changes.link_changed(old)
        changes.identified((channel.connection, channel.stream), merge.into)
        _leave_trace(channel, merge.key, survivor=old, changes=changes)
        return
    was_primary = old.is_primary
    old.gone_at, old.digest, old.is_primary = context.now, None, False
    changes.link_changed(old)
    if was_primary and old.golden_id and old.golden_id == into.golden_id:
        make_primary(tx, into, changes=changes)
    elif old.golden_id and into.golden_id and old.golden_id != into.golden_id:
        changes.store(tx)  # merging reads the links from the store again
        why = f"{channel.stream} {merge.key} was merged into {merge.into} in {channel.connection}"
        shown = as_shown(tx, old, into)
        merge_golden(tx, old.golden_id, into.golden_id, changes=changes, why=why, shown_as=shown)


def follow_unlinked_merges(
    tx: Transaction, channel: Channel, page: Page, *, changes: ChangeSet
) -> None:
    """Handles records that were merged away before they were linked.

    Their quarantine entries and reviews end. Their keys stand for the survivor from now on; an
    unknown survivor is requested, and the records that refer to them are retried.
    """
    connection, stream = channel.connection, channel.stream
    into = {merge.key: merge.into for merge in page.merges if merge.key != merge.into}
    changes.resolve((connection, stream), into)
    links = links_by_key(tx, connection, stream, [*into, *into.values()])
    on_page = {record.key for record in page.records}
    for key in (key for key in into if key not in links):
        survivor = links.get(into[key])
        if survivor is not None:
            _leave_trace(channel, key, survivor=survivor, changes=changes)
        elif into[key] not in on_page:
            changes.notify(request_refetch(connection, stream, into[key]))
        changes.resume(derived_id(connection, stream, key))


def _leave_trace(channel: Channel, key: str, *, survivor: Link, changes: ChangeSet) -> None:
    """Keeps the old key as an alias of the survivor, for children and for outdated pages."""
    trace = Link(channel.connection, channel.stream, key, survivor.golden_id)
    trace.is_primary, trace.gone_at = False, changes.now
    changes.linked(trace)
