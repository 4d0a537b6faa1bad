"""`python -m tests.worker.fork_server`: starts processes of Tulay quickly, by forking a warm one.

Each is a `tulay serve`, `web`, `worker` or `scheduler`, with crash points and a faster clock tick;
what `serve` supervises is forked as well. One JSON line in (a start, or a question about a
process), one out.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any, ClassVar, NoReturn

from hub.cli.exit_codes import code_of, message_of
from hub.logs import LogConfig, log_to_stderr
from hub.settings import Settings, load_settings
from tests.worker.crash_points import Points, watch
from tests.worker.ports import NAMED
from worker import child, local, remote, service, supervise

#: Seconds between two checks of what is due.
_TICK = 0.05
#: Seconds until an unreachable server is tried again.
_PAUSE = 0.5


def main() -> None:
    """Answers requests until its standard input ends; then ends all its children."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    children: set[int] = set()
    for line in sys.stdin:
        asked = json.loads(line)
        if "ended" in asked:
            answer = _ended(asked["ended"], children)
        else:
            sys.stdout.flush()
            answer = os.fork()
            if answer == 0:
                _live(**asked)
            children.add(answer)
        print(json.dumps(answer), flush=True)
    for pid in children:
        os.kill(pid, signal.SIGKILL)


def _ended(pid: int, children: set[int]) -> int | None:
    """Returns the exit code of a child (as subprocess does); None while it runs."""
    found, status = os.waitpid(pid, os.WNOHANG)
    if found == 0:
        return None
    children.discard(pid)
    return os.waitstatus_to_exitcode(status)


def _live(
    *, role: str, config: str, log: str, environ: Mapping[str, str] | None = None, **watched: Any
) -> NoReturn:
    """Runs as a process of Tulay until its end."""
    _with_default_signals()
    for target, path in ((0, os.devnull), (1, log), (2, log)):
        opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        os.dup2(opened, target)
        os.close(opened)
    os.environ.update(environ or {})
    code = 0
    try:
        local.TICK = remote.TICK = _TICK
        local.PAUSE = remote.PAUSE = _PAUSE
        met = watched.pop("met", None)
        if met is not None:
            watch(Points(Path(met), **watched))
        log_to_stderr(LogConfig())
        ROLES[role](load_settings(config))
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException as error:  # noqa: BLE001 - as the command line does it
        print(message_of(error), file=sys.stderr)
        code = code_of(error)
    sys.stderr.flush()
    os._exit(code)


def _with_default_signals() -> None:
    """An executed process has none of its parent's handlers; a forked one must not have them
    either."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


class ForkedChild:
    """A child of `serve`, as `supervise` uses `subprocess.Popen`: a pipe, a session, an end."""

    #: Our ends of all pipes: no child may keep another's end open.
    pipes: ClassVar[list[IO[bytes]]] = []

    def __init__(self, command: Sequence[str], *, stdin: int, start_new_session: bool) -> None:
        assert (stdin, start_new_session) == (subprocess.PIPE, True)
        reading, writing = os.pipe()
        self.stdin = os.fdopen(writing, "wb", buffering=0)
        self.pipes.append(self.stdin)
        self._code: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            for pipe in self.pipes:
                pipe.close()
            os.dup2(reading, 0)
            self._live(list(command[command.index("worker.child") + 1 :]))
        os.close(reading)

    @staticmethod
    def _live(words: list[str]) -> NoReturn:
        os.setsid()
        _with_default_signals()
        Path("/proc/self/comm").write_text(f"{NAMED}{words[0]}")
        sys.argv = ["worker.child", *words]
        code = 0
        try:
            child.main()
        except SystemExit as end:
            code = int(end.code or 0)
        except BaseException:  # noqa: BLE001 - as the interpreter does it
            traceback.print_exc()
            code = 1
        sys.stderr.flush()
        os._exit(code)

    def poll(self) -> int | None:
        """Returns its exit code; None while it runs."""
        if self._code is None:
            found, status = os.waitpid(self.pid, os.WNOHANG)
            self._code = os.waitstatus_to_exitcode(status) if found else None
        return self._code

    def wait(self, timeout: float) -> int:
        """Returns its exit code. Raises: subprocess.TimeoutExpired."""
        until = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > until:
                raise subprocess.TimeoutExpired("a forked child", timeout)
            time.sleep(0.01)
        return code

    def send_signal(self, number: int) -> None:
        """Sends it a signal while it runs."""
        if self.poll() is None:
            os.kill(self.pid, number)


def _serve(settings: Settings) -> None:
    forking: Any = SimpleNamespace(
        Popen=ForkedChild, PIPE=subprocess.PIPE, TimeoutExpired=subprocess.TimeoutExpired
    )
    supervise.subprocess = forking
    service.serve(settings)


#: The roles of processes.
ROLES: dict[str, Callable[[Settings], None]] = {**service.CHILDREN, "serve": _serve}


if __name__ == "__main__":
    main()
