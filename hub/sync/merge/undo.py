"""Undoes a merge of two golden records: each gets back what it had.

The loser gets back its values, links, children, history and conflicts, and keeps what was typed in
its own records in the meantime. The winner keeps what was typed since, and loses what it only
gained by the merge and no person has changed: where a system shows such a value, it is blanked,
whatever the policy for blanks, because a person decided so. A record that was merged away in a
remote system is not created again, and a repeated report of that merge changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection as Transaction

from hub.errors import DecisionError, UnknownError
from hub.model.observe import Change
from hub.model.oscillation import DECIDED
from hub.model.state import LinkState
from hub.store import history, merges
from hub.store.conflicts import conflicts_of, reassign_conflicts, withdraw_conflicts
from hub.store.golden import Golden, load_golden
from hub.store.links import Link, links_by_golden
from hub.store.merges import Merged
from hub.store.references import referring
from hub.sync.changeset import ChangeSet, changed_at
from hub.sync.context import Hub
from hub.sync.freshness import request_refetch
from mappings.canonical.values import Values

#: The origin of changes made by an undo.
PERSON = "person"


@dataclass(frozen=True, slots=True)
class Split:
    """The result of an undone merge."""

    number: int
    entity: str
    #: The restored golden record, and the one it had been merged into.
    loser: str
    winner: str


def undo_merge(hub: Hub, number: int) -> Split:
    """Splits a merged golden record into two again. Raises: UnknownError, DecisionError."""

    def work(tx: Transaction) -> Split:
        return _Split(hub, tx, _case(tx, number)).work()

    return hub.store.transact(work)


def _case(tx: Transaction, number: int) -> Merged:
    row = merges.merge(tx, number)
    if row is None:
        raise UnknownError(f"there is no merge {number}; `tulay links merges` lists them")
    if row.undone_at is not None:
        raise DecisionError(f"merge {number} was undone already")
    further = merges.later_merge(tx, row.winner)
    if further is not None:
        raise DecisionError(
            f"the result of merge {number} was merged again: undo merge {further} first"
        )
    return row


class _Split:
    def __init__(self, hub: Hub, tx: Transaction, row: Merged) -> None:
        self.hub, self.tx, self.row = hub, tx, row
        self.before: Mapping[str, Any] = row.before
        self.changes = ChangeSet(hub, hub.fresh_id(), hub.clock())
        golden = load_golden(tx, [row.loser, row.winner], lock=True)
        self.why = f"{DECIDED} to undo merge {row.id}"
        self.loser, self.winner = golden[row.loser], golden[row.winner]
        links = links_by_golden(tx, [row.winner]).get(row.winner, [])
        #: Links that belonged to the loser and belong to the winner now, and the winner's own ones.
        self.returned = [link for link in links if str(link.id) in self.before["links"]]
        self.kept = [link for link in links if str(link.id) not in self.before["links"]]

    def work(self) -> Split:
        """Restores everything and stores it."""
        typed: dict[str, Values] = {}
        for link in self.returned:
            if link.gone_at is None:
                typed.setdefault(link.connection, {}).update(self._recover(link))
        self._give_back_links()
        self.changes.store(self.tx)  # the links of children are read below, and may be among these
        self._revive(typed)
        self._give_back_values()
        self._give_back_children()
        self._give_back_past()
        self._tell()
        self.changes.store(self.tx)
        merges.undone(self.tx, self.row.id, now=self.changes.now)
        return Split(self.row.id, self.row.entity, self.loser.id, self.winner.id)

    # --- links ----------------------------------------------------------------------------------

    def _recover(self, link: Link) -> Values:
        """Restores the state of a link where its record has not changed; returns the typed values.

        Values typed in the record since belong to the loser. Values that only the hub wrote count
        as agreed, so that what the loser had is written again.
        """
        former = LinkState(*self.before["links"][str(link.id)])
        state, typed = LinkState(), {}
        for path in {**former.seen, **former.agreed, **former.shown, **link.state.seen}:
            seen = link.state.seen.get(path)
            agreed = shown = seen
            if seen == former.seen.get(path):
                agreed, shown = former.agreed_at(path), former.shown_at(path)
            elif self._was_typed(link, path):
                typed[path] = seen
            state.put(path, seen=seen, agreed=agreed, shown=shown)
        link.state = state
        return typed

    def _was_typed(self, link: Link, path: str) -> bool:
        if not link.is_primary or link.state.seen.get(path) != link.state.shown_at(path):
            return True  # the hub does not write there, or the value is not agreed yet
        origin = self.winner.origins.get(path)
        here = origin is not None and origin[0] == link.connection
        return here and changed_at(self.winner, path) > self.row.merged_at

    def _give_back_links(self) -> None:
        taken: set[tuple[str, str]] = set()
        for link in sorted(self.returned, key=lambda one: one.gone_at is not None):
            link.golden_id = self.loser.id
            # A record that was merged away there keeps its link, so that it is not created again.
            place = (link.connection, link.stream)
            link.is_primary = place not in taken
            taken.add(place)
            self._request_refetch(link)
        self._vacate_primary()

    def _vacate_primary(self) -> None:
        """The winner's former primary links become primary again, where there is no other one.

        They are stored after the links that leave.
        """
        taken = {(link.connection, link.stream) for link in self.kept if link.is_primary}
        for link in self.kept:
            free = (link.connection, link.stream) not in taken
            if free and not link.is_primary and link.id in self.before["primary"]:
                link.is_primary = True
                self.changes.link_changed(link)

    # --- values ---------------------------------------------------------------------------------

    def _revive(self, typed: Mapping[str, Values]) -> None:
        self.loser.merged_into = None
        self.changes.touch(self.loser)
        self.changes.recognise(self.loser)
        for connection, values in typed.items():
            if values:
                self.changes.set_values(self.loser, values, origin=connection, at=None)

    def _give_back_values(self) -> None:
        """Removes what the winner only gained by the merge and what has not changed since."""
        shown = {path for link in self.kept if link.gone_at is None for path in link.state.seen}
        disputed = {
            row.path for row in conflicts_of(self.tx, self.winner.id) if row.closed_at is None
        }
        given = {
            path: value
            for path, value in self.before["gained"].items()
            if value is not None and self.winner.values.get(path) == value and path not in disputed
        }
        if not given:
            return
        changes = [Change(path, old, None, "taken", self.why) for path, old in given.items()]
        self.changes.history(self.winner.id, changes, connection=PERSON)
        self.changes.set_values(
            self.winner, dict.fromkeys(given), origin=self.winner.origin, at=None
        )
        for path in given:
            _as_from(self.winner, path, self.before["origins"].get(path))
            if path in shown:
                self.winner.values[path] = None  # a decided blank, which is written

    def _give_back_children(self) -> None:
        kept: Mapping[str, Mapping[str, list[Any] | None]] = self.before["children"]
        children = load_golden(self.tx, kept, lock=True)
        for child in children.values():
            paths = [p for p in kept[child.id] if child.values.get(p) == self.winner.id]
            if paths:
                values: Values = dict.fromkeys(paths, self.loser.id)
                back = [Change(p, self.winner.id, self.loser.id, "taken", self.why) for p in paths]
                self.changes.history(child.id, back, connection=PERSON)
                self.changes.set_values(child, values, origin=child.origin, at=None)
            for path in paths:
                _as_from(child, path, kept[child.id][path])
        for link in _all_links(self.tx, children):
            digest = None if link.digest is None else link.digest.hex()
            if digest is None or digest != self.before["digests"].get(str(link.id)):
                self._request_refetch(link)  # it may have changed since
                continue
            # The remote record shows the same key as before, which stands for the loser again.
            for known in (link.state.seen, link.state.agreed, link.state.shown):
                for path in kept[str(link.golden_id)]:
                    if known.get(path) == self.winner.id:
                        known[path] = self.loser.id
            self.changes.link_changed(link)
        self._look_at_younger(kept)

    def _look_at_younger(self, kept: Collection[str]) -> None:
        """Requests records that came to refer to the winner since: they may mean the loser."""
        places = {link.connection for link in self.returned if link.gone_at is None}
        found = referring(self.tx, [self.winner.id]).get(self.winner.id, [])
        for link in _all_links(self.tx, (child for child in found if child not in kept)):
            if link.connection in places:
                self._request_refetch(link)

    def _request_refetch(self, link: Link) -> None:
        """Requests the record: only a fetch can tell what it shows."""
        link.digest = None
        self.changes.link_changed(link)
        if link.gone_at is None:
            self.changes.notify(request_refetch(link.connection, link.stream, link.key))

    def _give_back_past(self) -> None:
        ids = [link.id for link in self.returned if link.id is not None]
        history.reassign(self.tx, self.before["history"], self.loser.id)
        reassign_conflicts(self.tx, ids, self.loser.id)
        # Conflicts caused by the merge end with it.
        withdraw_conflicts(self.tx, ids, kept=self.before["conflicts"], now=self.changes.now)

    def _tell(self) -> None:
        for golden in (self.loser, self.winner):
            self.changes.history(
                golden.id,
                [Change("(record)", None, golden.id, "taken", self.why)],
                connection=PERSON,
            )
            self.changes.enqueue_everywhere(golden)


def _all_links(tx: Transaction, golden_ids: Iterable[str]) -> list[Link]:
    return [link for links in links_by_golden(tx, golden_ids).values() for link in links]


def _as_from(golden: Golden, path: str, origin: list[Any] | None) -> None:
    """Restores the origin of a value."""
    if origin is None:
        golden.origins.pop(path, None)
    else:
        golden.origins[path] = origin
