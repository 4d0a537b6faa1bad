"""Recent changes: each record once, and only as long as it counts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hub.model.change_limits import RecentChanges
from hub.store import outbox, recent_changes
from hub.store.engine import Store
from hub.store.golden import Golden, add_golden
from hub.store.links import Link, add_links

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
PLACE = ("crm", "companies")


def test_a_record_counts_once_by_its_newest_kind(store: Store) -> None:
    with store.begin() as tx:
        recent_changes.note(tx, *PLACE, {}, now=NOW)
        recent_changes.note(tx, *PLACE, {"1": "changed", "2": "changed", "3": "deleted"}, now=NOW)
        recent_changes.note(tx, *PLACE, {"2": "gone", "1": "changed"}, now=NOW)
        recent_changes.note(tx, "crm", "deals", {"1": "gone"}, now=NOW)
        assert recent_changes.lately(tx, *PLACE) == (RecentChanges(changed=1, gone=1), 1)
        assert recent_changes.lately(tx, "erp", "companies") == (RecentChanges(), 0)


def test_old_changes_are_forgotten(store: Store) -> None:
    later = NOW + timedelta(minutes=30)
    with store.begin() as tx:
        recent_changes.note(tx, *PLACE, {"1": "changed", "2": "gone"}, now=NOW)
        recent_changes.note(tx, *PLACE, {"1": "changed"}, now=later)
        recent_changes.note(tx, "crm", "deals", {"1": "gone"}, now=NOW)
        recent_changes.forget_before(tx, *PLACE, before=later)
        assert recent_changes.lately(tx, *PLACE) == (RecentChanges(changed=1), 0)
        assert recent_changes.lately(tx, "crm", "deals") == (RecentChanges(gone=1), 0)


def test_accepted_changes_are_forgotten(store: Store) -> None:
    with store.begin() as tx:
        recent_changes.note(tx, *PLACE, {"1": "changed", "2": "gone", "3": "deleted"}, now=NOW)
        recent_changes.forget(tx, *PLACE, kinds=["changed", "gone"])
        assert recent_changes.lately(tx, *PLACE) == (RecentChanges(), 1)


def test_only_entries_that_delete_count(store: Store) -> None:
    def golden(name: str, **more: Any) -> Golden:
        return Golden(name, "company", {}, "crm", {}, NOW, NOW, "run", **more)

    with store.begin() as tx:
        gone = {name: golden(name, deleted_at=NOW) for name in ("g1", "g2", "g3")}
        add_golden(tx, [*gone.values(), golden("g4")])
        add_links(
            tx,
            [
                Link("erp", "parties", "1", "g1"),
                Link("erp", "parties", "2", "g2", gone_at=NOW),
                Link("erp", "others", "3", "g3"),
                Link("erp", "parties", "4", "g4"),
            ],
        )
        outbox.enqueue(tx, [("erp", "company", f"g{n}") for n in (1, 2, 3, 4)], now=NOW)
        outbox.enqueue(tx, [("crm", "company", "g1")], now=NOW)
        assert recent_changes.deletes_waiting(tx, "erp", "parties") == 1
        assert recent_changes.deletes_waiting(tx, "crm", "parties") == 0
