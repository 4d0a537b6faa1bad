"""`python guard.py SECONDS COMMAND...`: a program that ends with the process that started it.

Its parent holds the other end of standard input. When the parent closes it, or dies in whatever
way, the program is ended with everything in its process group. Imports nothing of ours, so that it
starts in a moment; it opens no connection and reads no settings.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from threading import Thread
from typing import Any

#: Seconds in which a program may end in order before it is killed, when nobody says.
GRACE = 5.0


def guarded(
    command: Sequence[str], *, grace: float = GRACE, **options: Any
) -> subprocess.Popen[bytes]:
    """Starts a program that ends when this process does, or when standard input is closed.

    `grace`: seconds in which it may end in order before it is killed. `options` are those of
    `subprocess.Popen`. Ctrl-C in a terminal does not reach the program.
    """
    guard = [sys.executable, "-I", "-S", __file__]
    return subprocess.Popen(  # noqa: S603 - the command is the caller's
        [*guard, str(grace), *command], stdin=subprocess.PIPE, start_new_session=True, **options
    )


def end(process: subprocess.Popen[bytes]) -> None:
    """Ends a guarded program and waits for it; twice is fine."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(timeout=2 * GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def main(grace: float, command: Sequence[str]) -> int:
    """Runs a program until it ends, or standard input does; returns the exit code."""
    program = subprocess.Popen(  # noqa: S603
        command, stdin=subprocess.DEVNULL, start_new_session=True
    )

    def finish() -> None:
        # It may have ended just now.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(program.pid, signal.SIGTERM)
            try:
                program.wait(timeout=grace)
            except subprocess.TimeoutExpired:
                os.killpg(program.pid, signal.SIGKILL)

    def read() -> None:
        while os.read(0, 1024):
            pass
        finish()

    def start(work: Any) -> None:
        Thread(target=work, daemon=True).start()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: start(finish))
    start(read)
    code = program.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2:]))
