"""One writer at a time, over all threads and processes of this machine.

For a Tryton on SQLite only, whose sequences give two parallel writers the same number.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


def lock_path(url: str, database: str) -> Path:
    """Returns the file that everyone who writes to this database locks.

    >>> lock_path("http://a", "x") == lock_path("http://a", "y")
    False
    """
    digest = hashlib.sha256(f"{url} {database}".encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"tulay-{os.getuid()}-{digest}.lock"


@contextlib.contextmanager
def turn(path: Path) -> Iterator[None]:
    """Waits until no other process or thread writes, then runs the block."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
