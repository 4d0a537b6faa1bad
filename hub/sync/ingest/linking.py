"""Finds and locks the link and the golden record of each record; links the ones that have none.

A record without a link joins a golden record, starts a new one, or waits for a review.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection as Transaction

from hub.model.state import LinkState
from hub.store import in_doubt
from hub.store.conflicts import open_paths
from hub.store.engine import lock_identities
from hub.store.golden import Golden
from hub.store.links import Link, links_by_key
from hub.sync.changeset import ChangeSet, new_golden
from hub.sync.freshness import is_older
from hub.sync.ingest.identity import IdentityMatches, identify_unlinked
from hub.sync.ingest.observing import Observed, note_read, observe_record, refetch, welcome
from hub.sync.ingest.read_record import ReadContext, ReadRecord
from hub.sync.locking import lock_records
from hub.sync.merge.primary import siblings
from mappings.canonical.values import Values


@dataclass(frozen=True, slots=True)
class Locked:
    """The records of a page with their links and golden records, locked for the transaction."""

    linked: Sequence[ReadRecord]
    unlinked: Sequence[ReadRecord]
    #: By key; unlinked records may have an empty link.
    links: Mapping[str, Link]
    golden: Mapping[str, Golden]
    identities: IdentityMatches
    #: Golden id -> its links, where a secondary that was gone may be restored.
    siblings: Mapping[str, Sequence[Link]]
    #: Link id -> paths with an open conflict.
    conflicts: Mapping[int, frozenset[str]]
    #: Key -> an update in doubt: the values that were sent, which are not news.
    in_doubt: Mapping[str, Values]

    def siblings_of(self, golden: Golden) -> list[Link]:
        """Returns the links of a golden record in their current state on this page."""
        return [self.links.get(n.key, n) for n in self.siblings.get(golden.id, ())]

    def is_restored(self, golden: Golden) -> bool:
        """Returns True if this page holds a living primary record of the golden record."""
        return any(
            n.golden_id == golden.id and n.gone_at is None and n.is_primary
            for n in self.links.values()
        )


def lock_and_identify(
    tx: Transaction,
    context: ReadContext,
    read: Sequence[ReadRecord],
    *,
    known: frozenset[str],
    changes: ChangeSet,
) -> Locked:
    """Returns the records with their links and golden records, locked; `known` keys have a link.

    If a golden record is merged while this process waits for its lock, the search is repeated.
    """
    channel = context.channel
    stream = (channel.connection, channel.stream)
    links = links_by_key(tx, *stream, [one.key for one in read if one.key in known])
    links |= _linked_meanwhile(tx, context, [one.key for one in read if one.key not in links])
    linked, unlinked = _parted(context, read, links, changes=changes)
    keys = [one.key for one in linked]
    while True:
        identities = identify_unlinked(tx, context, unlinked)
        ids = identities.known.values()
        before = {key: links[key] for key in keys}
        held, golden = lock_records(tx, *stream, keys, known=before, also=ids)
        if not any(golden[i].merged_into for i in ids if i in golden):
            links |= held
            break
    stored = [link.id for link in links.values() if link.id is not None]
    return Locked(
        linked,
        unlinked,
        links,
        golden,
        identities,
        siblings(tx, channel, links, identities.known),
        open_paths(tx, stored) if stored else {},
        _lost_updates(tx, context, linked, links, changes=changes),
    )


def _linked_meanwhile(
    tx: Transaction, context: ReadContext, unlinked: Sequence[str]
) -> dict[str, Link]:
    """Returns links that another worker has just made, after waiting for it."""
    if not unlinked or context.hub.store.embedded:  # there only one transaction writes
        return {}
    channel = context.channel
    lock_identities(tx, channel.entity.name)
    return links_by_key(tx, channel.connection, channel.stream, unlinked)


def _parted(
    context: ReadContext,
    read: Iterable[ReadRecord],
    links: Mapping[str, Link],
    *,
    changes: ChangeSet,
) -> tuple[list[ReadRecord], list[ReadRecord]]:
    """Separates linked from unlinked records; one that may be gone by now is requested instead."""
    linked, unlinked = [], []
    for one in read:
        link = links.get(one.key)
        if link is not None and link.golden_id is not None:
            linked.append(one)
        elif link is not None and context.origin.may_be_old and link.gone_at is not None:
            refetch(context, one, link, changes=changes)
        else:
            unlinked.append(one)
    return linked, unlinked


def _lost_updates(
    tx: Transaction,
    context: ReadContext,
    linked: Sequence[ReadRecord],
    links: Mapping[str, Link],
    *,
    changes: ChangeSet,
) -> dict[str, Values]:
    """Returns {key: values} of updates in doubt for the records just seen, and confirms them."""
    current = [links[one.key] for one in linked if not is_older(one.record, links[one.key])]
    keys = {str(link.golden_id): link.key for link in current if link.is_primary}
    if not keys:
        return {}
    sent = in_doubt.updates(tx, context.channel.connection, keys)
    if sent:
        changes.confirm(context.channel.connection, sent)
    return {keys[golden_id]: values for golden_id, values in sent.items()}


def observe_linked(context: ReadContext, locked: Locked, *, changes: ChangeSet) -> None:
    """Compares each linked record with its link and golden record."""
    for read in locked.linked:
        link = locked.links[read.key]
        golden = locked.golden[str(link.golden_id)]
        observed = Observed(
            read,
            link,
            golden,
            conflicts=locked.conflicts.get(link.id or 0, frozenset()),
            written=context.written.get(read.key),
            in_doubt=locked.in_doubt.get(read.key),
            siblings=locked.siblings_of(golden),
        )
        observe_record(context, observed, changes=changes)


def link_others(context: ReadContext, locked: Locked, *, changes: ChangeSet) -> None:
    """Links each unlinked record to an existing or a new golden record, or opens a review."""
    found, channel = locked.identities, context.channel
    for read in locked.unlinked:
        golden = locked.golden.get(found.known.get(read.key, ""))
        if read.key in found.unclear:
            _ask(context, read, found, changes=changes)
        elif golden is None and not context.imports:
            context.tally.skip("imports are off for this stream")
        else:
            empty = Link(channel.connection, channel.stream, read.key, None)
            link = locked.links.get(read.key, empty)
            if golden is None:
                _start(context, read, link, found=found, changes=changes)
            else:
                _join(context, read, link, golden=golden, locked=locked, changes=changes)
            welcome(context, read.key, changes=changes)


def _join(
    context: ReadContext,
    read: ReadRecord,
    link: Link,
    *,
    golden: Golden,
    locked: Locked,
    changes: ChangeSet,
) -> None:
    """Links the record to an existing golden record, as primary or as secondary."""
    found = locked.identities
    follows_gone = golden.id in found.gone_before
    restored = follows_gone and locked.is_restored(golden)
    link.golden_id = golden.id
    if read.key in found.secondary or restored:
        link.is_primary = False
    elif follows_gone:
        changes.vacate((link.connection, link.stream), golden.id)
    observed = Observed(
        read,
        link,
        golden,
        written=context.written.get(read.key) or found.recalled.get(read.key),
        in_doubt=found.in_doubt.get(read.key),
        created=read.key in found.created,
        follows_gone=follows_gone,
        siblings=locked.siblings_of(golden),
    )
    observe_record(context, observed, changes=changes)


def _start(
    context: ReadContext,
    read: ReadRecord,
    link: Link,
    *,
    found: IdentityMatches,
    changes: ChangeSet,
) -> None:
    """Starts a new golden record with this record."""
    golden = new_golden(
        context.hub,
        context.channel.entity.name,
        read.values,
        origin=link.connection,
        run=context.tally.id,
        now=context.now,
    )
    link.golden_id = golden.id
    link.state = LinkState(dict(golden.values))
    note_read(link, read, changes=changes)
    changes.born(golden, found.prints.get(read.key))
    context.tally.changed += 1


def _ask(
    context: ReadContext, read: ReadRecord, found: IdentityMatches, *, changes: ChangeSet
) -> None:
    """Opens a review; nothing is linked or created until a person has decided."""
    channel, unclear = context.channel, found.unclear[read.key]
    context.tally.skip("under review")
    changes.review(
        (channel.connection, channel.stream, read.key),
        entity=channel.entity.name,
        title=channel.mapping.describe(read.values),
        candidates=unclear.ids,
        reason=unclear.reason,
        prints=[one.value for one in found.prints[read.key] if one.strong],
    )
