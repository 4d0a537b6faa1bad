"""Pauses fields that two systems keep changing back and forth, before the next change is stored.

The field gets a conflict wherever the hub would write it next; a person resolves it.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection as Transaction

from hub.model.observe import FieldConflict
from hub.model.oscillation import WINDOW, opponents, oscillation_reason
from hub.store import history
from hub.store.golden import Golden, load_golden
from hub.store.links import Link, links_by_golden
from hub.sync.changeset import ChangeSet


def pause_oscillations(tx: Transaction, changes: ChangeSet) -> None:
    """Opens conflicts where the changes about to be stored would continue an oscillation."""
    most = changes.hub.reversals
    if not changes.effects.history or most <= 0:
        return
    new = history.reversals_of(changes.effects.history)
    before = history.reversals(tx, {golden_id for golden_id, _ in new}, since=changes.now - WINDOW)
    oscillating = {
        field: sides
        for field, reversals in new.items()
        if (sides := opponents([*before.get(field, ()), *reversals], most))
    }
    if not oscillating:
        return
    golden = load_golden(tx, {golden_id for golden_id, _ in oscillating})
    links = links_by_golden(tx, golden)
    for (golden_id, path), sides in oscillating.items():
        reason = oscillation_reason(path, sides, most)
        decided = changes.current_golden(golden[golden_id])
        _pause(changes, decided, links.get(golden_id, ()), path=path, reason=reason)


def _pause(
    changes: ChangeSet, golden: Golden, links: Iterable[Link], *, path: str, reason: str
) -> None:
    """Opens a conflict for each record to which the hub would write the golden value again."""
    ours = golden.values.get(path)
    for stored in links:
        link = changes.current_link(stored)
        if link.gone_at is not None or not link.is_primary:
            continue
        agreed, seen = link.state.agreed_at(path), link.state.seen_at(path)
        if agreed is None and seen is None:
            continue  # it never had the field
        if agreed != ours or seen != link.state.shown_at(path):
            changes.conflicts_found(link, [FieldConflict(path, agreed, ours, seen)], reason)
