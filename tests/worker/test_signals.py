"""Signals end a process, whatever they interrupt."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from tests.worker.ports import ROOT
from worker.signals import Stop


def outcome(program: str) -> subprocess.CompletedProcess[str]:
    """Runs a program that must not hang."""
    words = f"import signal\nfrom worker.signals import Stop\n{program}"
    args = [sys.executable, "-c", words]
    return subprocess.run(args, cwd=ROOT, timeout=60, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_wait(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with Stop() as stop:
        assert not stop.is_set()
        signal.raise_signal(number)
        assert stop.wait(60)
    assert signal.getsignal(number) is before


def test_a_signal_may_interrupt_a_wait() -> None:
    # A thread that is about to wait, or has just waited, holds this lock for a moment.
    ended = outcome(
        "with Stop() as stop:\n"
        "    with stop._cond:\n"
        "        signal.raise_signal(signal.SIGTERM)\n"
        "    print(stop.wait(30))\n"
    )
    assert (ended.returncode, ended.stdout) == (0, "True\n"), ended.stderr


def test_a_second_signal_ends_it_at_once() -> None:
    ended = outcome(
        "with Stop():\n"
        "    signal.raise_signal(signal.SIGTERM)\n"
        "    signal.raise_signal(signal.SIGINT)\n"
        "    print('still here')\n"
    )
    assert (ended.returncode, ended.stdout) == (128 + signal.SIGINT, "")
