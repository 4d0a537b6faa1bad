"""Pauses fields that two systems fight over, before the page that continues the fight is stored.

The field gets a conflict wherever the hub would write it next; a person ends it.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection as Transaction

from hub.model.fights import WINDOW, fight_reason, fighters
from hub.model.observe import Clash
from hub.store import history
from hub.store.golden import Golden, load_golden
from hub.store.links import Link, links_by_golden
from hub.sync.changeset import Consequences
from hub.sync.context import Hub


def stop_fights(hub: Hub, tx: Transaction, then: Consequences) -> None:
    """Looks whether what is about to be remembered continues a fight; if so, it ends here."""
    if not then.remembered or hub.flips <= 0:
        return
    news = history.flips_of(then.remembered)
    ids = {golden_id for golden_id, _ in news}
    before = history.flips(tx, ids, since=then.now - WINDOW)
    fought = {
        place: who
        for place, flips in news.items()
        if (who := fighters([*before.get(place, ()), *flips], hub.flips))
    }
    if not fought:
        return
    golden = load_golden(tx, {golden_id for golden_id, _ in fought})
    links = links_by_golden(tx, golden)
    for (golden_id, path), who in fought.items():
        reason = fight_reason(path, who, hub.flips)
        decided = then.as_decided(golden[golden_id])
        _pause(then, decided, links.get(golden_id, ()), path=path, reason=reason)


def _pause(
    then: Consequences, golden: Golden, links: Iterable[Link], *, path: str, reason: str
) -> None:
    """Opens a conflict for every record that the hub would tell the golden value once more."""
    ours = golden.values.get(path)
    for stored in links:
        link = then.as_changed(stored)
        if link.gone_at is not None or link.spare:
            continue
        agreed, seen = link.state.agreed_at(path), link.state.seen_at(path)
        if agreed is None and seen is None:
            continue  # it has never had the field
        if agreed != ours or seen != link.state.shown_at(path):
            then.clashes(link, [Clash(path, agreed, ours, seen)], reason)
