"""Only one process writes to a database at a time."""

from __future__ import annotations

import threading
from pathlib import Path

from connectors.tryton.write_lock import turn


def test_only_one_process_writes_at_a_time(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    waiting, inside = threading.Event(), threading.Event()

    def second() -> None:
        waiting.set()
        with turn(lock):
            inside.set()

    with turn(lock):
        thread = threading.Thread(target=second)
        thread.start()
        assert waiting.wait(10)
        assert not inside.wait(0.2)
    assert inside.wait(10)
    thread.join(10)
