"""Inbox, outbox and derivations: folded, leased once, never lost in a race."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, event

from hub.store import dirty, in_doubt, inbox, outbox, quarantine
from hub.store.engine import Store
from hub.store.inbox import InboxEntry
from hub.store.outbox import LEASE, OutboxEntry, Postponed

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
ALL = ("company", "contact", "sales_order")


def notification(key: str, event: str, **more: Any) -> InboxEntry:
    usual = {"connection": "crm", "stream": "companies"}
    return InboxEntry(key=key, event_id=event, **{**usual, **more})


def lease(
    store: Store, *, worker: str = "w1", now: datetime = NOW, limit: int = 10
) -> list[OutboxEntry]:
    with store.begin() as tx:
        return outbox.lease(tx, "erp", entities=ALL, worker=worker, now=now, limit=limit)


def want(store: Store, *ids: str, entity: str = "company", now: datetime = NOW) -> None:
    with store.begin() as tx:
        outbox.enqueue(tx, [("erp", entity, golden_id) for golden_id in ids], now=now)


def backlog(store: Store) -> dict[tuple[str, str], int]:
    with store.read() as tx:
        return outbox.backlog(tx)


def test_an_event_is_received_once(store: Store) -> None:
    with store.begin() as tx:
        inbox.receive(
            tx, [notification("1", "a"), notification("1", "a"), notification("2", "b")], now=NOW
        )
        inbox.receive(
            tx, [notification("1", "a"), notification("9", "c", connection="erp")], now=LATER
        )
        inbox.receive(tx, [], now=NOW)
        items = inbox.due(tx, "crm", "companies", now=NOW, limit=10)
    assert [item.key for item in items] == ["1", "2"]
    assert backlog(store) == {("crm", "inbox"): 2, ("erp", "inbox"): 1}


def test_the_inbox_is_read_oldest_first(store: Store) -> None:
    with store.begin() as tx:
        inbox.receive(tx, [notification(str(n), f"e{n}") for n in range(5)], now=NOW)
        inbox.receive(tx, [notification("x", "m", stream="deals", merged_into="y")], now=NOW)
        assert inbox.streams_due(tx, "crm", now=NOW) == ["companies", "deals"]
        assert inbox.streams_due(tx, "crm", now=NOW - timedelta(seconds=1)) == []
        first = inbox.due(tx, "crm", "companies", now=NOW, limit=3)
        assert [item.key for item in first] == ["0", "1", "2"]
        inbox.done(tx, [item.id for item in first])
        inbox.postpone(
            tx, [inbox.due(tx, "crm", "companies", now=NOW, limit=1)[0].id], due_at=LATER
        )
        left = inbox.due(tx, "crm", "companies", now=NOW, limit=3)
        assert [item.key for item in left] == ["4"]
        assert len(inbox.due(tx, "crm", "companies", now=LATER, limit=3)) == 2
        merged = inbox.due(tx, "crm", "deals", now=NOW, limit=3)
    assert (merged[0].key, merged[0].merged_into) == ("x", "y")


def test_entries_for_the_same_record_fold(store: Store) -> None:
    want(store, "g1", "g1", "g2")
    want(store, "g1")
    assert backlog(store) == {("erp", "due"): 2}


def test_parents_are_leased_before_children(store: Store) -> None:
    want(store, "o1", entity="sales_order")
    want(store, "g1")
    assert [w.entity for w in lease(store)] == ["company"]
    assert [w.entity for w in lease(store)] == ["sales_order"]
    assert lease(store) == []


def test_a_lease_runs_out(store: Store) -> None:
    want(store, "g1")
    assert len(lease(store)) == 1
    assert lease(store, worker="w2", now=NOW + LEASE) == []
    assert len(lease(store, worker="w2", now=NOW + LEASE + timedelta(seconds=1))) == 1


def test_two_workers_never_get_the_same_entry(store: Store) -> None:
    want(store, *(f"g{n}" for n in range(60)))
    got: dict[str, list[str]] = {"w1": [], "w2": [], "w3": []}

    def work(name: str) -> None:
        while found := lease(store, worker=name, limit=5):
            got[name] += [entry.golden_id for entry in found]

    threads = [threading.Thread(target=work, args=(name,)) for name in got]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    together = [golden_id for mine in got.values() for golden_id in mine]
    assert len(together) == len(set(together)) == 60


def test_a_locked_entry_is_skipped(postgresql_store: Store) -> None:
    store = postgresql_store
    want(store, "g1", "g2")
    with store.begin() as first:
        mine = outbox.lease(first, "erp", entities=ALL, worker="w1", now=NOW, limit=1)
        with store.begin() as second:  # the first transaction is still open
            theirs = outbox.lease(second, "erp", entities=ALL, worker="w2", now=NOW, limit=10)
    assert [w.golden_id for w in (*mine, *theirs)] == ["g1", "g2"]


def test_a_complete_entry_is_gone(store: Store) -> None:
    want(store, "g1")
    entries = lease(store)
    with store.begin() as tx:
        outbox.complete(tx, entries)
    assert backlog(store) == {}


def test_an_entry_enqueued_in_flight_stays(store: Store) -> None:
    want(store, "g1")
    entries = lease(store)
    want(store, "g1", now=LATER)
    with store.begin() as tx:
        outbox.complete(tx, entries)
    again = lease(store, worker="w2", now=LATER)
    assert [(w.golden_id, w.generation > entries[0].generation) for w in again] == [("g1", True)]


def test_a_create_stays_in_doubt_until_complete(store: Store) -> None:
    want(store, "g1")
    entries = lease(store)
    with store.begin(durable=True) as tx:
        in_doubt.mark_in_flight(tx, creates={w.id: {"name": "A"} for w in entries}, updates={})
    want(store, "g1")  # enqueued again: it must still be probed first
    later = NOW + LEASE * 2
    again = lease(store, worker="w2", now=later)
    assert [w.state for w in again] == ["in_flight"]
    want(store, "g1", now=later)
    with store.begin() as tx:
        outbox.complete(tx, again)
    assert [w.state for w in lease(store, now=later)] == ["due"]


def postpone(tx, entry, state, reason, *, due_at=LATER, **why):
    """Lets a leased entry wait, or quarantines it."""
    outbox.postpone(tx, [Postponed(entry, state, due_at, reason, **why)], now=NOW)


def test_a_postponed_entry_waits_and_counts(store: Store) -> None:
    want(store, "g1", "g2")
    first, second = lease(store)
    with store.begin() as tx:
        why = {"error": "Missing", "waits_for": "parent"}
        postpone(tx, first, "waiting", "no company yet", **why)
        postpone(tx, second, "held", "refused")
        aside = quarantine.listing(tx)
        assert [(entry.state, entry.reason) for entry in aside] == [
            ("waiting", "no company yet"),
            ("held", "refused"),
        ]
        assert quarantine.listing(tx, source="crm") == []
        assert len(quarantine.listing(tx, source="erp")) == 2
    assert lease(store) == []
    with store.begin() as tx:
        quarantine.resume_waiting(tx, ["parent"], now=NOW)
        quarantine.resume_waiting(tx, [], now=NOW)
    assert [(w.golden_id, w.attempts) for w in lease(store)] == [("g1", 1)]


def test_enqueueing_releases_a_held_entry(store: Store) -> None:
    want(store, "g1")
    (entry,) = lease(store)
    with store.begin() as tx:
        postpone(tx, entry, "held", "refused")
    assert lease(store, now=LATER) == []
    want(store, "g1", now=LATER)
    assert [(w.state, w.attempts) for w in lease(store, now=LATER)] == [("due", 0)]


def test_an_entry_changed_when_refused_is_retried(store: Store) -> None:
    want(store, "g1")
    (entry,) = lease(store)
    want(store, "g1")
    with store.begin() as tx:
        postpone(tx, entry, "held", "refused", due_at=NOW)
    assert [w.golden_id for w in lease(store)] == ["g1"]


def test_released_entries_are_as_before(store: Store) -> None:
    want(store, "g1")
    entries = lease(store)
    with store.begin() as tx:
        outbox.release(tx, entries)
    assert lease(store, worker="w2") == entries


def test_replay_and_drop(store: Store) -> None:
    want(store, "g1", "g2")
    with store.begin() as tx:
        for entry in outbox.lease(tx, "erp", entities=ALL, worker="w", now=NOW, limit=9):
            postpone(tx, entry, "held", "refused")
        first, second = (entry.id for entry in quarantine.listing(tx))
        assert quarantine.retry(tx, [first], now=NOW) == 1
        assert quarantine.drop(tx, [second, 999]) == 1
    assert [(w.golden_id, w.attempts) for w in lease(store)] == [("g1", 0)]
    assert backlog(store) == {("erp", "due"): 1}


def test_resuming_leaves_held_entries(store: Store) -> None:
    want(store, "g1", "g2")
    with store.begin() as tx:
        inbox.receive(tx, [notification("1", "a")], now=LATER)
        one, two = outbox.lease(tx, "erp", entities=ALL, worker="w", now=NOW, limit=9)
        postpone(tx, one, "waiting", "")
        postpone(tx, two, "held", "")
        assert outbox.due_counts(tx, now=NOW) == (0, 0, 0)
        outbox.resume_all_waiting(tx, now=NOW)
        dirty.mark(tx, ["g1"], now=NOW)
        assert outbox.due_counts(tx, now=NOW) == (1, 1, 1)


def test_a_derivation_due_again_meanwhile_stays(store: Store) -> None:
    with store.begin() as tx:
        dirty.mark(tx, ["g1", "g2", "g1"], now=NOW)
        marks, _ = dirty.due(tx, limit=10)
        assert set(marks) == {"g1", "g2"}
        dirty.mark(tx, ["g1"], now=NOW)  # by a clock that did not advance
        dirty.clear(tx, marks)
        assert set(dirty.due(tx, limit=10)[0]) == {"g1"}
        dirty.clear(tx, dirty.due(tx, limit=10)[0])
        assert dirty.due(tx, limit=10) == ({}, 0)


@pytest.mark.parametrize("back", [timedelta(0), timedelta(minutes=5)])
def test_marks_rise_even_when_the_clock_goes_back(store: Store, back: timedelta) -> None:
    with store.begin() as tx:
        dirty.mark(tx, ["g1"], now=NOW)
        before = dirty.due(tx, limit=1)[0]["g1"]
        dirty.mark(tx, ["g1"], now=NOW - back)
        assert dirty.due(tx, limit=1)[0]["g1"] > before


def test_waiting_entries_name_a_cause_and_resume(store: Store) -> None:
    """What waits for a connection names the cause, and is resumed with the connection."""
    with store.begin() as tx:
        entries = [("erp", "company", "g1"), ("erp", "company", "g2"), ("crm", "company", "g1")]
        outbox.enqueue(tx, entries, now=NOW)
        for name in ("erp", "crm"):
            for entry in outbox.lease(tx, name, entities=["company"], worker="w", now=NOW, limit=1):
                why = f"held in {name}"
                postpone(tx, entry, "waiting", why)
        assert quarantine.write_reasons(tx, "erp", ["g1", "g2"]) == {"g1": "held in erp"}
        outbox.resume_held(tx, "erp", now=NOW)
        for name, number in (("erp", 2), ("crm", 0)):
            found = outbox.lease(tx, name, entities=["company"], worker="w", now=NOW, limit=9)
            assert len(found) == number


def test_derivations_are_limited_and_oldest_first(store: Store) -> None:
    with store.begin() as tx:
        dirty.mark(tx, ["late"], now=LATER)
        dirty.mark(tx, ["early"], now=NOW)
        assert list(dirty.due(tx, limit=1)[0]) == ["early"]


def test_derived_derivations_come_last(store: Store) -> None:
    with store.begin() as tx:
        dirty.mark(tx, ["chased"], now=NOW, hops=3)
        dirty.mark(tx, ["fresh"], now=LATER)
        assert dirty.due(tx, limit=10) == ({"fresh": LATER.timestamp()}, 0)
        dirty.clear(tx, dirty.due(tx, limit=10)[0])
        dirty.mark(tx, ["chased"], now=LATER)  # a new change does not shorten the chain
        assert dirty.due(tx, limit=10)[1] == 3


def test_an_entry_raced_in_flight_is_not_lost(postgresql_store: Store) -> None:
    store = postgresql_store
    want(store, "g1")
    entries = lease(store)

    def fulfil() -> None:
        with store.begin() as tx:
            outbox.complete(tx, entries)

    interrupted(store, lambda tx: outbox.enqueue(tx, [("erp", "company", "g1")], now=NOW), fulfil)
    assert backlog(store) == {("erp", "due"): 1}


def test_a_derivation_raced_is_not_lost(postgresql_store: Store) -> None:
    store = postgresql_store

    def mark_dirty() -> None:
        with store.begin() as tx:
            dirty.mark(tx, ["g1"], now=NOW)

    def derive() -> None:
        with store.begin() as tx:
            dirty.clear(tx, dirty.due(tx, limit=9)[0])

    interrupted(store, lambda tx: dirty.mark(tx, ["g1"], now=LATER), mark_dirty, derive)
    with store.read() as tx:
        assert set(dirty.due(tx, limit=9)[0]) == {"g1"}


def interrupted(
    store: Store, work: Callable[[Connection], None], *others: Callable[[], None]
) -> None:
    """Works in a transaction; after each statement another transaction does its work.

    A transaction that has to wait continues after it.
    """
    started: list[threading.Thread] = []

    def next_one(*_: Any) -> None:
        if len(started) < len(others):
            started.append(threading.Thread(target=others[len(started)]))
            started[-1].start()
            started[-1].join(timeout=1)

    with store.begin() as tx:
        event.listen(tx, "after_cursor_execute", next_one)
        work(tx)
        event.remove(tx, "after_cursor_execute", next_one)
        for _ in others[len(started) :]:
            next_one()
    for thread in started:
        thread.join()
