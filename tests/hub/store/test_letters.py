"""Letters keep what was set aside until it succeeds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hub.store import quarantine
from hub.store.engine import Store
from hub.store.quarantine import QuarantineEntry

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)


def letter(key: str, *, state: str = "waiting", kind: str = "pull", **more: str) -> QuarantineEntry:
    return QuarantineEntry(kind, "crm", "companies", key, state, more.pop("reason", "why"), **more)


def test_a_letter_keeps_its_first_date_and_takes_the_newest_reason(store: Store) -> None:
    with store.begin() as tx:
        quarantine.put(tx, [letter("1")], now=NOW, due_at=NOW)
        quarantine.put(
            tx, [letter("1", reason="other", error="LensError")], now=LATER, due_at=LATER
        )
        (row,) = quarantine.listing(tx)
    assert (row["first_at"], row["last_at"], row["due_at"]) == (NOW, LATER, LATER)
    assert (row["reason"], row["error"]) == ("other", "LensError")


def test_only_waiting_letters_of_the_kind_become_due(store: Store) -> None:
    with store.begin() as tx:
        some = [letter("1"), letter("2", state="buried"), letter("3", kind="flow")]
        quarantine.put(tx, some, now=NOW, due_at=NOW)
        quarantine.put(tx, [letter("4")], now=NOW, due_at=LATER)
        assert [row["key"] for row in quarantine.due(tx, "pull", now=NOW, limit=9)] == ["1"]
        due = quarantine.due(tx, "pull", now=LATER, limit=9)
        assert [row["key"] for row in due] == ["1", "4"]
        assert len(quarantine.due(tx, "pull", now=LATER, limit=1)) == 1
        quarantine.postpone(tx, [due[0]["id"]], due_at=LATER + timedelta(hours=1))
        assert [row["key"] for row in quarantine.due(tx, "pull", now=LATER, limit=9)] == ["4"]
        assert [row["attempts"] for row in quarantine.listing(tx)] == [1, 0, 0, 0]


def test_delivered_letters_are_gone(store: Store) -> None:
    with store.begin() as tx:
        quarantine.put(tx, [letter("1"), letter("2")], now=NOW, due_at=NOW)
        quarantine.resolve(tx, "pull", "crm", stream="companies", keys=["1"])
        quarantine.resolve(tx, "pull", "erp", stream="companies", keys=["2"])
        quarantine.resolve(tx, "flow", "crm", stream="companies", keys=["2"])
        assert [row["key"] for row in quarantine.listing(tx)] == ["2"]
        assert quarantine.pending(tx, "crm").letters
        assert not quarantine.pending(tx, "erp").letters


def test_what_it_waits_for_wakes_it(store: Store) -> None:
    with store.begin() as tx:
        waiting = [letter("1", waits_for="parent"), letter("2", waits_for="other")]
        quarantine.put(tx, waiting, now=NOW, due_at=LATER)
        quarantine.resume_waiting(tx, [], now=NOW)
        assert quarantine.due(tx, "pull", now=NOW, limit=9) == []
        quarantine.resume_waiting(tx, ["parent"], now=NOW)
        assert [row["key"] for row in quarantine.due(tx, "pull", now=NOW, limit=9)] == ["1"]
        quarantine.resume_all_waiting(tx, now=NOW)
        assert len(quarantine.due(tx, "pull", now=NOW, limit=9)) == 2


def test_replay_and_drop(store: Store) -> None:
    with store.begin() as tx:
        some = [letter("1", state="buried"), letter("2", state="buried")]
        quarantine.put(tx, some, now=NOW, due_at=LATER)
        first, second = (row["id"] for row in quarantine.listing(tx))
        assert quarantine.retry(tx, [first, 999], now=NOW) == 1
        assert [row["key"] for row in quarantine.due(tx, "pull", now=NOW, limit=9)] == ["1"]
        assert quarantine.drop(tx, [second]) == 1
        assert [row["key"] for row in quarantine.listing(tx)] == ["1"]
