"""What was sent and not heard of: by whom, whether it may have happened, and who inherits it."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Connection

from hub.store import outbox, unheard
from hub.store.engine import Store
from hub.store.golden import Golden, add_golden

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def entry(tx: Connection, *ids: str) -> dict[str, int]:
    """Wants these in the ERP; returns golden id -> wish id."""
    outbox.enqueue(tx, [("erp", "company", golden_id) for golden_id in ids], now=NOW)
    given = {"entities": ["company"], "worker": "w", "now": NOW, "limit": 10}
    return {w.golden_id: w.id for w in outbox.lease(tx, "erp", **given)}  # type: ignore[arg-type]


def thing(name: str, merged_into: str | None = None) -> Golden:
    return Golden(name, "company", {}, "crm", {}, NOW, NOW, "run", merged_into=merged_into)


def test_creates_and_updates_are_told_apart(store: Store) -> None:
    with store.begin() as tx:
        ids = entry(tx, "a", "b", "c")
        sent = {"creates": {ids["a"]: {"name": "A"}}, "updates": {ids["b"]: {"name": "B"}}}
        unheard.mark_in_flight(tx, **sent)
        everybody = ["a", "b", "c"]
        assert unheard.creates(tx, "erp", "company") == {"a": {"name": "A"}}
        assert unheard.creates_of(tx, "erp", everybody) == {"a": {"name": "A"}}
        assert unheard.creates_of(tx, "erp", ["b"]) == unheard.creates(tx, "crm", "company") == {}
        assert unheard.updates(tx, "erp", everybody) == {"b": {"name": "B"}}
        unheard.confirm(tx, "erp", everybody)
        assert unheard.updates(tx, "erp", everybody) == {}
        unheard.mark_not_sent(tx, ids.values())
        assert unheard.creates(tx, "erp", "company") == {}


def test_a_create_stays_with_what_was_merged_and_an_update_goes_to_the_survivor(
    store: Store,
) -> None:
    with store.begin() as tx:
        add_golden(tx, [thing("a", "c"), thing("b", "c"), thing("c")])
        ids = entry(tx, "a", "b")
        told = {"name": "B", "phone": "2"}
        unheard.mark_in_flight(tx, creates={ids["a"]: {"name": "A"}}, updates={ids["b"]: told})
        for loser in ("a", "b"):
            unheard.inherit(tx, ["erp"], loser, "c", paths=["phone"])
            outbox.cancel_for(tx, ["erp"], loser)
        assert unheard.creates_of_merged(tx, "erp", "company") == ["a"]
        assert unheard.creates_of_merged(tx, "crm", "company") == []
        assert unheard.updates(tx, "erp", ["a", "b", "c"]) == {"c": {"phone": "2"}}


def test_what_the_survivor_was_told_itself_is_newer(store: Store) -> None:
    with store.begin() as tx:
        add_golden(tx, [thing("a", "b"), thing("b")])
        ids = entry(tx, "a", "b")
        told = {ids["a"]: {"name": "A", "phone": "1"}, ids["b"]: {"name": "B"}}
        unheard.mark_in_flight(tx, creates={}, updates=told)
        unheard.inherit(tx, ["crm", "erp"], "a", "b", paths=["name", "phone"])
        assert unheard.updates(tx, "erp", ["b"]) == {"b": {"name": "B", "phone": "1"}}
