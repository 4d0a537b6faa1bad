"""Records that are gone over there, or were merged into another one.

A deletion touches only its own link unless policy says otherwise; a merge moves everything to the
survivor and keeps the history of both.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import Connection as Transaction

from connectors.kit.contract import Merge, Page
from hub.flows.facts import derived_id
from hub.model.observe import Change
from hub.model.state import LinkState
from hub.model.want import settle_unheard
from hub.store import aside, history, inbox, outbox, quarantine, unheard
from hub.store.conflicts import move_conflicts
from hub.store.golden import Golden, load_golden
from hub.store.links import Link, add_links, change_links, links_by_golden, links_by_key
from hub.store.references import referring
from hub.store.reviews import drop_reviews
from hub.store.runs import Tally
from hub.sync.consequences import Consequences
from hub.sync.hold import hold
from hub.sync.hub import Channel
from hub.sync.places import heirs, leave_to, write_to
from hub.sync.sightings import look_again
from hub.sync.split import remember_before
from mappings.canonical.values import Values


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


def merge_golden(
    tx: Transaction,
    loser_id: str,
    winner_id: str,
    *,
    then: Consequences,
    why: str,
    shown_as: LinkState | None = None,
) -> None:
    """Merges two golden records: the winner keeps its values and fills its blanks.

    What it only has as the merging system spells the loser's value (`shown_as`) is the loser's: the
    third record that some systems make of two is a copy of what they show.
    """
    golden = load_golden(tx, [loser_id, winner_id], lock=True)
    loser, winner = golden[loser_id], golden[winner_id]
    gained = {p: v for p, v in loser.values.items() if winner.values.get(p) is None}
    remember_before(tx, loser, winner, gained=gained, why=why, now=then.now)
    if shown_as is not None:
        gained |= _spelt_out(loser, winner, shown_as)
    lost = [
        Change(path, value, winner.values[path], "superseded", why)
        for path, value in loser.values.items()
        if path not in gained and winner.values[path] != value
    ]
    origin = loser.origin
    then.history(winner_id, lost, connection=origin)
    then.set_values(winner, gained, origin=origin, at=None)
    loser.merged_into = winner_id
    then.touch(loser)
    then.forget(loser)
    unheard.inherit(tx, then.hub.connections, loser_id, winner_id, paths=gained)
    outbox.cancel_for(tx, then.hub.connections, loser_id)
    history.move(tx, loser_id, winner_id)
    move_conflicts(tx, loser_id, winner_id)
    places = _move_links(tx, loser_id, winner_id)
    tell_children(tx, winner_id, places, then=then)
    _move_references(tx, loser_id, winner_id, then=then)
    for name, connection in then.hub.connections.items():
        if connection.has(winner.entity):
            then.wish(name, winner)


def _spelt_out(loser: Golden, winner: Golden, shown_as: LinkState) -> Values:
    """Returns what the winner has only as a system spells what the loser had agreed on with it.

    The loser's value is fuller then, or newer.
    """
    return {
        path: value
        for path, value in loser.values.items()
        if winner.values.get(path) not in (None, value)
        and shown_as.agreed_at(path) not in (None, winner.values[path])
        and shown_as.shown_at(path) == winner.values[path]
    }


def tell_children(
    tx: Transaction, golden_id: str, connections: Iterable[str], *, then: Consequences
) -> None:
    """What refers to a record that is there (again) can say so in these connections now."""
    places = [name for name in dict.fromkeys(connections) if name in then.hub.connections]
    if not places:
        return
    children = referring(tx, [golden_id]).get(golden_id, [])
    for child in load_golden(tx, children).values():
        for name in places:
            if then.hub.connections[name].has(child.entity):
                then.wish(name, child)


def _move_links(tx: Transaction, loser_id: str, winner_id: str) -> list[str]:
    """Gives all links to the winner; returns the connections where it has a record only now."""
    found = links_by_golden(tx, [loser_id, winner_id])
    kept = [link for link in found.get(winner_id, []) if not link.spare]
    alive = {
        (link.connection, link.stream)
        for link in found.get(loser_id, [])
        if link.gone_at is None and not link.spare
    }
    # A record that is gone makes room for one that lives; without one, it stays deleted.
    moved = [n for n in kept if n.gone_at is not None and (n.connection, n.stream) in alive]
    for link in moved:
        link.spare = link.id or 0
    change_links(tx, moved)
    taken = {(link.connection, link.stream) for link in kept if not link.spare}
    moved = []
    for link in found.get(loser_id, []):
        link.golden_id = winner_id
        occupied = (link.connection, link.stream) in taken or link.gone_at is not None
        if occupied and not link.spare:
            # Over there it is still two records: keep both, write to one.
            link.spare = link.id or 0
        moved.append(link)
    change_links(tx, moved)
    return [link.connection for link in moved if not link.spare and link.gone_at is None]


def _move_references(tx: Transaction, loser_id: str, winner_id: str, *, then: Consequences) -> None:
    children = referring(tx, [loser_id]).get(loser_id, [])
    for child in load_golden(tx, children, lock=True).values():
        values = {p: winner_id for p, v in child.values.items() if v == loser_id}
        then.set_values(child, dict(values), origin=child.origin, at=None)
    shown = [link for links in links_by_golden(tx, children).values() for link in links]
    for link in shown:
        # Over there it still shows the same key, which means the winner now.
        for known in (link.state.seen, link.state.agreed, link.state.shown):
            known.update({p: winner_id for p, v in known.items() if v == loser_id})
    change_links(tx, shown)
