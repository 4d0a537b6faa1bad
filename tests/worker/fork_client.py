"""Processes of Tulay that start quickly: fork_server.py is their warm parent."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tests.worker.ports import NAMED, ROOT, SECRET


class Process(Protocol):
    """A process of Tulay, however it was started."""

    pid: int

    def poll(self) -> int | None:
        """Returns the exit code; None while it runs."""
        ...

    def send_signal(self, number: int) -> None:
        """Sends it a signal."""
        ...


class ForkServer:
    """Processes forked from a warm one."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.worker.fork_server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "HOOK": SECRET, "PYTHONPATH": str(ROOT)},
        )

    def ask(self, **question: Any) -> Any:
        """Sends one request and returns the answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(question), file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        """Ends it, with all its children."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


@dataclass
class Forked:
    """A process that was forked from the warm one."""

    fork_server: ForkServer
    pid: int
    code: int | None = None

    def poll(self) -> int | None:
        """Returns the exit code; None while it runs."""
        if self.code is None:
            self.code = self.fork_server.ask(ended=self.pid)
        return self.code

    def send_signal(self, number: int) -> None:
        """Sends it a signal while it runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def wait(self, timeout: float) -> int:
        """Returns the exit code when it has ended. Raises: TimeoutError."""
        until = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > until:
                raise TimeoutError(f"process {self.pid} does not end")
            time.sleep(0.01)
        return code


def children(pid: int) -> dict[str, int]:
    """Returns name -> process id of the children of `tulay serve`."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
            words = (stat.parent / "cmdline").read_bytes().split(b"\0")
            name = (stat.parent / "comm").read_text().strip()
        except OSError:
            continue
        if int(fields[1]) != pid or fields[0] == "Z":
            continue
        if b"worker.child" in words:
            name = f"{NAMED}{words[words.index(b'worker.child') + 1].decode()}"
        if name.startswith(NAMED):
            found[name.removeprefix(NAMED)] = int(stat.parent.name)
    return found
