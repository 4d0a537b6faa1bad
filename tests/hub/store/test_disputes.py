"""Conflicts, reviews and history: what people decide, and the history of values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hub.store import history
from hub.store.conflicts import (
    NewConflict,
    close_conflicts,
    conflicts_of,
    find_conflict,
    list_conflicts,
    move_conflicts,
    open_conflict,
    open_paths,
)
from hub.store.engine import Store
from hub.store.history import HistoryRow
from hub.store.reviews import (
    Question,
    ask_review,
    drop_reviews,
    open_reviews,
    review_decisions,
    save_decision,
)

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)


def conflict(path: str = "name", link_id: int = 1, **more: Any) -> NewConflict:
    values = {"base": "A", "ours": "B", "theirs": "C", **more}
    return NewConflict("g1", link_id, "crm", path, **values)


def review(key: str = "7", title: str = "ACME") -> Question:
    return Question("crm", "companies", key, "company", title, ["g1", "g2"], "two fit")


def test_a_conflict_is_one_row_with_new_values(store: Store) -> None:
    with store.begin() as tx:
        open_conflict(tx, conflict(), now=NOW)
        open_conflict(tx, conflict(theirs="D", base="x"), now=LATER)
        (row,) = list_conflicts(tx)
        assert (row.base, row.ours, row.theirs) == ("A", "B", "D")
        assert row.opened_at == NOW
        assert find_conflict(tx, row.id) == row
        assert find_conflict(tx, 999) is None


def test_a_blank_side_stays_blank(store: Store) -> None:
    with store.begin() as tx:
        open_conflict(tx, conflict(base=None, ours=False), now=NOW)
        (row,) = list_conflicts(tx)
    assert (row.base, row.ours) == (None, False)


def test_closed_conflicts_may_open_again(store: Store) -> None:
    with store.begin() as tx:
        open_conflict(tx, conflict("name"), now=NOW)
        open_conflict(tx, conflict("phone"), now=NOW)
        open_conflict(tx, conflict("name", link_id=2), now=NOW)
        assert open_paths(tx, [1, 2]) == {
            1: frozenset({"name", "phone"}),
            2: frozenset({"name"}),
        }
        assert close_conflicts(tx, 1, ["name", "city"], resolution="ours", now=LATER) == 1
        assert close_conflicts(tx, 1, ["name"], resolution="ours", now=LATER) == 0
        assert open_paths(tx, [1]) == {1: frozenset({"phone"})}
        open_conflict(tx, conflict("name"), now=LATER)
        assert len(list_conflicts(tx)) == 3
        everything = list_conflicts(tx, all_of_them=True)
        assert [row.resolution for row in everything] == ["ours", None, None, None]
        move_conflicts(tx, "g1", "g2")
        assert conflicts_of(tx, "g1") == []
        assert len(conflicts_of(tx, "g2")) == 4


def test_a_repeated_review_keeps_its_decision(store: Store) -> None:
    with store.begin() as tx:
        ask_review(tx, [review(), review("8")], now=NOW)
        first, _ = open_reviews(tx)
        decided = save_decision(tx, first.id, "g2")
        assert decided is not None
        assert (decided.decision, decided.key) == ("g2", "7")
        assert save_decision(tx, 999, "new") is None
        ask_review(tx, [review(title="ACME SE")], now=LATER)
        assert review_decisions(tx, "crm", "companies", ["7", "8", "9"]) == {"7": "g2", "8": None}
        assert [row.key for row in open_reviews(tx)] == ["8"]
        drop_reviews(tx, "crm", "companies", ["7", "8"])
        assert review_decisions(tx, "crm", "companies", ["7", "8"]) == {}


def test_history_is_listed_by_path_oldest_first(store: Store) -> None:
    def row(path: str, new: str) -> HistoryRow:
        return HistoryRow(
            "g1",
            path,
            old=None,
            new=new,
            connection="crm",
            decision="taken",
            why="only this side",
            at=NOW,
            run="r1",
        )

    with store.begin() as tx:
        history.add(tx, [])
        history.add(tx, [row("name", "A"), row("phone", "1"), row("name", "B")])
        assert [r.new for r in history.past(tx, "g1")] == ["A", "1", "B"]
        assert [r.new for r in history.past(tx, "g1", "name")] == ["A", "B"]
        history.move(tx, "g1", "g2")
        assert history.past(tx, "g1") == []
        assert len(history.past(tx, "g2")) == 3
