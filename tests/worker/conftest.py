"""A CRM and an ERP in files, and a tulay.yaml that connects them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from connectors.memory.system import MemorySystem
from hub.settings import Settings, load_settings
from hub.sync.context import Hub
from hub.wiring import open_hub
from tests.worker.fork_client import Forked, ForkServer
from tests.worker.installation import Installation
from tests.worker.ports import ROOT, SECRET, free_port
from tests.worker.servers import CrashablePostgres, CrashableRedis

_MAPPING = """
entity: company
stream: companies
requires: [name]
fields:
  name: name
"""


@dataclass
class Shop:
    """Both systems, the settings between them, and the processes that a test has started."""

    folder: Path
    database: str
    redis_url: str | None = None
    port: int = field(default_factory=free_port)
    started: list[subprocess.Popen[str] | Forked] = field(default_factory=list)

    def __post_init__(self) -> None:
        (self.folder / "maps" / "memory").mkdir(parents=True)
        (self.folder / "maps" / "memory" / "company.yaml").write_text(_MAPPING)
        self.crm = MemorySystem("crm", path=self.folder / "crm.db")
        self.erp = MemorySystem("erp", path=self.folder / "erp.db")
        self.write()

    def write(self, pull: str = "1s", page: int = 100) -> None:
        """Writes tulay.yaml."""
        redis = f"redis_url: {self.redis_url}\n" if self.redis_url else ""
        one = f"system: memory, page: {page}"
        (self.folder / "tulay.yaml").write_text(
            f"database: {self.database}\n{redis}mappings: [./maps]\nconnections:\n"
            f"  crm: {{{one}, path: {self.folder}/crm.db, webhook_secret: '${{HOOK}}'}}\n"
            f"  erp: {{{one}, path: {self.folder}/erp.db}}\n"
            f"schedules: {{pull: {pull}, sweep: 24h}}\nweb: {{port: {self.port}}}\n"
        )

    @property
    def environ(self) -> dict[str, str]:
        """Returns the environment of the processes."""
        return {**os.environ, "HOOK": SECRET, "PYTHONPATH": str(ROOT)}

    def settings(self) -> Settings:
        """Reads tulay.yaml."""
        return load_settings(self.folder / "tulay.yaml", environ=self.environ)

    def hub(self) -> Hub:
        """Opens the hub in this process."""
        return open_hub(self.settings())

    def run(self, command: str) -> subprocess.Popen[str]:
        """Starts `tulay COMMAND`."""
        args = [sys.executable, "-m", "hub.cli", "--config", str(self.folder / "tulay.yaml")]
        log = (self.folder / f"{command}-{len(self.started)}.log").open("w")
        with log:
            process = subprocess.Popen(
                [*args, command], env=self.environ, stderr=log, stdout=log, text=True, cwd=ROOT
            )
        self.started.append(process)
        return process

    def fork(self, fork_server: ForkServer, role: str) -> Forked:
        """Starts `tulay ROLE` quickly, by forking."""
        log = self.folder / f"{role}-{len(self.started)}.log"
        pid = fork_server.ask(role=role, config=str(self.folder / "tulay.yaml"), log=str(log))
        forked = Forked(fork_server, pid)
        self.started.append(forked)
        return forked

    def log(self) -> str:
        """Returns the output of all processes."""
        return "".join(path.read_text() for path in sorted(self.folder.glob("*.log")))

    def names(self, system: MemorySystem) -> set[str]:
        """Returns the names of the companies in a system."""
        return {str(one["name"]) for one in system.records("companies").values()}

    def until(self, true: Callable[[], object], seconds: float = 60) -> None:
        """Waits until a condition holds."""
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end, self.log()[-4000:]
            time.sleep(0.05)


@pytest.fixture
def shops(tmp_path: Path) -> Iterator[Callable[..., Shop]]:
    """Creates shops; ends the processes they have started."""
    made: list[Shop] = []

    def make(database: str | None = None, redis_url: str | None = None) -> Shop:
        folder = tmp_path / f"shop{len(made)}"
        folder.mkdir()
        made.append(Shop(folder, database or "sqlite:///tulay.db", redis_url))
        return made[-1]

    yield make
    for shop in made:
        for process in shop.started:
            process.send_signal(signal.SIGKILL)
            process.wait(timeout=60)


@pytest.fixture
def shop(shops: Callable[..., Shop], monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A shop on SQLite without Redis."""
    return shops()


@pytest.fixture(scope="session")
def fork_server() -> Iterator[ForkServer]:
    """Starts processes of Tulay quickly, by forking a warm one."""
    opened = ForkServer()
    yield opened
    opened.close()


@pytest.fixture
def installations(tmp_path: Path, fork_server: ForkServer) -> Iterator[Callable[..., Installation]]:
    """Creates installations; ends the processes that run in them."""
    made: list[Installation] = []

    def make(**options: Any) -> Installation:
        folder = tmp_path / f"site{len(made)}"
        folder.mkdir()
        made.append(Installation(folder, fork_server, **options))
        return made[-1]

    yield make
    for installation in made:
        installation.kill()
        installation.close()


@pytest.fixture
def installation(installations: Callable[..., Installation]) -> Installation:
    """An installation on SQLite without Redis."""
    return installations()


@pytest.fixture
def servers(postgresql_url: str, redis_url: str) -> dict[str, str]:
    """Settings of an installation with an empty PostgreSQL, and Redis between its workers."""
    return {"database": postgresql_url, "redis_url": redis_url}


@pytest.fixture(params=["sqlite", "postgresql"])
def either(
    request: pytest.FixtureRequest, installations: Callable[..., Installation]
) -> Installation:
    """An installation on SQLite, and one on PostgreSQL with Redis between its workers."""
    if request.param == "sqlite":
        return installations()
    return installations(**request.getfixturevalue("servers"))


@pytest.fixture(scope="module")
def crashable_redis() -> Iterator[CrashableRedis]:
    """A Redis that may be killed; the test starts it again."""
    server = CrashableRedis()
    yield server
    server.kill()


@pytest.fixture
def crashable_postgres() -> Iterator[CrashablePostgres]:
    """A PostgreSQL that may be killed; the test starts it again."""
    server = CrashablePostgres()
    yield server
    server.close()
