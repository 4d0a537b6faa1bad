"""OAuth in the hub: one process renews, the others read; the database contains nothing readable."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.hubspot.twin import Twin, start
from connectors.memory.system import MemorySystem
from hub.store.tokens import fresh_key
from tests.worker.fork_client import Forked, ForkServer

ROOT = Path(__file__).parents[2]
LIFETIME = 5


class Office:
    """HubSpot by OAuth and a memory ERP, with workers as processes."""

    def __init__(self, folder: Path, twin: Twin, fork_server: ForkServer) -> None:
        self.folder, self.twin, self.fork_server = folder, twin, fork_server
        self.erp = MemorySystem("erp", path=folder / "erp.db")
        self.first = twin.tokens.refresh
        self.environ = {
            **os.environ,
            "CLIENT_SECRET": twin.tokens.client_secret,
            "REFRESH": self.first,
            "TULAY_SECRET_KEY": fresh_key(),
            "PYTHONPATH": str(ROOT),
        }
        self.started: list[Forked | subprocess.Popen[bytes]] = []
        maps = folder / "maps" / "memory"
        maps.mkdir(parents=True)
        (maps / "company.yaml").write_text(
            "entity: company\nstream: companies\nrequires: [name]\nfields:\n  name: name\n"
        )
        self.write("secret_key: ${TULAY_SECRET_KEY}")

    def write(self, *lines: str) -> None:
        (self.folder / "tulay.yaml").write_text(
            "\n".join(lines)
            + f"""
database: sqlite:///tulay.db
mappings: [./maps]
connections:
  crm:
    system: hubspot
    base_url: {self.twin.url}
    client_id: {self.twin.tokens.client_id}
    client_secret: ${{CLIENT_SECRET}}
    refresh_token: ${{REFRESH}}
  erp: {{system: memory, role: erp, path: {self.folder}/erp.db}}
schedules: {{pull: 1h, sweep: 24h, streams: {{crm.notes: 1s}}}}
"""
        )

    def worker(self) -> None:
        """Starts what `tulay worker` is, in a moment."""
        config, log = self.folder / "tulay.yaml", self.folder / f"{len(self.started)}.log"
        started = {"role": "worker", "config": str(config), "log": str(log)}
        pid = self.fork_server.ask(**started, environ=dict(self.environ))
        self.started.append(Forked(self.fork_server, pid))

    def command(self) -> subprocess.Popen[bytes]:
        """Starts `tulay worker`."""
        args = [sys.executable, "-m", "hub.cli", "--config", str(self.folder / "tulay.yaml")]
        with (self.folder / f"{len(self.started)}.log").open("w") as log:
            process = subprocess.Popen(
                [*args, "worker"], env=self.environ, stdout=log, stderr=log, cwd=ROOT
            )
        self.started.append(process)
        return process

    def log(self) -> str:
        return "".join(path.read_text() for path in sorted(self.folder.glob("*.log")))

    def renewals(self) -> list[int]:
        return [entry.status for entry in self.twin.log.entries("POST /oauth/*")]

    def until_renewed(self, times: int) -> None:
        end = time.monotonic() + 90
        while len(self.renewals()) < times:
            assert time.monotonic() < end, self.log()[-4000:]
            assert all(one.poll() is None for one in self.started), self.log()[-4000:]
            time.sleep(0.02)

    def end(self) -> None:
        for one in self.started:
            one.send_signal(signal.SIGTERM)
        assert [one.wait(timeout=60) for one in self.started] == [0] * len(self.started)
        self.started.clear()


@pytest.fixture
def office(tmp_path: Path, fork_server: ForkServer) -> Iterator[Office]:
    twin = start()
    twin.tokens.rotate, twin.tokens.lifetime = True, LIFETIME
    made = Office(tmp_path, twin, fork_server)
    yield made
    for one in made.started:
        one.send_signal(signal.SIGKILL)
        one.wait(timeout=60)
    twin.stop()


def test_one_worker_renews_the_token(
    office: Office,
) -> None:
    """One of two workers renews the token, and a restart continues with the rotated one."""
    office.worker()
    office.worker()
    office.until_renewed(3)
    office.end()
    before = len(office.renewals())
    time.sleep(LIFETIME)
    office.worker()  # the refresh token of its settings was replaced long ago
    office.until_renewed(before + 1)
    office.end()

    # With rotation, a renewal with an old token would have been refused.
    assert set(office.renewals()) == {200}
    assert 401 not in {entry.status for entry in office.twin.log.entries()}
    issued = sorted(office.twin.tokens._access.values())
    assert len(issued) == len(office.renewals())
    gaps = [later - earlier for earlier, later in itertools.pairwise(issued)]
    assert min(gaps) >= LIFETIME * 750, "two renewals of one token"

    secrets = {*office.twin.tokens._access, office.twin.tokens.refresh, office.first}
    secrets |= {office.twin.tokens.client_secret, office.environ["TULAY_SECRET_KEY"]}
    for path in [*office.folder.glob("tulay.db*"), *office.folder.glob("*.log")]:
        content = path.read_bytes()
        assert not [one for one in secrets if one.encode() in content], path
    assert not [one for one in secrets if one in office.log()]


def test_without_a_key_it_does_not_start(office: Office) -> None:
    office.write()
    assert office.command().wait(timeout=60) == 2
    assert "`tulay config key`" in office.log()
    assert "Traceback" not in office.log()
    assert office.renewals() == []
