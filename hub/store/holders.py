"""Holders of leases: a name per process, and whether that process is still alive.

A process is only known to be dead on its own host; elsewhere its leases must expire.
"""

from __future__ import annotations

import hashlib
import os
import re
import socket
import uuid
from functools import cache
from pathlib import Path

_NAME = re.compile(r"(?P<place>[^:]+:[0-9a-f]{10}):(?P<pid>\d+):(?P<start>\w+)")
_PROC = Path("/proc")


def worker_name() -> str:
    """Returns the name of this process: host and namespace, process id, start time.

    >>> worker_name() == worker_name()
    True
    """
    pid = os.getpid()
    return f"{_place()}:{pid}:{_started(pid) or _unique()}"


def is_dead(name: str) -> bool:
    """Returns True if the process of this name is certainly dead.

    >>> is_dead(worker_name()), is_dead("elsewhere:0123456789:1:1"), is_dead("anything")
    (False, False, False)
    """
    found = _NAME.fullmatch(name)
    if found is None or found["place"] != _place():
        return False
    pid = int(found["pid"])
    if not _runs(pid):
        return True
    started = _started(pid)
    # Another process may have got the number in the meantime.
    return started is not None and found["start"] != started


@cache
def _place() -> str:
    host = socket.gethostname()[:40].replace(":", "-")
    parts = [host]
    for file in ("sys/kernel/random/boot_id", "self/ns/pid"):
        path = _PROC / file
        if path.is_symlink():
            parts.append(os.readlink(path))
        elif path.is_file():
            parts.append(path.read_text(encoding="ascii"))
    # Process ids mean nothing after a restart of the machine or in another container.
    return f"{host}:{hashlib.sha256(chr(10).join(parts).encode()).hexdigest()[:10]}"


@cache
def _unique() -> str:
    return uuid.uuid4().hex[:12]


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _started(pid: int) -> str | None:
    """Returns the ticks from boot to the start of a process; None if unknown."""
    try:
        line = (_PROC / str(pid) / "stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    # The second field is the command in brackets and may contain anything.
    fields = line.rpartition(")")[2].split()
    # A zombie has ended and only waits for its parent.
    return "ended" if fields[0] == "Z" else fields[19]
