"""A Tryton on loopback ends with the process that started it: interrupted tests, a killed demo."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
#: Tests with two workers, of which one has started a Tryton and waits forever.
SUITE = """
import time
from connectors.tryton import sandbox

def test_it():
    with sandbox.start():
        open("started", "w").close()
        time.sleep(600)
"""
PYTEST = ["-m", "pytest", "-p", "no:cacheprovider", "-n", "2", "test_it.py"]
DEMO = ["-m", "hub.cli", "demo", "--customers", "60"]


def trytonds(folder: Path) -> list[str]:
    """Returns the process ids of Trytons whose files are in a folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_text(errors="replace")
            ended = " Z " in (entry.parent / "stat").read_text()
        except OSError:
            continue
        if f"{folder}/" in words and "trytond.conf" in words and not ended:
            found.append(entry.parent.name)
    return found


def until(true: Callable[[], object], seconds: float = 200) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def begun(tmp_path: Path) -> Iterator[Callable[[Sequence[str]], subprocess.Popen[bytes]]]:
    """Starts Python in its own folder, which also has all temporary files."""
    made: list[subprocess.Popen[bytes]] = []

    def begin(words: Sequence[str]) -> subprocess.Popen[bytes]:
        environ = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
        made.append(
            subprocess.Popen(
                [sys.executable, *words],
                cwd=tmp_path,
                env={k: v for k, v in environ.items() if not k.startswith("PYTEST_")},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        )
        return made[-1]

    yield begin
    for process in made:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_interrupted_tests_leave_none(
    number: signal.Signals,
    tmp_path: Path,
    begun: Callable[[Sequence[str]], subprocess.Popen[bytes]],
) -> None:
    (tmp_path / "test_it.py").write_text(SUITE)
    process = begun(PYTEST)
    until(lambda: (tmp_path / "started").exists() or process.poll() is not None)
    assert process.poll() is None
    assert trytonds(tmp_path)
    process.send_signal(number)
    process.wait(timeout=60)
    until(lambda: not trytonds(tmp_path), 30)


def test_a_killed_demo_leaves_none(
    tmp_path: Path, begun: Callable[[Sequence[str]], subprocess.Popen[bytes]]
) -> None:
    process = begun(DEMO)
    until(lambda: trytonds(tmp_path) or process.poll() is not None)
    assert process.poll() is None
    process.kill()
    process.wait(timeout=60)
    until(lambda: not trytonds(tmp_path), 30)
