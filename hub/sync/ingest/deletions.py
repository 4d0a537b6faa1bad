"""Records that are gone over there, or were merged into another one.

A deletion touches only its own link unless policy says otherwise; a merge moves everything to the
survivor and keeps the history of both.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection as Transaction

from connectors.kit.contract import Merge, Page
from hub.flows.facts import derived_id
from hub.model.observe import Change
from hub.model.state import LinkState
from hub.model.want import settle_unheard
from hub.store import aside, inbox, quarantine, unheard
from hub.store.golden import Golden
from hub.store.links import Link, add_links, change_links, links_by_key
from hub.store.reviews import drop_reviews
from hub.store.runs import Tally
from hub.sync.changeset import Consequences
from hub.sync.context import Channel
from hub.sync.freshness import look_again
from hub.sync.locking import hold
from hub.sync.merge.merging import merge_golden, tell_children
from hub.sync.merge.primary import heirs, leave_to, write_to


def take_gone(
    tx: Transaction,
    channel: Channel,
    keys: Sequence[str],
    *,
    then: Consequences,
    tally: Tally,
) -> None:
    """Notes that records are gone; what that does to the other side is for policy to say."""
    tally.same += len(keys) - len(set(keys))  # the same key twice in one page
    keys = list(dict.fromkeys(keys))
    links, golden = hold(tx, channel.connection, channel.stream, keys)
    left = heirs(tx, channel, links)
    for key in keys:
        link = links.get(key)
        if link is None:
            # Whoever refers to it must not wait for ever.
            then.linked(Link(channel.connection, channel.stream, key, None, gone_at=then.now))
            tally.skip("gone before it was known")
        elif link.gone_at is not None:
            tally.same += 1
        else:
            heir = left.get(link.golden_id or "") if link.spare == 0 else None
            _leave(channel, link, golden.get(link.golden_id or ""), heir, then=then)
            if heir is not None:
                leave_to(tx, link, heir, then=then)
                tell_children(tx, str(heir.golden_id), [channel.connection], then=then)
            tally.changed += 1
            tally.touch(key, "gone")
    _end_waiting(tx, channel, keys)


def _end_waiting(tx: Transaction, channel: Channel, keys: Sequence[str]) -> None:
    """What is no longer there is neither set aside nor under review."""
    place = (channel.connection, channel.stream)
    quarantine.resolve(tx, "pull", channel.connection, stream=channel.stream, keys=keys)
    drop_reviews(tx, *place, keys)
    aside.forget(tx, *place, keys)


def _leave(
    channel: Channel,
    link: Link,
    golden: Golden | None,
    heir: Link | None,
    *,
    then: Consequences,
) -> None:
    link.gone_at, link.digest = then.now, None
    then.link_changed(link)
    if golden is None:
        return
    policy = then.hub.policy(golden.entity)
    propagate = policy.delete == "propagate" and link.spare == 0 and heir is None
    why = f"deleted in {channel.connection}; policy delete: {policy.delete}"
    if heir is not None:
        why = f"deleted in {channel.connection}, where {heir.key} is left of it"
    then.history(
        golden.id,
        [Change("(record)", link.key, None, "taken", why)],
        connection=channel.connection,
    )
    if propagate:
        golden.deleted_at = then.now
        then.touch(golden)
        for name, connection in then.hub.connections.items():
            if name != channel.connection and connection.has(golden.entity):
                then.wish(name, golden)


def take_merge(
    tx: Transaction, channel: Channel, merge: Merge, *, then: Consequences, tally: Tally
) -> None:
    """Lets the link of a merged record follow the survivor."""
    links, _ = hold(tx, channel.connection, channel.stream, [merge.key, merge.into])
    old, into = links.get(merge.key), links.get(merge.into)
    if old is None or old.gone_at is not None or merge.key == merge.into:
        tally.same += 1
        return
    tally.changed += 1
    tally.touch(merge.key, "gone")
    if into is None:
        # What was known of the old record says nothing about the age of the survivor.
        old.key, old.digest, old.modified_at = merge.into, None, None
        change_links(tx, [old])
        _leave_trace(tx, channel, merge.key, survivor=old, now=then.now)
        return
    written = old.spare == 0
    old.gone_at, old.digest, old.spare = then.now, None, old.id or 0
    change_links(tx, [old])
    if written and old.golden_id and old.golden_id == into.golden_id:
        write_to(tx, into, then=then)
    elif old.golden_id and into.golden_id and old.golden_id != into.golden_id:
        why = f"{channel.stream} {merge.key} was merged into {merge.into} in {channel.connection}"
        shown = _as_shown(tx, old, into)
        merge_golden(tx, old.golden_id, into.golden_id, then=then, why=why, shown_as=shown)


def _as_shown(tx: Transaction, old: Link, into: Link) -> LinkState:
    """Returns how a system spells the old record, an update whose answer was lost included."""
    golden_id = str(old.golden_id)
    sent = unheard.updates(tx, old.connection, [golden_id]).get(golden_id)
    return settle_unheard(old.state, sent, into.state.seen) if sent else old.state


def follow_strangers(tx: Transaction, channel: Channel, page: Page, *, now: datetime) -> None:
    """Ends what waits for records that were merged away before they were known.

    Letters and reviews about them are over. Their keys go on meaning the survivor; one that is not
    known either is asked for, and what refers to them tries again.
    """
    connection, stream = channel.connection, channel.stream
    into = {merge.key: merge.into for merge in page.merges if merge.key != merge.into}
    _end_waiting(tx, channel, list(into))
    links = links_by_key(tx, connection, stream, [*into, *into.values()])
    strangers = [key for key in into if key not in links]
    there = {record.key for record in page.records}
    for key in strangers:
        survivor = links.get(into[key])
        if survivor is not None:
            _leave_trace(tx, channel, key, survivor=survivor, now=now)
        elif into[key] not in there:
            inbox.receive(tx, [look_again(connection, stream, into[key])], now=now)
    if strangers:
        quarantine.resume_waiting(
            tx, [derived_id(connection, stream, key) for key in strangers], now=now
        )


def _leave_trace(
    tx: Transaction, channel: Channel, key: str, *, survivor: Link, now: datetime
) -> None:
    """The old key goes on meaning the survivor, for children and for pages that are old news."""
    trace = Link(channel.connection, channel.stream, key, None, gone_at=now)
    add_links(tx, [trace])
    stored = links_by_key(tx, channel.connection, channel.stream, [key])[key]
    stored.golden_id, stored.spare = survivor.golden_id, stored.id or 0
    change_links(tx, [stored])
