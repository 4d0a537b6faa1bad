"""Writes in doubt: who sent them, whether they may have happened, and which link inherits them."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Connection

from hub.store import in_doubt, outbox
from hub.store.engine import Store
from hub.store.golden import Golden, add_golden

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def entry(tx: Connection, *ids: str) -> dict[str, int]:
    """Enqueues these for the ERP; returns golden id -> entry id."""
    outbox.enqueue(tx, [("erp", "company", golden_id) for golden_id in ids], now=NOW)
    given = {"entities": ["company"], "worker": "w", "now": NOW, "limit": 10}
    return {w.golden_id: w.id for w in outbox.lease(tx, "erp", **given)}  # type: ignore[arg-type]


def golden(name: str, merged_into: str | None = None) -> Golden:
    return Golden(name, "company", {}, "crm", {}, NOW, NOW, "run", merged_into=merged_into)


def test_creates_and_updates_are_distinguished(store: Store) -> None:
    with store.begin() as tx:
        ids = entry(tx, "a", "b", "c")
        sent = {"creates": {ids["a"]: {"name": "A"}}, "updates": {ids["b"]: {"name": "B"}}}
        in_doubt.mark_in_flight(tx, **sent)
        everybody = ["a", "b", "c"]
        assert in_doubt.creates(tx, "erp", "company") == {"a": {"name": "A"}}
        assert in_doubt.creates_of(tx, "erp", everybody) == {"a": {"name": "A"}}
        assert in_doubt.creates_of(tx, "erp", ["b"]) == in_doubt.creates(tx, "crm", "company") == {}
        assert in_doubt.updates(tx, "erp", everybody) == {"b": {"name": "B"}}
        in_doubt.confirm(tx, "erp", everybody)
        assert in_doubt.updates(tx, "erp", everybody) == {}
        in_doubt.mark_not_sent(tx, ids.values())
        assert in_doubt.creates(tx, "erp", "company") == {}


def test_a_merge_moves_only_updates_in_doubt(
    store: Store,
) -> None:
    """A create in doubt stays with the merged record; an update goes to the survivor."""
    with store.begin() as tx:
        add_golden(tx, [golden("a", "c"), golden("b", "c"), golden("c")])
        ids = entry(tx, "a", "b")
        sent = {"name": "B", "phone": "2"}
        in_doubt.mark_in_flight(tx, creates={ids["a"]: {"name": "A"}}, updates={ids["b"]: sent})
        for loser in ("a", "b"):
            in_doubt.inherit(tx, ["erp"], loser, "c", paths=["phone"])
            outbox.cancel_for(tx, ["erp"], loser)
        assert in_doubt.creates_of_merged(tx, "erp", "company") == ["a"]
        assert in_doubt.creates_of_merged(tx, "crm", "company") == []
        assert in_doubt.updates(tx, "erp", ["a", "b", "c"]) == {"c": {"phone": "2"}}


def test_the_survivors_own_update_is_newer(store: Store) -> None:
    with store.begin() as tx:
        add_golden(tx, [golden("a", "b"), golden("b")])
        ids = entry(tx, "a", "b")
        sent = {ids["a"]: {"name": "A", "phone": "1"}, ids["b"]: {"name": "B"}}
        in_doubt.mark_in_flight(tx, creates={}, updates=sent)
        in_doubt.inherit(tx, ["crm", "erp"], "a", "b", paths=["name", "phone"])
        assert in_doubt.updates(tx, "erp", ["b"]) == {"b": {"name": "B", "phone": "1"}}
