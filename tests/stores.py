"""Empty stores in an instant: a file with all tables is copied, and engines are used again.

An engine remembers the statements that it has compiled. Compiling them again for every test takes
longer than most tests.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from sqlalchemy.engine import Engine

from hub.store.engine import Store, open_store


class SqliteStores:
    """Lends addresses of SQLite files in one folder, and opens stores with all tables there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._engines: dict[Path, Engine] = {}
        self._free: list[Path] = []
        self._count = 0
        self._blank = folder / "blank.db"
        store = open_store(f"sqlite:///{self._blank}")
        store.create()
        store.close()

    def lend(self) -> Path:
        """Returns a path where no database is yet."""
        if self._free:
            return self._free.pop()
        self._count += 1
        return self._folder / f"tulay-{self._count}.db"

    def open(self, path: Path) -> Store:
        """Opens a store with all tables at a path that was lent."""
        shutil.copyfile(self._blank, path)
        if path not in self._engines:
            self._engines[path] = open_store(f"sqlite:///{path}").engine
        return Store(self._engines[path])

    def take_back(self, path: Path) -> None:
        """Deletes the database at a path, which may be lent again."""
        if path in self._engines:
            self._engines[path].dispose()
        for suffix in ("", "-wal", "-shm", "-journal"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        self._free.append(path)
