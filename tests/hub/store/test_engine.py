"""Transactions, addresses and upserts behave the same on both databases."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.exc import DBAPIError

from hub.errors import SettingsError
from hub.store.engine import Store, lock_identities, open_store, upsert
from hub.store.tables import dirty, runs, streams

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def test_a_failed_transaction_leaves_nothing(store: Store) -> None:
    row = {"golden_id": "a", "mark": 1.0}

    def write_twice() -> None:
        with store.begin() as tx:
            upsert(tx, dirty, [row], key=["golden_id"], update=[])
            tx.execute(dirty.insert().values(**row))

    with pytest.raises(DBAPIError):
        write_twice()
    with store.read() as tx:
        assert tx.execute(select(dirty)).all() == []


def test_upsert_keeps_or_changes_what_is_there(store: Store) -> None:
    with store.begin() as tx:
        upsert(tx, dirty, [{"golden_id": "a", "mark": 1.0}], key=["golden_id"], update=[])
        upsert(tx, dirty, [{"golden_id": "a", "mark": 2.0}], key=["golden_id"], update=[])
        assert tx.execute(select(dirty.c.mark)).scalars().all() == [1.0]
        both = [{"golden_id": "a", "mark": 3.0}, {"golden_id": "b", "mark": 4.0}]
        upsert(tx, dirty, both, key=["golden_id"], update=["mark"])
        upsert(tx, dirty, [], key=["golden_id"], update=["mark"])
        rows = tx.execute(select(dirty.c.golden_id, dirty.c.mark).order_by(dirty.c.golden_id)).all()
    assert [tuple(row) for row in rows] == [("a", 3.0), ("b", 4.0)]


def test_times_are_aware_and_exact(store: Store) -> None:
    """Times are returned aware of their zone and exact to the microsecond."""
    odd = NOW.replace(microsecond=123_457)
    with store.begin() as tx:
        tx.execute(streams.insert().values(connection="c", stream="s", accepted=0, read_at=odd))
        assert tx.execute(select(streams.c.read_at)).scalar_one() == odd


def test_a_reader_does_not_block_a_writer(store: Store) -> None:
    with store.read() as reader:
        assert reader.execute(select(dirty)).all() == []
        with store.begin() as tx:
            tx.execute(dirty.insert().values(golden_id="a", mark=1.0))
    with store.read() as reader:
        assert len(reader.execute(select(dirty)).all()) == 1


def test_an_open_writer_does_not_block_a_reader(store: Store) -> None:
    with store.begin() as tx:
        tx.execute(dirty.insert().values(golden_id="a", mark=1.0))
        with store.read() as reader:
            assert reader.execute(select(dirty)).all() == []


def test_a_durable_transaction_reaches_the_disk(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 't.db'}")
    levels = []
    for durable in (True, False, True):
        with store.begin(durable=durable) as tx:
            levels.append(tx.exec_driver_sql("PRAGMA synchronous").scalar_one())
    assert levels == [2, 1, 2]  # FULL, NORMAL, FULL
    store.close()


def test_writers_wait_for_each_other(store: Store) -> None:
    with store.begin() as tx:
        tx.execute(dirty.insert().values(golden_id="a", mark=0.0))

    def raise_it() -> None:
        for _ in range(20):
            with store.begin() as tx:
                query = select(dirty.c.mark).where(dirty.c.golden_id == "a").with_for_update()
                mark = tx.execute(query).scalar_one()
                tx.execute(dirty.update().values(mark=mark + 1))

    threads = [threading.Thread(target=raise_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.read() as tx:
        assert tx.execute(select(dirty.c.mark)).scalar_one() == 80.0


def test_upserts_in_any_order_do_not_deadlock(store: Store) -> None:
    """Upserts of the same rows in any order do not deadlock."""
    rows = [{"golden_id": f"{n:03}", "mark": 1.0} for n in range(200)]
    failed: list[DBAPIError] = []

    def write(mine: list[dict[str, object]]) -> None:
        try:
            for _ in range(10):
                with store.begin() as tx:
                    upsert(tx, dirty, mine, key=["golden_id"], update=["mark"])
        except DBAPIError as error:
            failed.append(error)

    threads = [threading.Thread(target=write, args=(r,)) for r in (rows, rows[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


def test_identities_are_decided_one_at_a_time(store: Store) -> None:
    order: list[str] = []
    inside = threading.Event()

    def second() -> None:
        inside.wait()
        with store.begin() as tx:
            lock_identities(tx, "company")
            order.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    with store.begin() as tx:
        lock_identities(tx, "company")
        inside.set()
        thread.join(timeout=0.2)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_errors_never_contain_values(store: Store) -> None:
    row = {
        "id": "r",
        "kind": "pull",
        "connection": "c",
        "stream": "s",
        "started_at": NOW,
        "state": "done",
        "reason": "Jane Doe, +44 20 7946 0000",
    }
    with store.begin() as tx:
        tx.execute(runs.insert().values(**row))
    with pytest.raises(DBAPIError) as caught, store.begin() as tx:
        tx.execute(runs.insert().values(**row))
    assert "Jane Doe" not in str(caught.value)


@pytest.mark.parametrize(
    "address",
    [
        "mysql://u:s3cret@h/d",
        "postgresql://u:s3cret@127.0.0.1:1/d",
        "sqlite://",
        ":memory:",
        "postgresql://u:s3cret@h:port/d",
        "sqlite:////nowhere/at/all/t.db",
    ],
)
def test_a_bad_database_is_a_settings_error(address: str) -> None:
    """A database that cannot be opened is a settings error without the password."""
    with pytest.raises(SettingsError) as caught:
        open_store(address)
    assert "s3cret" not in str(caught.value)


def test_a_plain_path_is_sqlite(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "plain.db"))
    store.create()
    store.close()
    assert (tmp_path / "plain.db").exists()


@pytest.mark.process
def test_processes_may_open_a_new_file_at_once(tmp_path: Path) -> None:
    code = (
        "import sys; from hub.store.engine import open_store; s = open_store(sys.argv[1]);"
        "s.create(); s.close(); print('open')"
    )
    args = [sys.executable, "-c", code, f"sqlite:///{tmp_path / 't.db'}"]
    started = [subprocess.Popen(args, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert [p.communicate(timeout=60)[0] for p in started] == ["open\n"] * 4


def test_a_postgresql_driver_name_is_accepted(postgresql_url: str) -> None:
    store = open_store(postgresql_url.replace("postgresql://", "postgresql+psycopg://"))
    with store.read() as tx:
        assert tx.execute(text("SELECT 1")).scalar_one() == 1
    store.close()


def test_threads_share_the_hurried_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads that ask for it at once get one store, so that closing it closes all connections."""
    store = open_store(str(tmp_path / "plain.db"))
    opened, again = [], store._again

    def slowly(seconds: int) -> Engine:
        opened.append(again(seconds))
        time.sleep(0.02)  # long enough for the others to enter
        return opened[-1]

    monkeypatch.setattr(store, "_again", slowly)
    with ThreadPoolExecutor(4) as pool:
        stores = set(pool.map(store.beside, [5] * 4))
    assert (len(stores), len(opened)) == (1, 1)
    store.close()
