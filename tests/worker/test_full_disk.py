"""The disk under SQLite is full: nothing is acknowledged that was not stored; later work resumes.

As root the disk is a real one of a few megabytes; otherwise the size of files is limited from
outside for the running processes.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.worker.installation import Installation

_SIZE = 6_000_000


class SmallDisk:
    """A file system of a few megabytes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self, _: Installation) -> None:
        """Fills the disk."""
        with (self.folder / "ballast").open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 4096)
            except OSError:
                pass

    def vacate_primary(self, _: Installation) -> None:
        """Frees the disk."""
        (self.folder / "ballast").unlink()


class ShortFiles:
    """Limits the size of the files of our processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _limit(self, installation: Installation, most: int) -> None:
        for process in installation.started:
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))

    def fill(self, installation: Installation) -> None:
        """Fills the disk."""
        self._limit(installation, 4096)

    def vacate_primary(self, installation: Installation) -> None:
        """Frees the disk."""
        self._limit(installation, resource.RLIM_INFINITY)


@pytest.fixture(params=["small disk", "short files"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SmallDisk | ShortFiles]:
    """Where the database is."""
    folder = tmp_path / "disk"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "tmpfs", str(folder)]
    if request.param == "short files":
        yield ShortFiles(folder)
    elif os.geteuid() == 0 and shutil.which("mount") and subprocess.run(words).returncode == 0:
        yield SmallDisk(folder)
        subprocess.run(["umount", "-l", str(folder)], check=True)
    else:
        pytest.skip("only root may mount; short files show the same")


def test_a_full_disk_loses_nothing(installations: Any, disk: SmallDisk | ShortFiles) -> None:
    installation: Installation = installations(database=f"sqlite:///{disk.folder}/tulay.db")
    installation.settle(10, known=4)
    installation.fork("web")
    worker = installation.fork("worker")
    installation.until(lambda: installation.quiet)
    installation.until(lambda: installation.ask("/readyz") == 200)
    disk.fill(installation)
    for number in range(30):
        installation.found(installation.crm, f"new{number}")
    answers = [installation.call("crm", "companies", "1", event=f"{n:0>80}") for n in range(40)]
    assert 503 in answers
    assert set(answers) <= {202, 503}
    installation.until(lambda: "the database does not work: its disk" in installation.log())
    accepted = {row.event_id for row in installation.rows("SELECT event_id FROM inbox")}
    assert len(accepted) <= answers.count(202)  # some may have been processed
    assert installation.ask("/healthz") == 200
    disk.vacate_primary(installation)
    installation.until(lambda: installation.call("crm", "companies", "1", event="room") == 202)
    installation.until(lambda: installation.quiet)
    assert worker.poll() is None
    installation.end()
    assert installation.mistakes() == []
    installation.settled()
