"""Cursors, pauses, stream leases, runs."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

from hub.store.connections import connection_states, pause_reason, save_connection
from hub.store.engine import Store
from hub.store.paused import paused
from hub.store.runs import Tally, recent_runs, save_run, start_run
from hub.store.streams import (
    STREAM_LEASE,
    StreamState,
    all_streams,
    lease_stream,
    release_stream,
    save_stream,
    stream_state,
)

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def test_a_stream_never_read_has_no_state(store: Store) -> None:
    with store.read() as tx:
        assert stream_state(tx, "crm", "companies") == StreamState()
        assert all_streams(tx) == {}


def test_saving_a_stream_keeps_other_values(store: Store) -> None:
    with store.begin() as tx:
        save_stream(tx, "crm", "deals", cursor="c1", fingerprint="f", accepted=1)
        save_stream(tx, "crm", "deals", cursor="c2", read_at=NOW)
        save_stream(tx, "crm", "deals", paused_at=NOW, reason="surprise")
        state = stream_state(tx, "crm", "deals")
    assert state == StreamState("c2", "f", NOW, None, NOW, "surprise", accepted=True)


def test_a_stream_has_one_reader(store: Store) -> None:
    with store.begin() as tx:
        assert lease_stream(tx, "crm", "deals", worker="a", now=NOW)
        assert lease_stream(tx, "crm", "deals", worker="a", now=NOW)
        assert not lease_stream(tx, "crm", "deals", worker="b", now=NOW)
        assert lease_stream(tx, "crm", "companies", worker="b", now=NOW)
        release_stream(tx, "crm", "deals", worker="b")
        assert not lease_stream(tx, "crm", "deals", worker="b", now=NOW)
        release_stream(tx, "crm", "deals", worker="a")
        assert lease_stream(tx, "crm", "deals", worker="b", now=NOW)


def test_a_dead_readers_stream_is_taken_over(store: Store) -> None:
    with store.begin() as tx:
        lease_stream(tx, "crm", "deals", worker="a", now=NOW)
        end = NOW + STREAM_LEASE
        assert not lease_stream(tx, "crm", "deals", worker="b", now=end)
        assert lease_stream(tx, "crm", "deals", worker="b", now=end + timedelta(seconds=1))


def test_a_lease_keeps_the_cursor(store: Store) -> None:
    with store.begin() as tx:
        save_stream(tx, "crm", "deals", cursor="c1", accepted=1)
        lease_stream(tx, "crm", "deals", worker="a", now=NOW)
        assert stream_state(tx, "crm", "deals") == StreamState("c1", accepted=True)


def test_racing_readers_of_a_new_stream(store: Store) -> None:
    won: list[str] = []
    start = threading.Barrier(4)

    def race(name: str) -> None:
        start.wait()
        with store.begin() as tx:
            if lease_stream(tx, "crm", "deals", worker=name, now=NOW):
                won.append(name)

    threads = [threading.Thread(target=race, args=(f"w{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1


def test_a_connection_is_paused_until_it_is_not(store: Store) -> None:
    with store.begin() as tx:
        assert pause_reason(tx, "crm") is None
        save_connection(tx, "crm", prepared="x")
        assert pause_reason(tx, "crm") is None
        save_connection(tx, "crm", paused_at=NOW, reason="token revoked")
        assert pause_reason(tx, "crm") == "token revoked"
        states = connection_states(tx)
        assert (states["crm"].prepared, states["crm"].paused_at) == ("x", NOW)
        save_connection(tx, "crm", paused_at=None, reason=None)
        assert pause_reason(tx, "crm") is None


def test_what_is_paused_has_a_reason(store: Store) -> None:
    with store.begin() as tx:
        save_connection(tx, "crm", paused_at=NOW, reason="token revoked")
        save_connection(tx, "erp", prepared="x")
        save_stream(tx, "erp", "parties", paused_at=NOW, reason="9 of 10 are gone")
        save_stream(tx, "erp", "sales", cursor="c1")
        expected = {("crm", ""): "token revoked", ("erp", "parties"): "9 of 10 are gone"}
        assert paused(tx) == expected
        save_connection(tx, "crm", paused_at=None, reason=None)
        save_stream(tx, "erp", "parties", paused_at=None, reason=None)
        assert paused(tx) == {}


def test_a_run_is_counted(store: Store) -> None:
    tally = Tally("r1", "pull", "crm", "deals", NOW)
    tally.seen, tally.same, tally.changed, tally.written = 7, 3, 1, 2
    tally.skip("not mapped", 2)
    tally.skip("not mapped")
    assert tally.adds_up
    tally.quarantined = 1
    assert not tally.adds_up
    with store.begin() as tx:
        start_run(tx, tally)
        start_run(tx, Tally("r2", "pull", "crm", "deals", NOW + timedelta(minutes=1)))
        save_run(tx, tally, state="inconsistent", finished_at=NOW, reason="does not add up")
        newest, oldest = recent_runs(tx)
        assert [row.id for row in recent_runs(tx, limit=1)] == ["r2"]
    assert (newest.id, newest.state) == ("r2", "running")
    assert oldest.skipped == {"not mapped": 3}
    assert (oldest.seen, oldest.written, oldest.state) == (7, 2, "inconsistent")
