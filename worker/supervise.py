"""Keeps child processes running: a dead one is restarted after a growing pause."""

from __future__ import annotations

import logging
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from threading import Event

log = logging.getLogger("tulay.serve")

#: Seconds after which a running child counts as healthy, and that children may take to end.
_WELL = 60.0
GRACE = 30.0


def restart_pause(failures: int) -> float:
    """Returns the seconds before a process that died a number of times in a row is restarted.

    >>> [restart_pause(n) for n in (1, 2, 3, 20)]
    [0.5, 1.0, 2.0, 30.0]
    """
    return min(0.5 * 2.0 ** min(failures - 1, 10), 30.0)


@dataclass
class Child:
    """A process that is kept running."""

    name: str
    command: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    deaths: int = 0
    not_before: float = field(default=0.0)

    def watch(self, now: float) -> None:
        """Starts the process if it is not running and its pause is over."""
        if self.process is None:
            if now >= self.not_before:
                self._start(now)
            return
        code = self.process.poll()
        if code is None:
            return
        self._close()
        if now - self.started_at > _WELL:
            self.deaths = 0
        self.deaths += 1
        pause = restart_pause(self.deaths)
        self.not_before = now + pause
        log.warning(
            "%s ended with %s; it restarts in %.1f s",
            *(self.name, code, pause),
            extra={"child": self.name, "exit_code": code, "pause": pause},
        )

    def _start(self, now: float) -> None:
        # In its own session: Ctrl-C reaches the parent, which ends its children in order. The pipe
        # lets a child notice the death of its parent, however that happens.
        self.process = subprocess.Popen(  # noqa: S603 - the command is ours
            self.command, stdin=subprocess.PIPE, start_new_session=True
        )
        self.started_at = now
        log.info(
            "%s runs as process %d",
            *(self.name, self.process.pid),
            extra={"child": self.name, "pid": self.process.pid},
        )

    def tell(self, signum: int) -> None:
        """Sends a signal to the process if it is running."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signum)

    def wait(self, seconds: float) -> bool:
        """Waits for the end of the process; returns True if it has ended."""
        if self.process is None:
            return True
        try:
            self.process.wait(timeout=max(seconds, 0.01))
        except subprocess.TimeoutExpired:
            return False
        self._close()
        return True

    def _close(self) -> None:
        if self.process is not None and self.process.stdin is not None:
            self.process.stdin.close()
        self.process = None


def supervise(commands: Mapping[str, Sequence[str]], stop: Event) -> None:
    """Keeps all commands running until told to stop; then ends them in bounded time."""
    children = [Child(name, command) for name, command in commands.items()]
    while not stop.is_set():
        for child in children:
            child.watch(time.monotonic())
        stop.wait(0.2)
    for child in children:
        child.tell(signal.SIGTERM)
    until = time.monotonic() + GRACE
    for child in children:
        if not child.wait(until - time.monotonic()):
            log.warning(
                "%s has not ended in time; killing it", child.name, extra={"child": child.name}
            )
            child.tell(signal.SIGKILL)
            child.wait(5)
    log.info("all processes have ended")
