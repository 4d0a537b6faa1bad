"""The keys of one sweep, any number of them in little memory.

A private temporary SQLite file, which disappears with its process.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from types import TracebackType

import orjson


class KeySet:
    """A set of keys on disk; SQLite keeps a few megabytes of it in memory."""

    def __init__(self) -> None:
        # An empty name means a temporary file, which is deleted however it is closed.
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._db.execute("CREATE TABLE keys (key TEXT PRIMARY KEY) WITHOUT ROWID")

    def add(self, keys: Iterable[str]) -> list[str]:
        """Adds keys; returns the new ones, each once.

        >>> with KeySet() as found:
        ...     found.add(["a", "b", "a"]), found.add(["b", "c"]), found.without(["c", "d"])
        (['a', 'b'], ['c'], ['d'])
        """
        fresh = self.without(dict.fromkeys(keys))
        self._db.execute("BEGIN")
        self._db.executemany("INSERT INTO keys VALUES (?)", ((key,) for key in fresh))
        self._db.execute("COMMIT")
        return fresh

    def without(self, keys: Iterable[str]) -> list[str]:
        """Returns the keys that are not in the set, in their order."""
        asked = list(keys)
        sql = "SELECT key FROM keys WHERE key IN (SELECT value FROM json_each(?))"
        known = {row[0] for row in self._db.execute(sql, (orjson.dumps(asked).decode(),))}
        return [key for key in asked if key not in known]

    def portions(self, size: int) -> Iterator[list[str]]:
        """Yields all keys, sorted, a portion at a time."""
        after = ""
        sql = "SELECT key FROM keys WHERE key > ? ORDER BY key LIMIT ?"
        while found := [row[0] for row in self._db.execute(sql, (after, size))]:
            yield found
            after = found[-1]

    def __enter__(self) -> KeySet:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Deletes the set."""
        self._db.close()
