"""`python -m tests.worker.nursery`: makes processes of Tulay in a moment, by forking a warm one.

Each is what `tulay web`, `worker` or `scheduler` is, with points to be killed at and a faster clock
tick. One JSON line in (a birth, or a question about a process), one out.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from hub.cli.exits import code_of, message_of
from hub.settings import load_settings
from tests.worker.points import Points, watch
from worker import local, remote, service

#: Seconds between two looks at what is due.
_TICK = 0.05
#: Seconds until a server that was away is asked again.
_PAUSE = 0.5


def main() -> None:
    """Answers until its standard input ends; then all of its children end."""
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
    """Returns how a child ended (as subprocess does), None when it lives."""
    found, status = os.waitpid(pid, os.WNOHANG)
    if found == 0:
        return None
    children.discard(pid)
    return os.waitstatus_to_exitcode(status)


def _live(*, role: str, config: str, log: str, **watched: Any) -> None:
    """Is a process of Tulay, from here to its end."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    for target, path in ((0, os.devnull), (1, log), (2, log)):
        opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        os.dup2(opened, target)
        os.close(opened)
    code = 0
    try:
        local.TICK = remote.TICK = _TICK
        local.PAUSE = remote.PAUSE = _PAUSE
        met = watched.pop("met", None)
        if met is not None:
            watch(Points(Path(met), **watched))
        service.log_to_stderr()
        service.CHILDREN[role](load_settings(config))
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException as error:  # noqa: BLE001 - as the command line does it
        print(message_of(error), file=sys.stderr)
        code = code_of(error)
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
