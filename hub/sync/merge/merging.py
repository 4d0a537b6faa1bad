"""Merges two golden records: links, values, references, history and conflicts move.

The history of both is kept, and so is what is needed to undo it: see undo.py.
"""

from __future__ import annotations

from sqlalchemy import Connection as Transaction

from hub.model.observe import Change
from hub.model.state import LinkState
from hub.model.wanted import settle_in_doubt
from hub.store import history, in_doubt, outbox
from hub.store.conflicts import move_conflicts
from hub.store.golden import Golden, load_golden
from hub.store.links import Link, change_links, links_by_golden
from hub.store.references import referring
from hub.sync.changeset import ChangeSet
from hub.sync.merge.snapshot import remember_before
from mappings.canonical.values import Values


def merge_golden(
    tx: Transaction,
    loser_id: str,
    winner_id: str,
    *,
    changes: ChangeSet,
    why: str,
    shown_as: LinkState | None = None,
) -> None:
    """Merges two golden records: the winner keeps its values and fills its blanks.

    Where the winner only has the merging system's spelling (`shown_as`) of the loser's value, it
    takes the loser's: some systems merge by creating a third record as a copy of what they show.
    """
    golden = load_golden(tx, [loser_id, winner_id], lock=True)
    loser, winner = golden[loser_id], golden[winner_id]
    gained = {p: v for p, v in loser.values.items() if winner.values.get(p) is None}
    remember_before(tx, loser, winner, gained=gained, why=why, now=changes.now)
    if shown_as is not None:
        gained |= _spelt_out(loser, winner, shown_as)
    lost = [
        Change(path, value, winner.values[path], "superseded", why)
        for path, value in loser.values.items()
        if path not in gained and winner.values[path] != value
    ]
    origin = loser.origin
    changes.history(winner_id, lost, connection=origin)
    changes.set_values(winner, gained, origin=origin, at=None)
    loser.merged_into = winner_id
    changes.touch(loser)
    changes.forget(loser)
    in_doubt.inherit(tx, changes.hub.connections, loser_id, winner_id, paths=gained)
    outbox.cancel_for(tx, changes.hub.connections, loser_id)
    history.move(tx, loser_id, winner_id)
    move_conflicts(tx, loser_id, winner_id)
    only_there = _move_links(tx, loser_id, winner_id)
    changes.enqueue_children(winner_id, only_there)
    _move_references(tx, loser_id, winner_id, changes=changes)
    changes.enqueue_everywhere(winner)


def as_shown(tx: Transaction, old: Link, into: Link) -> LinkState:
    """Returns the state in which a system shows the old record, with an update in doubt settled."""
    golden_id = str(old.golden_id)
    sent = in_doubt.updates(tx, old.connection, [golden_id]).get(golden_id)
    return settle_in_doubt(old.state, sent, into.state.seen) if sent else old.state


def _spelt_out(loser: Golden, winner: Golden, shown_as: LinkState) -> Values:
    """Returns the loser's values that the winner only has in the spelling of the merging system.

    The loser's value is more complete then, or newer.
    """
    return {
        path: value
        for path, value in loser.values.items()
        if winner.values.get(path) not in (None, value)
        and shown_as.agreed_at(path) not in (None, winner.values[path])
        and shown_as.shown_at(path) == winner.values[path]
    }


def _move_links(tx: Transaction, loser_id: str, winner_id: str) -> list[str]:
    """Moves all links to the winner; returns the connections where it had no record before."""
    found = links_by_golden(tx, [loser_id, winner_id])
    kept = [link for link in found.get(winner_id, []) if link.is_primary]
    alive = {
        (link.connection, link.stream)
        for link in found.get(loser_id, [])
        if link.gone_at is None and link.is_primary
    }
    # A deleted record gives way to a living one; otherwise the winner stays deleted there.
    moved = [n for n in kept if n.gone_at is not None and (n.connection, n.stream) in alive]
    for link in moved:
        link.is_primary = False
    change_links(tx, moved)
    taken = {(link.connection, link.stream) for link in kept if link.is_primary}
    moved = []
    for link in found.get(loser_id, []):
        link.golden_id = winner_id
        occupied = (link.connection, link.stream) in taken or link.gone_at is not None
        if occupied and link.is_primary:
            # The remote system still has two records: keep both, write to one.
            link.is_primary = False
        moved.append(link)
    change_links(tx, moved)
    return [link.connection for link in moved if link.is_primary and link.gone_at is None]


def _move_references(tx: Transaction, loser_id: str, winner_id: str, *, changes: ChangeSet) -> None:
    children = referring(tx, [loser_id]).get(loser_id, [])
    for child in load_golden(tx, children, lock=True).values():
        values = {p: winner_id for p, v in child.values.items() if v == loser_id}
        changes.set_values(child, dict(values), origin=child.origin, at=None)
    for link in (one for links in links_by_golden(tx, children).values() for one in links):
        # The remote record still shows the same key, which stands for the winner now.
        for known in (link.state.seen, link.state.agreed, link.state.shown):
            known.update({p: winner_id for p, v in known.items() if v == loser_id})
        changes.link_changed(link)
