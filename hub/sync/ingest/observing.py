"""Compares a record with its link and golden record, and collects the consequences.

The decision is made by `hub.model.observe`; this module prepares its input.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from hub.flows.flow_input import derived_id
from hub.model.observe import Baseline, Change, Observation, RecordContext, observe
from hub.model.state import LinkState
from hub.model.wanted import agree, route_actions, settle, settle_in_doubt, wanted
from hub.store.golden import Golden
from hub.store.links import Link
from hub.sync.changeset import ChangeSet, changed_at
from hub.sync.freshness import is_older, of_one_time, request_refetch
from hub.sync.ingest.read_record import ReadContext, ReadRecord, WrittenValues
from hub.sync.merge.primary import restore_link
from mappings.canonical.values import Values


@dataclass(frozen=True, slots=True)
class Observed:
    """A record that was read, with everything it is compared with."""

    read: ReadRecord
    link: Link
    golden: Golden
    #: Paths with an open conflict.
    conflicts: frozenset[str] = frozenset()
    #: What the hub has just written to it.
    written: WrittenValues | None = None
    #: What was sent to it in a write in doubt.
    in_doubt: Values | None = field(default=None, repr=False)
    #: It carries our external id: the hub has created it.
    created: bool = False
    #: Its golden record had an earlier record in this stream, which is gone.
    follows_gone: bool = False
    #: All links of its golden record, if it may be restored as a secondary.
    siblings: Sequence[Link] = ()


def observe_record(context: ReadContext, one: Observed, *, changes: ChangeSet) -> None:
    """Treats the values of a record as news, as an echo, or ignores them as outdated."""
    read, link, golden = one.read, one.link, one.golden
    if is_older(read.record, link):
        context.tally.skip("older than what is known")
    elif golden.deleted_at is not None and link.gone_at is None and link.id is not None:
        _too_late(context, one, changes=changes)
    elif context.origin.may_be_old and link.gone_at is not None:
        refetch(context, read, link, changes=changes)
    elif context.origin.may_be_old and of_one_time(read.record, link):
        reason = "no newer by its time than what is known"
        refetch(context, read, link, reason=reason, changes=changes)
    else:
        link.state = _settled(one)
        seen = observe(
            Baseline(
                golden.values,
                link.state,
                context.policy,
                context.channel.entity.states,
                one.conflicts,
                lambda path: changed_at(golden, path),
            ),
            read.values,
            RecordContext(
                link.connection,
                read.record.modified_at,
                is_first=link.id is None,
                created=one.created,
            ),
        )
        known = link.id is not None
        _apply(context, one, seen, changes=changes)
        if known:
            welcome(context, read.key, changes=changes)


def _settled(one: Observed) -> LinkState:
    """Returns the state of the link after the hub's own writes."""
    if one.written is not None:
        written = one.written
        return settle(one.link.state, written.values, one.read.values, certain=written.certain)
    if one.in_doubt is not None:
        return settle_in_doubt(one.link.state, one.in_doubt, one.read.values)
    return one.link.state


def _too_late(context: ReadContext, one: Observed, *, changes: ChangeSet) -> None:
    """Keeps in history what was typed into a record that is about to be deleted."""
    link, values = one.link, one.read.values
    context.tally.skip("deleted")
    why = f"deleted in another system; policy delete: {context.policy.delete}"
    typed = {p: v for p, v in values.items() if v != link.state.seen_at(p)}
    lost = [Change(p, v, None, "superseded", why) for p, v in typed.items() if v is not None]
    changes.history(one.golden.id, lost, connection=link.connection)
    for path, value in typed.items():
        agreed, shown = link.state.agreed_at(path), link.state.shown_at(path)
        link.state.put(path, seen=value, agreed=agreed, shown=shown)
    note_read(link, one.read, changes=changes)
    if context.origin.enqueues:
        changes.enqueue(link.connection, one.golden)


def refetch(
    context: ReadContext,
    read: ReadRecord,
    link: Link,
    *,
    reason: str = "gone when last looked at",
    changes: ChangeSet,
) -> None:
    """Requests the record: only a fetch can tell whether the page is outdated."""
    context.tally.skip(reason)
    version = read.record.version
    changes.notify(request_refetch(link.connection, link.stream, link.key, version=version))


def _apply(context: ReadContext, one: Observed, seen: Observation, *, changes: ChangeSet) -> None:
    read, link, golden, tally = one.read, one.link, one.golden, context.tally
    restored = link.gone_at is not None
    if restored and not link.is_primary:
        restore_link(link, one.siblings, changes=changes)
    link.state = seen.link
    if seen.golden or (restored and golden.deleted_at is not None):
        golden.deleted_at = None
        changes.set_values(golden, seen.golden, origin=link.connection, at=read.record.modified_at)
        if link.id is not None:
            tally.touch(link.key)
    if restored or (link.id is None and one.follows_gone):
        changes.enqueue_children(golden.id, [link.connection])
    link.state = agree(golden.values, link.state)
    if seen.news or restored or link.id is None:
        tally.changed += 1
    else:
        tally.same += 1
    note_read(link, read, changes=changes)
    changes.history(golden.id, seen.changes, connection=link.connection)
    changes.conflicts_found(link, seen.conflicts)
    changes.settled(link, seen.settled)
    _enqueue_rest(context, link, golden, seen=seen, changes=changes)


def note_read(link: Link, read: ReadRecord, *, changes: ChangeSet) -> None:
    """Stores version, digest and time of the record on its link."""
    link.version, link.digest = read.record.version, read.digest
    link.modified_at, link.gone_at = read.record.modified_at, None
    if link.id is None:
        changes.linked(link)
    else:
        changes.link_changed(link)


def _enqueue_rest(
    context: ReadContext, link: Link, golden: Golden, *, seen: Observation, changes: ChangeSet
) -> None:
    """Enqueues the record if it still lacks a value."""
    if not link.is_primary:
        return  # never written to; the consequences for the primary were enqueued already
    if context.origin.enqueues and _lacks(context, link, golden, seen=seen):
        changes.enqueue(link.connection, golden)
    else:
        changes.cancel(link.connection, golden)


def _lacks(context: ReadContext, link: Link, golden: Golden, *, seen: Observation) -> bool:
    """Returns True if there is a value to write to this record, or an action to request."""
    mapping, states = context.channel.mapping, context.channel.entity.states
    lacking = wanted(
        golden.values,
        link.state,
        context.policy,
        writable=mapping.writable,
        conflicts=frozenset(conflict.path for conflict in seen.conflicts),
    )
    if lacking or states is None:
        return bool(lacking)
    goal, shown = golden.values.get(states.path), link.state.seen.get(states.path)
    return bool(route_actions(states, shown, goal, mapping.actions))


def welcome(context: ReadContext, key: str, *, changes: ChangeSet) -> None:
    """Ends the quarantine entry or review of a record that is linked now."""
    connection, stream = context.channel.connection, context.channel.stream
    if context.pending.quarantine or context.pending.reviews:
        changes.resolve((connection, stream), [key])
    if context.pending.quarantine:
        changes.resume(derived_id(connection, stream, key))
