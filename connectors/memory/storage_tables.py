"""The storage of the memory system: one SQLite file, or memory (`:memory:`).

Several processes may share the file; what was committed survives a kill. Knows no rules.
"""

from __future__ import annotations

import sqlite3
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from typing import Any

_SCHEMA = """
CREATE TABLE IF NOT EXISTS records (
    stream TEXT NOT NULL, key TEXT NOT NULL, number INTEGER NOT NULL, payload TEXT NOT NULL,
    version INTEGER NOT NULL, modified_at TEXT NOT NULL, once TEXT,
    fate TEXT NOT NULL DEFAULT 'live', survivor TEXT, PRIMARY KEY (stream, key));
DROP INDEX IF EXISTS once_is_unique;
CREATE INDEX IF NOT EXISTS by_once ON records (stream, once) WHERE once IS NOT NULL;
CREATE INDEX IF NOT EXISTS by_time ON records (stream, modified_at, number);
CREATE INDEX IF NOT EXISTS by_number ON records (stream, number);
CREATE TABLE IF NOT EXISTS writes (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, stream TEXT NOT NULL, key TEXT NOT NULL,
    op TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS past (
    stream TEXT NOT NULL, key TEXT NOT NULL, version INTEGER NOT NULL, payload TEXT NOT NULL,
    PRIMARY KEY (stream, key, version)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY, id INTEGER NOT NULL, stream TEXT NOT NULL, key TEXT NOT NULL,
    survivor TEXT, due_at TEXT NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One stored record, in any state."""

    key: str
    number: int
    payload: str
    version: int
    modified_at: str
    once: str | None
    #: live | gone | merged
    fate: str
    survivor: str | None


_COLUMNS = "key, number, payload, version, modified_at, once, fate, survivor"


def as_text(at: datetime) -> str:
    """Formats a time so that texts sort by time.

    >>> as_text(datetime(2026, 11, 23, tzinfo=UTC))
    '2026-11-23T00:00:00.000000+00:00'
    """
    return at.astimezone(UTC).isoformat(timespec="microseconds")


class Tables:
    """The rows; the calls of one process are serialised."""

    def __init__(self, path: str) -> None:
        self._lock = threading.RLock()
        self._depth = 0
        self._db = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
        self.close = weakref.finalize(self, self._db.close)
        if path != ":memory:":
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")  # a kill loses nothing
        self._db.executescript(_SCHEMA)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Runs the block in a transaction; nests."""
        with self._lock:
            if self._depth == 0:
                self._db.execute("BEGIN IMMEDIATE")
            self._depth += 1
            done = False
            try:
                yield
                done = True
            finally:
                self._depth -= 1
                if self._depth == 0:
                    self._db.execute("COMMIT" if done else "ROLLBACK")

    def rows(self, where: str, *values: object) -> list[Row]:
        """Returns records; `where` is SQL of this package, never of a caller."""
        return [Row(*row) for row in self._all(f"SELECT {_COLUMNS} FROM records {where}", values)]  # noqa: S608

    def row(self, stream: str, key: str) -> Row | None:
        """Returns one record in any state; None when it never existed."""
        found = self.rows("WHERE stream = ? AND key = ?", stream, key)
        return found[0] if found else None

    def count(self, where: str, *values: object) -> int:
        """Counts records."""
        return int(self._all(f"SELECT count(*) FROM records {where}", values)[0][0])  # noqa: S608

    def has_time(self, stream: str, modified_at: str) -> bool:
        """Returns True if some record changed at exactly this time."""
        sql = "SELECT 1 FROM records WHERE stream = ? AND modified_at = ? LIMIT 1"
        return bool(self._all(sql, (stream, modified_at)))

    def put(self, stream: str, row: Row) -> None:
        """Stores a record, new or changed."""
        self._all(
            f"INSERT INTO records (stream, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) "  # noqa: S608
            "ON CONFLICT (stream, key) DO UPDATE SET payload = excluded.payload, "
            "version = excluded.version, modified_at = excluded.modified_at, once = excluded.once, "
            "fate = excluded.fate, survivor = excluded.survivor",
            (stream, *astuple(row)),
        )

    def keep(self, stream: str, row: Row, *, most: int) -> None:
        """Keeps the previous versions of a record, the last `most` of them."""
        self._all(
            "INSERT OR REPLACE INTO past VALUES (?, ?, ?, ?)",
            (stream, row.key, row.version, row.payload),
        )
        old = "SELECT version FROM past WHERE stream = ? AND key = ? ORDER BY version DESC LIMIT ?"
        self._all(
            f"DELETE FROM past WHERE stream = ? AND key = ? AND version NOT IN ({old})",  # noqa: S608
            (stream, row.key, stream, row.key, most),
        )

    def kept(self, stream: str, key: str, version: str) -> str | None:
        """Returns a record at a version; None when that version is no longer kept."""
        sql = "SELECT payload FROM past WHERE stream = ? AND key = ? AND version = ?"
        found = self._all(sql, (stream, key, version))
        return str(found[0][0]) if found else None

    def twice(self, stream: str) -> list[tuple[str, int, str]]:
        """Returns hub id, number and keys of living records that carry the same hub id."""
        sql = (
            "SELECT once, count(*), group_concat(key) FROM records WHERE stream = ? AND "
            "once IS NOT NULL AND fate = 'live' GROUP BY once HAVING count(*) > 1"
        )
        return self._all(sql, (stream,))

    def note(self, name: str) -> str | None:
        """Returns a remembered text."""
        found = self._all("SELECT value FROM notes WHERE name = ?", (name,))
        return str(found[0][0]) if found else None

    def remember(self, name: str, value: str) -> None:
        """Keeps a text under a name."""
        self._all("INSERT OR REPLACE INTO notes VALUES (?, ?)", (name, value))

    def notes(self, prefix: str) -> dict[str, str]:
        """Returns remembered texts whose name starts with the prefix, without it."""
        found = self._all("SELECT name, value FROM notes ORDER BY name", ())
        return {n[len(prefix) :]: v for n, v in found if n.startswith(prefix)}

    def next(self, name: str) -> int:
        """Increments a counter and returns it."""
        sql = (
            "INSERT INTO notes VALUES (?, '1') ON CONFLICT (name) DO UPDATE "
            "SET value = CAST(CAST(value AS INTEGER) + 1 AS TEXT) RETURNING value"
        )
        return int(self._all(sql, (f"next {name}",))[0][0])

    def newest(self, stream: str) -> int:
        """Returns the number of the newest record of a stream, in any state."""
        return int(self.note(f"next number {stream}") or 0)

    def log(self, stream: str, key: str, op: str) -> None:
        """Adds one line to the log of writes."""
        self._all("INSERT INTO writes (stream, key, op) VALUES (?, ?, ?)", (stream, key, op))

    def logged(self) -> list[tuple[str, str, str]]:
        """Returns the log of writes, oldest first."""
        return self._all("SELECT stream, key, op FROM writes ORDER BY seq", ())

    def logged_after(self, seq: int, *, limit: int) -> list[tuple[int, str, str, str]]:
        """Returns the next lines of the log of writes: number, stream, key, op."""
        sql = "SELECT seq, stream, key, op FROM writes WHERE seq > ? ORDER BY seq LIMIT ?"
        return self._all(sql, (seq, limit))

    def forget_log(self, *, until: int | None = None) -> None:
        """Empties the log of writes, up to a line of it."""
        if until is None:
            self._all("DELETE FROM writes", ())
        else:
            self._all("DELETE FROM writes WHERE seq <= ?", (until,))

    def tell(self, number: int, row: Row, *, stream: str, due_at: str) -> None:
        """Records an event about a row, to be delivered."""
        sql = "INSERT INTO events (id, stream, key, survivor, due_at) VALUES (?, ?, ?, ?, ?)"
        self._all(sql, (number, stream, row.key, row.survivor, due_at))

    def told(self, now: str, limit: int) -> list[tuple[int, str, str, str | None]]:
        """Removes and returns the events that are due: id, stream, key, survivor."""
        with self.transaction():
            found = self._all(
                "SELECT seq, id, stream, key, survivor FROM events WHERE due_at <= ? "
                "ORDER BY due_at, seq LIMIT ?",
                (now, limit),
            )
            for row in found:
                self._all("DELETE FROM events WHERE seq = ?", (row[0],))
        return [tuple(row[1:]) for row in found]

    def _all(self, sql: str, values: tuple[object, ...]) -> list[Any]:
        with self._lock:
            return self._db.execute(sql, values).fetchall()
