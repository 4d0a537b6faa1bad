"""Conflicts, reviews and history: what people decide, and what became of values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hub.store import disputes
from hub.store.engine import Store

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)


def conflict(path: str = "name", link_id: int = 1, **more: Any) -> dict[str, Any]:
    row = {"golden_id": "g1", "link_id": link_id, "connection": "crm", "path": path}
    return {**row, "base": "A", "ours": "B", "theirs": "C", **more}


def review(key: str = "7", **more: Any) -> dict[str, Any]:
    row = {"connection": "crm", "stream": "companies", "key": key, "entity": "company"}
    return {**row, "title": "ACME", "candidates": ["g1", "g2"], "reason": "two fit", **more}


def test_a_conflict_is_one_row_and_follows_the_values(store: Store) -> None:
    with store.begin() as tx:
        disputes.open_conflict(tx, conflict(), now=NOW)
        disputes.open_conflict(tx, conflict(theirs="D", base="x"), now=LATER)
        (row,) = disputes.listing(tx)
        assert (row["base"], row["ours"], row["theirs"]) == ("A", "B", "D")
        assert row["opened_at"] == NOW
        assert disputes.conflict(tx, row["id"]) == row
        assert disputes.conflict(tx, 999) is None


def test_a_blank_side_stays_blank(store: Store) -> None:
    with store.begin() as tx:
        disputes.open_conflict(tx, conflict(base=None, ours=False), now=NOW)
        (row,) = disputes.listing(tx)
    assert (row["base"], row["ours"]) == (None, False)


def test_closed_conflicts_are_history_and_may_open_anew(store: Store) -> None:
    with store.begin() as tx:
        disputes.open_conflict(tx, conflict("name"), now=NOW)
        disputes.open_conflict(tx, conflict("phone"), now=NOW)
        disputes.open_conflict(tx, conflict("name", link_id=2), now=NOW)
        assert disputes.open_paths(tx, [1, 2]) == {
            1: frozenset({"name", "phone"}),
            2: frozenset({"name"}),
        }
        assert disputes.close(tx, 1, ["name", "city"], resolution="ours", now=LATER) == 1
        assert disputes.close(tx, 1, ["name"], resolution="ours", now=LATER) == 0
        assert disputes.open_paths(tx, [1]) == {1: frozenset({"phone"})}
        disputes.open_conflict(tx, conflict("name"), now=LATER)
        assert len(disputes.listing(tx)) == 3
        everything = disputes.listing(tx, all_of_them=True)
        assert [row["resolution"] for row in everything] == ["ours", None, None, None]
        disputes.move_conflicts(tx, "g1", "g2")
        assert disputes.conflicts_of(tx, "g1") == []
        assert len(disputes.conflicts_of(tx, "g2")) == 4


def test_a_review_keeps_the_decision_when_asked_again(store: Store) -> None:
    with store.begin() as tx:
        disputes.ask_review(tx, [review(), review("8")], now=NOW)
        first, _ = disputes.open_reviews(tx)
        decided = disputes.decide_review(tx, first["id"], "g2")
        assert decided is not None
        assert (decided["decision"], decided["key"]) == ("g2", "7")
        assert disputes.decide_review(tx, 999, "new") is None
        disputes.ask_review(tx, [review(title="ACME SE")], now=LATER)
        assert disputes.decisions(tx, "crm", "companies", ["7", "8", "9"]) == {"7": "g2", "8": None}
        assert [row["key"] for row in disputes.open_reviews(tx)] == ["8"]
        disputes.drop_reviews(tx, "crm", "companies", ["7", "8"])
        assert disputes.decisions(tx, "crm", "companies", ["7", "8"]) == {}


def test_history_is_told_oldest_first_and_by_path(store: Store) -> None:
    def row(path: str, new: str) -> dict[str, Any]:
        return disputes.history_row(
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
        disputes.remember(tx, [])
        disputes.remember(tx, [row("name", "A"), row("phone", "1"), row("name", "B")])
        assert [r["new"] for r in disputes.past(tx, "g1")] == ["A", "1", "B"]
        assert [r["new"] for r in disputes.past(tx, "g1", "name")] == ["A", "B"]
        disputes.move_history(tx, "g1", "g2")
        assert disputes.past(tx, "g1") == []
        assert len(disputes.past(tx, "g2")) == 3
