"""Migrations create exactly the tables of tables.py, once, and refuse later revisions."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from hub.errors import SettingsError
from hub.store import migrate as migrations
from hub.store.engine import Store, open_store
from hub.store.migrate import HEAD, is_current, migrate
from hub.store.tables import metadata


def test_a_migration_creates_the_codes_tables(database_url: str) -> None:
    store = open_store(database_url)
    assert not is_current(store)
    upgrade(store)
    assert is_current(store)
    with store.begin() as tx:
        context = MigrationContext.configure(tx, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    store.close()


def upgrade(store: Store) -> None:
    """Applies all revisions, as to a database that exists since the first one."""
    with store.begin(durable=True) as tx:
        migrations._upgrade(tx, None)


def test_migrated_and_created_databases_are_equal(tmp_path) -> None:
    shown = []
    for name, prepare in (("a.db", upgrade), ("b.db", migrate)):
        store = open_store(f"sqlite:///{tmp_path / name}")
        prepare(store)
        assert is_current(store)
        with store.read() as tx:
            found = inspect(tx)
            shown.append(
                {
                    table: (
                        sorted(
                            (c["name"], str(c["type"]), c["nullable"], c["default"])
                            for c in found.get_columns(table)
                        ),
                        sorted(str(i["column_names"]) for i in found.get_indexes(table)),
                        sorted(str(u["column_names"]) for u in found.get_unique_constraints(table)),
                        found.get_pk_constraint(table)["constrained_columns"],
                    )
                    for table in found.get_table_names()
                    if table != "alembic_version"
                }
            )
        store.close()
    assert shown[0] == shown[1]


def test_head_is_the_newest_revision() -> None:
    config = Config()
    config.set_main_option("script_location", str(migrations._FOLDER))
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


def test_migrating_twice_changes_nothing(database_url: str) -> None:
    store = open_store(database_url)
    migrate(store)
    with store.begin() as tx:
        tx.execute(text("INSERT INTO dirty (golden_id, mark) VALUES ('g', 1)"))
    migrate(store)
    with store.read() as tx:
        assert tx.execute(text("SELECT count(*) FROM dirty")).scalar_one() == 1
    store.close()


def test_several_may_start_at_once(database_url: str) -> None:
    stores = [open_store(database_url) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(migrate, stores))
    assert all(is_current(store) for store in stores)
    for store in stores:
        store.close()


def test_processes_may_start_at_once(database_url: str) -> None:
    code = (
        "import sys; from hub.store.engine import open_store; from hub.store.migrate import *;"
        "s = open_store(sys.argv[1]); migrate(s); print(is_current(s)); s.close()"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, database_url], stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    assert [process.communicate(timeout=60)[0] for process in started] == ["True\n"] * 3


def test_newer_database_is_refused_and_untouched(database_url: str) -> None:
    store = open_store(database_url)
    migrate(store)
    with store.begin() as tx:
        tx.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SettingsError, match=r"newer Tulay.*9999"):
        migrate(store)
    with store.read() as tx:
        assert tx.execute(text("SELECT version_num FROM alembic_version")).scalar_one() == "9999"
    store.close()


def test_tables_of_unknown_origin_are_refused(database_url: str) -> None:
    store = open_store(database_url)
    store.create()
    with pytest.raises(SettingsError, match="not created by this program"):
        migrate(store)
    store.close()


def test_alembic_is_loaded_only_for_a_migration(tmp_path) -> None:
    address = f"sqlite:///{tmp_path / 't.db'}"
    store = open_store(address)
    migrate(store)
    store.close()
    code = (
        "import sys; from hub.store.engine import open_store; from hub.store.migrate import *;"
        "migrate(open_store(sys.argv[1])); print('alembic' in sys.modules)"
    )
    said = subprocess.run(
        [sys.executable, "-c", code, address], capture_output=True, text=True, check=True
    )
    assert said.stdout == "False\n"


def test_downgrade_leaves_nothing(database_url: str) -> None:
    from alembic import command

    store = open_store(database_url)
    migrate(store)
    config = Config()
    config.set_main_option("script_location", str(migrations._FOLDER))
    with store.begin() as tx:
        config.attributes["connection"] = tx
        command.downgrade(config, "base")
    with store.read() as tx:
        assert set(inspect(tx).get_table_names()) == {"alembic_version"}
    store.close()
