"""The state of two golden records before they are merged, which undo.py restores."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection as Transaction

from hub.store import history, merges
from hub.store.conflicts import conflicts_of
from hub.store.golden import Golden, load_golden
from hub.store.links import links_by_golden
from hub.store.references import referring
from mappings.canonical.values import Scalar


def remember_before(
    tx: Transaction,
    loser: Golden,
    winner: Golden,
    *,
    gained: Mapping[str, Scalar],
    why: str,
    now: datetime,
) -> None:
    """Stores the state of two golden records just before they are merged."""
    links = links_by_golden(tx, [loser.id, winner.id])
    children = load_golden(tx, referring(tx, [loser.id]).get(loser.id, []))
    shown = [link for found in links_by_golden(tx, children).values() for link in found]
    before = {
        "gained": dict(gained),
        "origins": {path: winner.origins.get(path) for path in gained},
        "primary": [link.id for found in links.values() for link in found if link.is_primary],
        "links": {
            str(link.id): [link.state.seen, link.state.agreed, link.state.shown]
            for link in links.get(loser.id, [])
        },
        "children": {
            child.id: {p: child.origins.get(p) for p, v in child.values.items() if v == loser.id}
            for child in children.values()
        },
        # These identify records that have not changed since.
        "digests": {str(link.id): link.digest.hex() for link in shown if link.digest},
        "history": history.ids_of(tx, loser.id),
        "conflicts": [row.id for row in conflicts_of(tx, loser.id)],
    }
    merges.remember_merge(
        tx, entity=loser.entity, loser=loser.id, winner=winner.id, why=why, before=before, now=now
    )
