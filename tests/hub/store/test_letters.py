"""Letters keep what was set aside until it succeeds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hub.store import disputes, letters
from hub.store.engine import Store
from hub.store.letters import Letter

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)


def letter(key: str, *, state: str = "waiting", kind: str = "pull", **more: str) -> Letter:
    return Letter(kind, "crm", "companies", key, state, more.pop("reason", "why"), **more)


def test_a_letter_keeps_its_first_date_and_takes_the_newest_reason(store: Store) -> None:
    with store.begin() as tx:
        letters.put(tx, [letter("1")], now=NOW, due_at=NOW)
        letters.put(tx, [letter("1", reason="other", error="LensError")], now=LATER, due_at=LATER)
        (row,) = letters.listing(tx)
    assert (row["first_at"], row["last_at"], row["due_at"]) == (NOW, LATER, LATER)
    assert (row["reason"], row["error"]) == ("other", "LensError")


def test_only_waiting_letters_of_the_kind_become_due(store: Store) -> None:
    with store.begin() as tx:
        some = [letter("1"), letter("2", state="buried"), letter("3", kind="flow")]
        letters.put(tx, some, now=NOW, due_at=NOW)
        letters.put(tx, [letter("4")], now=NOW, due_at=LATER)
        assert [row["key"] for row in letters.due(tx, "pull", now=NOW, limit=9)] == ["1"]
        due = letters.due(tx, "pull", now=LATER, limit=9)
        assert [row["key"] for row in due] == ["1", "4"]
        assert len(letters.due(tx, "pull", now=LATER, limit=1)) == 1
        letters.later(tx, [due[0]["id"]], due_at=LATER + timedelta(hours=1))
        assert [row["key"] for row in letters.due(tx, "pull", now=LATER, limit=9)] == ["4"]
        assert [row["attempts"] for row in letters.listing(tx)] == [1, 0, 0, 0]


def test_delivered_letters_are_gone(store: Store) -> None:
    with store.begin() as tx:
        letters.put(tx, [letter("1"), letter("2")], now=NOW, due_at=NOW)
        letters.deliver(tx, "pull", "crm", stream="companies", keys=["1"])
        letters.deliver(tx, "pull", "erp", stream="companies", keys=["2"])
        letters.deliver(tx, "flow", "crm", stream="companies", keys=["2"])
        assert [row["key"] for row in letters.listing(tx)] == ["2"]
        assert disputes.pending(tx, "crm").letters
        assert not disputes.pending(tx, "erp").letters


def test_what_it_waits_for_wakes_it(store: Store) -> None:
    with store.begin() as tx:
        waiting = [letter("1", waits_for="parent"), letter("2", waits_for="other")]
        letters.put(tx, waiting, now=NOW, due_at=LATER)
        letters.wake(tx, [], now=NOW)
        assert letters.due(tx, "pull", now=NOW, limit=9) == []
        letters.wake(tx, ["parent"], now=NOW)
        assert [row["key"] for row in letters.due(tx, "pull", now=NOW, limit=9)] == ["1"]
        letters.wake_all(tx, now=NOW)
        assert len(letters.due(tx, "pull", now=NOW, limit=9)) == 2


def test_replay_and_drop(store: Store) -> None:
    with store.begin() as tx:
        some = [letter("1", state="buried"), letter("2", state="buried")]
        letters.put(tx, some, now=NOW, due_at=LATER)
        first, second = (row["id"] for row in letters.listing(tx))
        assert letters.replay(tx, [first, 999], now=NOW) == 1
        assert [row["key"] for row in letters.due(tx, "pull", now=NOW, limit=9)] == ["1"]
        assert letters.drop(tx, [second]) == 1
        assert [row["key"] for row in letters.listing(tx)] == ["1"]
