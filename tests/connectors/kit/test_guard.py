"""A guarded program ends with the process that started it, however that one ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.kit.guard import end, guarded

ROOT = Path(__file__).parents[3]
#: Prints its process id and then ignores SIGTERM.
STUBBORN = "import os,signal;signal.signal(15,signal.SIG_IGN);print(os.getpid(),flush=True)"
FOREVER = "import time;time.sleep(600)"
#: A parent that waits forever while its guarded program prints its id.
PARENT = (
    "import sys,time;from connectors.kit.guard import guarded;"
    f"guarded([sys.executable,'-c','import os;print(os.getpid(),flush=True);{FOREVER}']);"
    "time.sleep(600)"
)


def runs(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


def until_gone(pid: int) -> None:
    deadline = time.monotonic() + 30
    while runs(pid):
        assert time.monotonic() < deadline, "it has outlived its parent"
        time.sleep(0.01)


@pytest.fixture
def parent() -> Iterator[subprocess.Popen[str]]:
    """A process in its own group with a guarded program."""
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    with process:
        yield process
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_it_ends_with_its_parent(parent: subprocess.Popen[str], number: signal.Signals) -> None:
    assert parent.stdout is not None
    program = int(parent.stdout.readline())
    assert runs(program)
    # As a terminal does: the whole group.
    os.killpg(parent.pid, number)
    assert parent.wait(timeout=30) != 0
    until_gone(program)


def test_a_process_that_ignores_sigterm_is_killed() -> None:
    stubborn = [sys.executable, "-c", f"{STUBBORN};{FOREVER}"]
    process = guarded(stubborn, grace=0.1, stdout=subprocess.PIPE)
    assert process.stdout is not None
    program = int(process.stdout.readline())
    end(process)
    end(process)
    process.stdout.close()
    assert not runs(program)
    assert process.returncode == 128 + signal.SIGKILL


def test_it_ends_as_its_program_does() -> None:
    with guarded([sys.executable, "-c", "raise SystemExit(7)"]) as process:
        assert process.wait(timeout=30) == 7
