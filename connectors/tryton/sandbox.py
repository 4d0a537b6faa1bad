"""A real Tryton on loopback, for demos and tests.

Starts trytond and trytond-admin as separate processes, which end with the process that started
them, and only ever speaks to them over HTTP.
A seeded database is built once, kept in a cache and copied for every start.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.metadata
import inspect
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import psycopg
from psycopg import conninfo, sql

from connectors.kit.budget import Budget
from connectors.kit.errors import UnavailableError
from connectors.kit.guard import end, guarded
from connectors.tryton import seed
from connectors.tryton.client import Account, TrytonClient
from connectors.tryton.seed import MODULES, Seed
from connectors.tryton.write_lock import lock_path

DATABASE = "tulay"
#: Environment variable: the folder with another Tryton's programs, such as that of a virtual
#: environment with series 7.0.
PROGRAMS = "TULAY_TRYTON_BIN"
#: Longest that a server may take to load its modules, in seconds.
PATIENCE = 120.0


@dataclass
class Sandbox:
    """A running Tryton that ends with `stop` or at the end of a `with` block."""

    url: str
    database: str
    login: str
    password: str = field(repr=False)
    _process: subprocess.Popen[bytes] = field(repr=False)
    _home: Path = field(repr=False)
    #: SQLite: writers must take turns.
    serial_writes: bool = True
    #: The PostgreSQL server that has the copy of the data; None: it is a file.
    postgres: str | None = field(default=None, repr=False)

    def stop(self) -> None:
        """Ends the server and removes its copy of the data; idempotent."""
        end(self._process)
        shutil.rmtree(self._home, ignore_errors=True)
        lock_path(self.url, self.database).unlink(missing_ok=True)
        if self.postgres is not None:
            with psycopg.connect(self.postgres, autocommit=True) as server:
                _drop(server, self.database)

    def settings(self) -> dict[str, object]:
        """Returns the connection settings for this server."""
        return {
            "url": self.url,
            "database": self.database,
            "login": self.login,
            "password": self.password,
            "serial_writes": self.serial_writes,
        }

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def default_cache() -> Path:
    """Returns the folder for things that are expensive to build again."""
    if chosen := os.environ.get("TULAY_CACHE"):
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "tulay"


def build(cache: Path | None = None, *, like: Seed | None = None) -> Path:
    """Returns a seeded SQLite database, building it when the cache has none (about a minute).

    Raises: UnavailableError.
    """
    like = like or Seed()
    cache = cache or default_cache()
    target = cache / f"tryton-{fingerprint(like)}.sqlite"
    if target.exists():  # it appears whole: no need to wait for those who build another one
        return target
    with _locked(cache / "tryton.lock"):
        if not target.exists():
            with tempfile.TemporaryDirectory(dir=cache) as home:
                made = _make_sqlite(Path(home), like)
                made.rename(target)
    return target


def build_postgres(uri: str, *, like: Seed | None = None, cache: Path | None = None) -> str:
    """Returns the name of a seeded template database on a PostgreSQL server, building it once.

    `uri` is one that libpq understands and whose user may create databases.
    Raises: UnavailableError.
    """
    like = like or Seed()
    name = f"tulay_seed_{fingerprint(like)}"
    with (
        _locked((cache or default_cache()) / "tryton.lock"),
        psycopg.connect(uri, autocommit=True) as server,
    ):
        known = server.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone()
        if known is None:
            draft = f"{name}_draft"
            _drop(server, draft)
            server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(draft)))
            with tempfile.TemporaryDirectory() as home:
                _make(Path(home), like, _tryton_uri(uri), draft)
            server.execute(
                sql.SQL("ALTER DATABASE {} RENAME TO {}").format(
                    sql.Identifier(draft), sql.Identifier(name)
                )
            )
    return name


def start(
    directory: Path | None = None,
    *,
    port: int = 0,
    like: Seed | None = None,
    cache: Path | None = None,
    postgres: str | None = None,
) -> Sandbox:
    """Starts a server on a fresh copy of the seed and returns when it is ready.

    `directory` is where the copy goes (default: a temporary one), `postgres` the URI of a
    PostgreSQL server to use instead of SQLite, port 0 any free one.
    Raises: UnavailableError.
    """
    like = like or Seed()
    home = Path(tempfile.mkdtemp(prefix="tryton-", dir=directory))
    port = _free_port(port)
    if postgres is None:
        shutil.copyfile(build(cache, like=like), home / f"{DATABASE}.sqlite")
        return _run(home, like, "sqlite://", DATABASE, port=port)
    template = build_postgres(postgres, like=like, cache=cache)
    database = f"tulay_{home.name.removeprefix('tryton-')}".lower()
    with psycopg.connect(postgres, autocommit=True) as server:
        _drop(server, database)
        server.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(database), sql.Identifier(template)
            )
        )
    sandbox = _run(home, like, _tryton_uri(postgres), database, port=port)
    sandbox.postgres = postgres
    return sandbox


def fingerprint(like: Seed) -> str:
    """Returns what must be equal for a cached database to be the wanted one."""
    digest = hashlib.sha256(f"{like!r} {like.password} {os.environ.get(PROGRAMS, '')}".encode())
    for source in (_make, seed):
        digest.update(inspect.getsource(source).encode())
    for found in sorted(importlib.metadata.distributions(), key=lambda each: each.name):
        if found.name.startswith("trytond"):
            digest.update(f"{found.name} {found.version};".encode())
    return digest.hexdigest()[:16]


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make_sqlite(home: Path, like: Seed) -> Path:
    made = home / f"{DATABASE}.sqlite"
    made.touch()  # quirk(tryton): the file must exist first. Source: trytond 8.2, seen live
    _make(home, like, "sqlite://", DATABASE)
    with contextlib.closing(sqlite3.connect(made)) as connection:
        # the file alone must be the whole database
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("PRAGMA journal_mode = DELETE")
    return made


def _make(home: Path, like: Seed, uri: str, database: str) -> None:
    config = _configure(home, uri, _free_port(0))
    secret = home / "password"
    secret.write_text(like.password)
    command = [_program("trytond-admin"), "-c", str(config), "-d", database, "-u", *MODULES]
    command += ["--activate-dependencies", "--email", f"{like.login}@example.com"]
    environ, said = {**os.environ, "TRYTONPASSFILE": str(secret)}, home / "trytond-admin.log"
    with (
        said.open("wb") as log,
        guarded(command, env=environ, stdout=log, stderr=log) as admin,
    ):
        admin.wait()
    if admin.returncode:
        error = said.read_text(errors="replace").strip()
        raise UnavailableError(f"trytond-admin failed: {error[-500:]}")
    port = _free_port(0)
    sandbox = _run(home / "server", like, uri, database, port=port, data=home)
    try:
        speaker = _speaker(sandbox)
        seed.fill(speaker, like)
        speaker.close()
    finally:
        sandbox.stop()


def _run(
    home: Path, like: Seed, uri: str, database: str, *, port: int, data: Path | None = None
) -> Sandbox:
    home.mkdir(exist_ok=True)
    config = _configure(home, uri, port, data=data)
    with (home / "trytond.log").open("wb") as log:
        command = [_program("trytond"), "-c", str(config), "-d", database]
        process = guarded(command, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    sandbox = Sandbox(url, database, like.login, like.password, process, home)
    sandbox.serial_writes = uri.startswith("sqlite")
    try:
        _wait(sandbox)
    except BaseException:
        sandbox.stop()
        raise
    return sandbox


def _wait(sandbox: Sandbox) -> None:
    speaker = _speaker(sandbox)
    until = time.monotonic() + PATIENCE
    while True:
        try:
            speaker.context()
        except UnavailableError as error:
            if sandbox._process.poll() is not None:
                log = (sandbox._home / "trytond.log").read_text(errors="replace")
                raise UnavailableError(f"trytond ended: {log.strip()[-500:]}") from error
            if time.monotonic() > until:
                raise UnavailableError(f"trytond is not ready after {PATIENCE:.0f} s") from error
            time.sleep(0.1)
        else:
            break
    speaker.close()


def _speaker(sandbox: Sandbox) -> TrytonClient:
    account = Account(sandbox.url, sandbox.database, sandbox.login, sandbox.password)
    return TrytonClient(account, Budget(requests=1000, per_seconds=1.0))


def _configure(home: Path, uri: str, port: int, *, data: Path | None = None) -> Path:
    home.mkdir(exist_ok=True)
    config = home / "trytond.conf"
    config.write_text(
        "[database]\n"
        f"uri = {uri}\n"
        f"path = {data or home}\n"
        "default_language = en\n"
        "[web]\n"
        f"listen = 127.0.0.1:{port}\n"
        "[session]\n"
        "timeout = 86400\n"
    )
    return config


def _program(name: str) -> str:
    if folder := os.environ.get(PROGRAMS):
        return str(Path(folder) / name)
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise UnavailableError(f"{name} is not installed: pip install 'tulay[tryton]'")
    return found


def _free_port(wanted: int) -> int:
    """Returns the wanted port, 0: any. Raises: UnavailableError when somebody else has it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError as error:
            raise UnavailableError(f"port {wanted} is taken: choose another one") from error
        return int(probe.getsockname()[1])


def _tryton_uri(uri: str) -> str:
    """Returns the address of the server in the form of trytond's configuration."""
    facts = conninfo.conninfo_to_dict(uri)
    user, host = facts.get("user", "postgres"), str(facts.get("host", ""))
    secret = f":{facts['password']}" if facts.get("password") else ""
    if host.startswith("/"):
        return f"postgresql://{user}{secret}@/?host={host}"
    return f"postgresql://{user}{secret}@{host}:{facts.get('port', 5432)}/"


def _drop(server: psycopg.Connection[tuple[object, ...]], name: str) -> None:
    server.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
