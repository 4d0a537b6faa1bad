"""Dead workers' leases are released at once on their own host; work is leased by one only."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

from hub.model.causes import Cause
from hub.store import dirty, inbox, leases, outbox, quarantine, work
from hub.store.engine import Store
from hub.store.holders import is_dead, worker_name
from hub.store.inbox import InboxEntry
from hub.store.quarantine import Problem
from hub.store.runs import Tally, forget_runs, recent_runs, save_run, start_run
from hub.store.streams import lease_stream

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def test_this_process_lives() -> None:
    assert not is_dead(worker_name())
    assert len(worker_name()) <= 80


def test_an_ended_process_is_dead() -> None:
    code = "from hub.store.holders import worker_name; print(worker_name(), flush=True); input()"
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    name = child.stdout.readline().strip()
    assert not is_dead(name)
    child.kill()
    child.communicate()
    assert is_dead(name)


def test_a_reused_pid_is_another_process() -> None:
    host, _, _ = worker_name().rpartition(":")
    assert is_dead(f"{host}:1")
    assert not is_dead(f"elsewhere:0123456789:{os.getpid()}:1")
    assert not is_dead("a-name-from-somewhere")


def take_everything(store: Store) -> None:
    with store.begin() as tx:
        outbox.enqueue(tx, [("erp", "company", "g1")], now=NOW)
        outbox.lease(tx, "erp", entities=["company"], worker="dead", now=NOW, limit=1)
        lease_stream(tx, "crm", "deals", worker="dead", now=NOW)
        lease_stream(tx, "crm", "notes", worker="alive", now=NOW)
        for run, stream in (("r1", "deals"), ("r2", "notes")):
            start_run(tx, Tally(run, "pull", "crm", stream, NOW))
        assert work.take(tx, "pull crm deals", worker="dead", now=NOW)


def test_the_leases_of_the_dead_are_free_at_once(store: Store) -> None:
    take_everything(store)
    with store.begin() as tx:
        assert leases.holders(tx) == {"dead", "alive"}
        leases.release(tx, "dead", now=NOW, reason="the process ended")
        assert leases.holders(tx) == {"alive"}
        assert outbox.lease(tx, "erp", entities=["company"], worker="b", now=NOW, limit=1)
        assert lease_stream(tx, "crm", "deals", worker="b", now=NOW)
        assert work.take(tx, "pull crm deals", worker="b", now=NOW)
        states = {row.id: row.state for row in recent_runs(tx)}
    assert states == {"r1": "stopped", "r2": "running"}


def test_renewed_leases_last(store: Store) -> None:
    take_everything(store)
    later = NOW + timedelta(hours=1)
    with store.begin() as tx:
        leases.renew(tx, "dead", now=later)
        assert not outbox.lease(tx, "erp", entities=["company"], worker="b", now=later, limit=1)
        assert not lease_stream(tx, "crm", "deals", worker="b", now=later)
        assert not work.take(tx, "pull crm deals", worker="b", now=later)
        assert lease_stream(tx, "crm", "notes", worker="b", now=later)


def test_work_is_taken_by_one_and_only_when_due(store: Store) -> None:
    name = "push erp"
    with store.begin() as tx:
        assert work.states(tx) == {}
        assert work.take(tx, name, worker="a", now=NOW)
        assert not work.take(tx, name, worker="b", now=NOW)
        assert not work.take(tx, name, worker="a", now=NOW)
        assert not work.states(tx)[name].free(NOW)
        work.done(tx, name, worker="b", now=NOW)  # not theirs to release
        assert not work.take(tx, name, worker="b", now=NOW)
        work.done(tx, name, worker="a", now=NOW)
        assert work.states(tx)[name].done_at == NOW
        assert work.take(tx, name, worker="b", now=NOW)
        work.failed(tx, name, worker="b", failures=1, due_at=NOW + MINUTE)
        assert not work.take(tx, name, worker="a", now=NOW)
        assert not work.states(tx)[name].free(NOW)
        assert work.states(tx)[name].failures == 1
        assert work.take(tx, name, worker="a", now=NOW + MINUTE)
        work.unfinished(tx, name, worker="a")
        assert work.states(tx)[name].failures == 1
        assert work.take(tx, name, worker="a", now=NOW + MINUTE)
        work.done(tx, name, worker="a", now=NOW + MINUTE)
        assert work.states(tx)[name] == work.WorkState(done_at=NOW + MINUTE)


def test_a_silent_worker_loses_its_work(store: Store) -> None:
    with store.begin() as tx:
        work.take(tx, "x", worker="a", now=NOW)
        after = NOW + leases.WORK_LEASE + timedelta(seconds=1)
        assert work.states(tx)["x"].free(after)
        assert work.take(tx, "x", worker="b", now=after)


def test_leases_are_counted_by_connection(store: Store) -> None:
    none: frozenset[tuple[str, str]] = frozenset()
    nothing = work.Waiting(notified=none, fetch=none, push=frozenset(), derive=False)
    with store.begin() as tx:
        assert work.waiting(tx, now=NOW) == nothing
        inbox.receive(tx, [InboxEntry("crm", "s", "1", "e")], now=NOW)
        letter = Problem("pull", "shop", "s", "1", "waiting", Cause.FAILED, "parent missing")
        quarantine.put(tx, [letter], now=NOW, due_at=NOW + MINUTE)
        outbox.enqueue(tx, [("erp", "company", "g1")], now=NOW)
        assert work.waiting(tx, now=NOW) == work.Waiting(
            notified=frozenset({("crm", "s")}), fetch=none, push=frozenset({"erp"}), derive=False
        )
        assert work.waiting(tx, now=NOW - MINUTE) == nothing
        outbox.lease(tx, "erp", entities=["company"], worker="a", now=NOW, limit=1)
        assert work.waiting(tx, now=NOW + MINUTE) == work.Waiting(
            notified=frozenset({("crm", "s")}),
            fetch=frozenset({("shop", "s")}),
            push=frozenset(),
            derive=False,
        )
        dirty.mark(tx, ["g1"], now=NOW)
        assert work.waiting(tx, now=NOW).derive


def test_a_waiting_derivation_is_due_in_its_time(store: Store) -> None:
    with store.begin() as tx:
        letter = Problem(
            "flow", "won_deal", "opportunity", "g1", "waiting", Cause.FAILED, "no company"
        )
        quarantine.put(tx, [letter], now=NOW, due_at=NOW + MINUTE)
        assert not work.waiting(tx, now=NOW).derive
        assert work.waiting(tx, now=NOW + MINUTE).derive


def test_old_runs_are_forgotten_quiet_ones_sooner(store: Store) -> None:
    with store.begin() as tx:
        for run, days, changed in (
            ("old", 100, 1),
            ("busy", 10, 1),
            ("quiet", 10, 0),
            ("new", 0, 0),
        ):
            tally = Tally(run, "pull", "crm", "deals", NOW - timedelta(days=days))
            tally.changed = changed
            start_run(tx, tally)
            save_run(tx, tally, state="done", finished_at=NOW)
        quiet, everything = NOW - timedelta(days=2), NOW - timedelta(days=90)
        assert forget_runs(tx, quiet=quiet, all_before=everything) == 2
        assert {row.id for row in recent_runs(tx)} == {"busy", "new"}
