"""Sorts the merges of a page: which can be applied at once, and which need their survivor first.

A survivor without a link is usually just the new key of the old record. But it may also be a record
of another golden record, such as one that the hub created without getting an answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy import Connection as Transaction

from connectors.kit.contract import Merge, Page
from hub.store import merges
from hub.store.links import Link, links_by_key
from hub.sync.changeset import ChangeSet
from hub.sync.context import Channel
from hub.sync.freshness import request_refetch
from hub.sync.ingest.identity import identify
from hub.sync.ingest.read_record import ReadContext, ReadRecord


@dataclass(slots=True)
class SortedMerges:
    """The merges of a page."""

    #: Applied before the records of the page.
    now: list[Merge] = field(default_factory=list)
    #: Applied after them: the survivor is linked first, then two golden records are merged.
    later: list[Merge] = field(default_factory=list)
    #: Applied only when the survivor is read, which is not on this page.
    asked: list[Merge] = field(default_factory=list)


def sort_merges(tx: Transaction, context: ReadContext, page: Page) -> SortedMerges:
    """Sorts the merges of a page; a fetched page needs no further reads."""
    found, channel = SortedMerges(), context.channel
    if not page.merges:
        return found
    keys = {key for merge in page.merges for key in (merge.key, merge.into)}
    links = links_by_key(tx, channel.connection, channel.stream, keys)
    unknown = {merge.into for merge in page.merges if _alive(links, merge.key)} - links.keys()
    known = _recognised(tx, channel, page, unknown)
    on_page = {*page.gone, *(r.key for r in page.records), *(m.key for m in page.merges)}
    for merge in page.merges:
        if merge.into not in unknown or not _alive(links, merge.key):
            found.now.append(merge)
        elif known.get(merge.into, links[merge.key].golden_id) != links[merge.key].golden_id:
            found.later.append(merge)
        elif not context.origin.may_be_old or merge.into in on_page:
            found.now.append(merge)
        else:
            found.asked.append(merge)
    return found


def with_reported_merges(tx: Transaction, context: ReadContext, page: Page) -> Page:
    """Returns the page plus earlier reported merges into its records."""
    if not (context.pending.merges and page.records):
        return page
    stream = (context.channel.connection, context.channel.stream)
    reported = merges.reported(tx, *stream, [record.key for record in page.records])
    linked = links_by_key(tx, *stream, [key for key, _ in reported])
    alive = [Merge(*one) for one in dict.fromkeys(reported) if _alive(linked, one[0])]
    return replace(page, merges=[*page.merges, *(m for m in alive if m not in page.merges)])


def request_survivors(context: ReadContext, asked: Sequence[Merge], *, changes: ChangeSet) -> None:
    """Requests the survivors of these merges, so that both are read together."""
    if not asked:
        return
    context.tally.seen += len(asked)
    context.tally.skip("waits for the record it was merged into", len(asked))
    stream = (context.channel.connection, context.channel.stream)
    for merge in asked:
        changes.notify(request_refetch(*stream, merge.key, why="merge", into=merge.into))


def _alive(links: Mapping[str, Link], key: str) -> bool:
    return key in links and links[key].gone_at is None


def _recognised(
    tx: Transaction, channel: Channel, page: Page, unknown: set[str]
) -> Mapping[str, str]:
    """Returns {key: golden id} of unlinked survivors on this page that match a golden record."""
    read = [
        ReadRecord(record, channel.mapping.legible(record.payload), b"")
        for record in page.records
        if record.key in unknown
    ]
    return identify(tx, channel, read).known if read else {}
