"""Stores the effects of a transaction: everything once, in bulk, in one order.

The number of statements does not depend on the number of records. This is where the use cases meet
the tables of quarantine, reviews, conflicts, inbox and outbox; nothing is decided here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection as Transaction

from hub.model.observe import FieldConflict
from hub.store import dirty, history, in_doubt, inbox, outbox, quarantine
from hub.store.conflicts import NewConflict, close_all, open_conflicts
from hub.store.fingerprints import change_fingerprints
from hub.store.golden import Golden, add_golden, change_golden
from hub.store.history import HistoryRow
from hub.store.inbox import InboxEntry
from hub.store.links import Link, add_links, change_links, links_by_key, vacate_primary
from hub.store.outbox import OutboxEntry, Postponed
from hub.store.quarantine import Problem
from hub.store.references import change_references
from hub.store.reviews import Question, ask_review, drop_reviews, save_decision
from hub.sync.push.verdict import Verdict
from mappings.canonical.values import Scalar

#: Connection and stream.
StreamId = tuple[str, str]
#: Connection, stream and key.
RecordId = tuple[str, str, str]


@dataclass(slots=True)
class Effects:
    """The pending effects of a transaction."""

    #: The run that is recorded as their cause.
    run: str
    now: datetime
    #: Number of derivations in a row that led to this transaction.
    hops: int = 0
    golden_new: list[Golden] = field(default_factory=list)
    golden_changed: dict[str, Golden] = field(default_factory=dict)
    links_new: list[Link] = field(default_factory=list)
    links_changed: dict[int, Link] = field(default_factory=dict)
    #: Golden records whose deleted record gives way to a new link, by stream.
    vacated: dict[StreamId, list[str]] = field(default_factory=dict)
    prints_gone: list[tuple[int, str]] = field(default_factory=list)
    prints_new: list[tuple[int, str]] = field(default_factory=list)
    #: Golden id -> path -> golden id it refers to.
    references: dict[str, dict[str, str]] = field(default_factory=dict)
    history: list[HistoryRow] = field(default_factory=list)
    #: With the reason, unless it is that both sides changed the field.
    conflicts: list[tuple[Link, FieldConflict, str | None]] = field(default_factory=list)
    #: Resolution -> link id -> paths whose conflict is closed.
    settled: dict[str, dict[int, set[str]]] = field(default_factory=dict)
    #: (kind, source, stream, key) -> the problem, and how long it waits.
    quarantined: dict[tuple[str, ...], tuple[Problem, timedelta]] = field(default_factory=dict)
    reviews: list[Question] = field(default_factory=list)
    #: Number of a review -> the chosen golden id, or "new".
    decisions: dict[int, str] = field(default_factory=dict)
    #: Keys of records that are identified, but may stay in quarantine.
    identified: dict[StreamId, list[str]] = field(default_factory=dict)
    #: Keys of records whose quarantine entries and reviews end.
    resolved: dict[StreamId, dict[str, None]] = field(default_factory=dict)
    notifications: list[InboxEntry] = field(default_factory=list)
    #: (connection, entity, golden id) of new outbox entries.
    entries: dict[tuple[str, str, str], None] = field(default_factory=dict)
    #: Connection -> golden records whose updates in doubt were seen to have arrived.
    confirmed: dict[str, list[str]] = field(default_factory=dict)
    dirty: dict[str, None] = field(default_factory=dict)
    #: Golden id -> the mark with which flows have processed it.
    derived: dict[str, float] = field(default_factory=dict)
    #: (flow, entity) -> golden records for which it is no longer blocked.
    unblocked: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    #: Ids that quarantine entries may be waiting for: see `quarantine.waits_for`.
    resumed: dict[str, None] = field(default_factory=dict)


def store_effects(tx: Transaction, effects: Effects) -> None:
    """Stores everything, in a fixed number of statements."""
    add_golden(tx, effects.golden_new)
    new = {golden.id for golden in effects.golden_new}
    change_golden(tx, [g for g in effects.golden_changed.values() if g.id not in new])
    _store_links(tx, effects)
    if effects.prints_gone or effects.prints_new:
        change_fingerprints(tx, gone=effects.prints_gone, new=effects.prints_new)
    change_references(tx, effects.references)
    _store_conflicts(tx, effects)
    history.add(tx, effects.history)
    _store_quarantine(tx, effects)
    for connection, golden_ids in effects.confirmed.items():
        in_doubt.confirm(tx, connection, golden_ids)
    if effects.entries:
        outbox.enqueue(tx, effects.entries, now=effects.now)
    if effects.notifications:
        inbox.receive(tx, effects.notifications, now=effects.now)
    if effects.dirty:
        dirty.mark(tx, effects.dirty, now=effects.now, hops=effects.hops)
    dirty.clear(tx, effects.derived)
    resumed = [waited_for for waited_for in effects.resumed if waited_for not in new]
    if resumed:
        quarantine.resume_waiting(tx, resumed, now=effects.now)


def store_outcomes(
    tx: Transaction,
    *,
    not_sent: Iterable[int],
    verdicts: Sequence[tuple[OutboxEntry, Verdict]],
    complete: Iterable[OutboxEntry],
    explained: Iterable[str],
    now: datetime,
) -> None:
    """Stores the outcomes of a batch of outbox entries: postponed with a reason, or complete.

    `explained` are golden records for which flows report why they are not written.
    """
    numbers = list(not_sent)
    if numbers:
        in_doubt.mark_not_sent(tx, numbers)
    postponed = [
        Postponed(
            entry,
            verdict.state,
            due_at=now + verdict.after,
            reason=verdict.reason,
            cause=verdict.cause,
            error=verdict.error,
            waits_for=verdict.waits_for,
        )
        for entry, verdict in verdicts
    ]
    outbox.postpone(tx, postponed, now=now)
    outbox.complete(tx, complete)
    stuck = list(explained)
    if stuck:
        dirty.mark(tx, stuck, now=now)


def _store_links(tx: Transaction, effects: Effects) -> None:
    """Stores links that stop being primary before those that become primary."""
    for (connection, stream), golden_ids in effects.vacated.items():
        vacate_primary(tx, connection, stream, golden_ids)
    changed = effects.links_changed.values()
    change_links(tx, sorted(changed, key=lambda link: link.is_primary))
    add_links(tx, effects.links_new)


def _store_quarantine(tx: Transaction, effects: Effects) -> None:
    for wait in {wait for _, wait in effects.quarantined.values()}:
        put = [problem for problem, its in effects.quarantined.values() if its == wait]
        quarantine.put(tx, put, now=effects.now, due_at=effects.now + wait)
    if effects.reviews:
        ask_review(tx, effects.reviews, now=effects.now)
    for number, decision in effects.decisions.items():
        save_decision(tx, number, decision)
    for (flow, entity), golden_ids in effects.unblocked.items():
        quarantine.resolve(tx, "flow", flow, stream=entity, keys=golden_ids)
    for (connection, stream), keys in effects.resolved.items():
        quarantine.resolve(tx, "pull", connection, stream=stream, keys=keys)
        drop_reviews(tx, connection, stream, keys)
    for (connection, stream), known in effects.identified.items():
        quarantine.drop_prints(tx, connection, stream, known)


def _store_conflicts(tx: Transaction, effects: Effects) -> None:
    for resolution, paths in effects.settled.items():
        close_all(tx, paths, resolution=resolution, now=effects.now)
    if not effects.conflicts:
        return
    _number_links(tx, [link for link, _, _ in effects.conflicts])
    found: dict[tuple[int, str], NewConflict] = {}
    for link, one, reason in effects.conflicts:
        about = (link.id or 0, one.path)
        first = found.get(about) or _conflict(link, one)
        found[about] = replace(
            first, ours=one.ours, theirs=one.theirs, reason=reason or first.reason
        )
    before = open_conflicts(tx, list(found.values()), now=effects.now)
    effects.history += [
        _typed_again(effects, found[about], before=theirs)
        for about, theirs in before.items()
        if theirs is not None and theirs != found[about].theirs
    ]


def _number_links(tx: Transaction, links: Iterable[Link]) -> None:
    """Sets the numbers of links that were stored in this transaction."""
    unnumbered: dict[StreamId, dict[str, Link]] = {}
    for link in links:
        if link.id is None:
            unnumbered.setdefault((link.connection, link.stream), {})[link.key] = link
    for (connection, stream), by_key in unnumbered.items():
        for key, stored in links_by_key(tx, connection, stream, by_key).items():
            by_key[key].id = stored.id


def _conflict(link: Link, found: FieldConflict) -> NewConflict:
    return NewConflict(
        str(link.golden_id),
        link.id or 0,
        link.connection,
        found.path,
        base=found.base,
        ours=found.ours,
        theirs=found.theirs,
    )


def _typed_again(effects: Effects, new: NewConflict, *, before: Scalar) -> HistoryRow:
    """Returns the history row of a value that was replaced while it was in conflict."""
    return HistoryRow(
        new.golden_id,
        new.path,
        old=before,
        new=new.theirs,
        connection=new.connection,
        decision="superseded",
        why="typed again in the remote system while in conflict",
        at=effects.now,
        run=effects.run,
    )
