"""Which golden record a record belongs to after merges."""

from __future__ import annotations

from datetime import UTC, datetime

from hub.store import merges
from hub.store.engine import Store
from hub.store.golden import Golden, add_golden

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def test_merges_lead_to_the_last_survivor(store: Store) -> None:
    into = {"a": "b", "b": "c", "c": None, "d": "c", "e": None}
    with store.begin() as tx:
        made = [
            Golden(n, "company", {}, "crm", {}, NOW, NOW, "run", merged_into=m)
            for n, m in into.items()
        ]
        add_golden(tx, made)
        assert merges.survivors(tx, ["a", "c", "d", "e", "nobody"]) == {
            "a": "c",
            "c": "c",
            "d": "c",
            "e": "e",
            "nobody": "nobody",
        }
        assert merges.survivors(tx, []) == {}
