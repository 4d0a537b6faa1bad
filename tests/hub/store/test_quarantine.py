"""Quarantine entries stay until their record succeeds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hub.model.causes import Cause
from hub.store import outbox, quarantine
from hub.store.engine import Store
from hub.store.links import Link, add_links
from hub.store.outbox import Postponed
from hub.store.quarantine import Problem

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)


def entry(key: str, *, state: str = "waiting", kind: str = "pull", **more: Any) -> Problem:
    reason = more.pop("reason", "why")
    return Problem(kind, "crm", "companies", key, state, Cause.FAILED, reason, **more)


def test_an_entry_keeps_its_first_date(store: Store) -> None:
    with store.begin() as tx:
        quarantine.put(tx, [entry("1")], now=NOW, due_at=NOW)
        quarantine.put(tx, [entry("1", reason="other", error="LensError")], now=LATER, due_at=LATER)
        (row,) = quarantine.listing(tx)
    assert (row.since, row.last_at, row.next_attempt_at) == (NOW, LATER, LATER)
    assert (row.reason, row.error) == ("other", "LensError")


def test_only_waiting_entries_become_due(store: Store) -> None:
    with store.begin() as tx:
        some = [entry("1"), entry("2", state="held"), entry("3", kind="flow")]
        quarantine.put(tx, some, now=NOW, due_at=NOW)
        quarantine.put(tx, [entry("4")], now=NOW, due_at=LATER)
        assert [row.key for row in quarantine.due(tx, "pull", now=NOW, limit=9)] == ["1"]
        due = quarantine.due(tx, "pull", now=LATER, limit=9)
        assert [row.key for row in due] == ["1", "4"]
        assert len(quarantine.due(tx, "pull", now=LATER, limit=1)) == 1
        quarantine.postpone(tx, [due[0].id], due_at=LATER + timedelta(hours=1))
        assert [row.key for row in quarantine.due(tx, "pull", now=LATER, limit=9)] == ["4"]
        assert [row.attempts for row in quarantine.listing(tx)] == [1, 0, 0, 0]


def test_resolved_entries_are_gone(store: Store) -> None:
    with store.begin() as tx:
        quarantine.put(tx, [entry("1"), entry("2")], now=NOW, due_at=NOW)
        quarantine.resolve(tx, "pull", "crm", stream="companies", keys=["1"])
        quarantine.resolve(tx, "pull", "erp", stream="companies", keys=["2"])
        quarantine.resolve(tx, "flow", "crm", stream="companies", keys=["2"])
        assert [row.key for row in quarantine.listing(tx)] == ["2"]
        assert quarantine.pending(tx, "crm").quarantine
        assert not quarantine.pending(tx, "erp").quarantine


def test_the_awaited_record_resumes_it(store: Store) -> None:
    with store.begin() as tx:
        waiting = [entry("1", waits_for="parent"), entry("2", waits_for="other")]
        quarantine.put(tx, waiting, now=NOW, due_at=LATER)
        quarantine.resume_waiting(tx, [], now=NOW)
        assert quarantine.due(tx, "pull", now=NOW, limit=9) == []
        quarantine.resume_waiting(tx, ["parent"], now=NOW)
        assert [row.key for row in quarantine.due(tx, "pull", now=NOW, limit=9)] == ["1"]
        quarantine.resume_all_waiting(tx, now=NOW)
        assert len(quarantine.due(tx, "pull", now=NOW, limit=9)) == 2


def test_replay_and_drop(store: Store) -> None:
    with store.begin() as tx:
        some = [entry("1", state="held"), entry("2", state="held")]
        quarantine.put(tx, some, now=NOW, due_at=LATER)
        first, second = (row.id for row in quarantine.listing(tx))
        assert quarantine.retry(tx, [first, 999], now=NOW) == 1
        assert [row.key for row in quarantine.due(tx, "pull", now=NOW, limit=9)] == ["1"]
        assert quarantine.drop(tx, [second]) == 1
        assert [row.key for row in quarantine.listing(tx)] == ["1"]


def test_prints_last_until_link_or_resolve(store: Store) -> None:
    with store.begin() as tx:
        add_links(tx, [Link("crm", "companies", "linked", "g1")])
        some = [entry(key, prints=[7, -7]) for key in ("1", "2", "linked")]
        quarantine.put(tx, some, now=NOW, due_at=NOW)
        assert quarantine.matching(tx, "crm", "companies", [7, 8]) == {7: "2"}
        assert quarantine.matching(tx, "erp", "companies", [7]) == {}
        quarantine.put(tx, [entry("2", prints=[8])], now=LATER, due_at=LATER)
        quarantine.put(tx, [entry("1")], now=LATER, due_at=LATER)  # its prints stay
        assert quarantine.matching(tx, "crm", "companies", [7, 8]) == {7: "1", 8: "2"}
        quarantine.drop_prints(tx, "crm", "companies", ["2"])
        assert quarantine.matching(tx, "crm", "companies", [7, 8]) == {7: "1"}
        quarantine.resolve(tx, "pull", "crm", stream="companies", keys=["1"])
        assert quarantine.matching(tx, "crm", "companies", [7, 8]) == {}


def test_a_write_leaves_with_its_outbox_entry(store: Store) -> None:
    wanted = [("erp", "company", f"g{n}") for n in range(4)]
    with store.begin() as tx:
        outbox.enqueue(tx, wanted, now=NOW)
        leased = outbox.lease(tx, "erp", entities=["company"], worker="w", now=NOW, limit=9)
        held = [
            Postponed(entry, "held", NOW, "no", Cause.REFUSED, error="RecordRejectedError")
            for entry in leased
        ]
        outbox.postpone(tx, held, now=NOW)
        entries = quarantine.listing(tx, kinds=("push",))
        assert [(e.key, e.cause, e.name) for e in entries] == [
            (f"g{n}", Cause.REFUSED, f"push-{entries[n].id}") for n in range(4)
        ]
        assert all(e.next_attempt_at is None and e.next_action for e in entries)
        outbox.enqueue(tx, wanted[:1], now=LATER)
        outbox.cancel_for(tx, ["erp"], "g1")
        outbox.complete(tx, leased[2:3])
        assert [e.key for e in quarantine.listing(tx)] == ["g3"]
        quarantine.retry_refused(tx, now=LATER)
        assert quarantine.listing(tx) == []
        assert outbox.backlog(tx) == {("erp", "due"): 2}
