"""The disk under SQLite is full: nothing is acknowledged that was not stored; later it goes on.

As root on Linux the disk is a real one, of a few megabytes; elsewhere a limit on the size of files
stands for it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.worker.town import Town

_SIZE = 6_000_000


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few megabytes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "tmpfs", str(disk)]
    if os.geteuid() != 0 or shutil.which("mount") is None or subprocess.run(words).returncode:
        pytest.skip("only root can make a small disk")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def fill(disk: Path) -> Path:
    """Leaves no room."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass
    return ballast


def test_a_full_disk_loses_nothing(towns: Any, small_disk: Path) -> None:
    town: Town = towns(database=f"sqlite:///{small_disk}/tulay.db")
    town.settle(10, known=4)
    town.fork("web")
    worker = town.fork("worker")
    town.until(lambda: town.quiet)
    town.until(lambda: town.ask("/readyz") == 200)
    ballast = fill(small_disk)
    for number in range(30):
        town.found(town.crm, f"new{number}")
    answers = [town.call("crm", "companies", "1", event=f"{n:0>80}") for n in range(40)]
    assert 503 in answers
    assert set(answers) <= {202, 503}
    town.until(lambda: "its disk is full" in town.log())
    accepted = {row.event_id for row in town.rows("SELECT event_id FROM inbox")}
    assert len(accepted) <= answers.count(202)  # some may have been looked at
    assert town.ask("/healthz") == 200
    ballast.unlink()
    town.until(lambda: town.call("crm", "companies", "1", event="room") == 202)
    town.until(lambda: town.quiet)
    assert worker.poll() is None
    town.end()
    assert "Traceback" not in town.log()
    town.settled()
