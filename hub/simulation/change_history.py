"""What users did and typed in a simulation, on disk: the checker asks about every line.

A scratch SQLite file grows while memory does not. Knows nothing of the hub.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass
from itertools import groupby
from pathlib import Path
from types import TracebackType

import orjson

from hub.simulation.fates import Fates
from mappings.canonical.values import Scalar

_SCHEMA = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE acts (
    number INTEGER PRIMARY KEY, at REAL, verb TEXT, subject TEXT, connection TEXT, stream TEXT,
    key TEXT, newest INTEGER, fate TEXT);
CREATE TABLE typed (
    id INTEGER PRIMARY KEY, number INTEGER, subject TEXT, connection TEXT, stream TEXT, key TEXT,
    path TEXT, value TEXT, unread INTEGER, unique_ INTEGER, reached INTEGER DEFAULT 0);
CREATE TABLE gaps (connection TEXT, stream TEXT, key TEXT, PRIMARY KEY (connection, stream, key));
CREATE TABLE moves (connection TEXT, stream TEXT, key TEXT, lives TEXT);
CREATE TABLE tags (connection TEXT, stream TEXT, subject TEXT, key TEXT);
"""
#: Events that end the life of their record.
_ENDS = "verb IN ('delete', 'delete unread', 'merge', 'merge unread')"
#: Number of lines kept in memory before they are written.
_BUFFER = 2000

RecordRef = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class HistoryEvent:
    """One change by a user."""

    #: Rising; 0 and below for the initial data.
    number: int
    #: Seconds since the epoch.
    at: float
    #: create | edit | blank | quarrel | delete | merge | win | handle
    verb: str
    subject: str
    connection: str
    stream: str
    key: str
    #: The number of the stream's newest record when this one ended; 0 for other events.
    newest: int = 0


@dataclass(frozen=True, slots=True)
class TypedValue:
    """One value that a user typed."""

    number: int
    subject: str
    connection: str
    stream: str
    key: str
    path: str
    #: The canonical value, as its system shows it.
    value: Scalar
    #: The hub had not read the previous value when this one replaced it.
    unread: bool
    #: The value is typed only once.
    unique: bool
    id: int = 0
    reached: bool = False

    @property
    def record_ref(self) -> RecordRef:
        """The record it was typed into."""
        return self.connection, self.stream, self.key


class History:
    """The history of one simulation."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.executescript(_SCHEMA)
        #: What the checker notes about these lines.
        self.fates = Fates(self._db)
        self._acts: list[tuple[object, ...]] = []
        self._typed: list[tuple[object, ...]] = []
        self._reached: list[tuple[int]] = []
        self._last = 0

    def act(self, act: HistoryEvent) -> None:
        """Records an event."""
        self._acts.append((*astuple(act), None))

    def typed(self, one: TypedValue) -> int:
        """Records a typed value; returns the number of its line."""
        self._last += 1
        value = orjson.dumps(one.value).decode()
        flags = (int(one.unread), int(one.unique))
        self._typed.append(
            (self._last, one.number, one.subject, *one.record_ref, one.path, value, *flags)
        )
        if len(self._typed) >= _BUFFER:
            self.flush()
        return self._last

    def reached(self, line: int) -> None:
        """Records that a value has arrived in every system that should have it."""
        self._reached.append((line,))

    def gap(self, record_ref: RecordRef) -> None:
        """Records that the hub overwrote a value it could not have read: the system has no lock."""
        self._db.execute("INSERT OR IGNORE INTO gaps VALUES (?, ?, ?)", record_ref)

    def moved(self, record_ref: RecordRef, lives: str) -> None:
        """Records that a record has another key from now on."""
        self._db.execute("INSERT INTO moves VALUES (?, ?, ?, ?)", (*record_ref, lives))

    def flush(self) -> None:
        """Writes what is in memory."""
        self._db.execute("BEGIN")
        self._db.executemany("INSERT INTO acts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", self._acts)
        self._db.executemany(
            "INSERT INTO typed VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)", self._typed
        )
        self._db.executemany("UPDATE typed SET reached = 1 WHERE id = ?", self._reached)
        self._db.execute("COMMIT")
        self._acts, self._typed, self._reached = [], [], []

    # --- for the verdict ------------------------------------------------------------------------

    def by_record(self, portion: int) -> Iterator[list[list[TypedValue]]]:
        """Yields the typed values by record, oldest first, in lists of at most `portion`
        records."""
        self.flush()
        self._db.execute(
            "CREATE INDEX IF NOT EXISTS by_record ON typed (connection, stream, key, id)"
        )
        self._follow()
        rows = self._db.execute(
            "SELECT number, subject, connection, stream, key, path, value, unread, unique_, id,"
            " reached FROM typed ORDER BY connection, stream, key, id"
        )
        records: list[list[TypedValue]] = []
        for record_ref, lines in groupby(map(_line, rows), key=lambda one: one.record_ref):
            if records and (
                len(records) >= portion or records[0][0].record_ref[:2] != record_ref[:2]
            ):
                yield records
                records = []
            records.append(list(lines))
        if records:
            yield records

    def _follow(self) -> None:
        """Moves typed values to the records that survive."""
        moves = self._db.execute("SELECT * FROM moves ORDER BY rowid").fetchall()
        for table in ("typed", "gaps"):
            self._db.executemany(
                f"UPDATE OR IGNORE {table} SET key = ?"  # noqa: S608 - names of this module
                " WHERE connection = ? AND stream = ? AND key = ?",
                ((lives, *record_ref) for *record_ref, lives in moves),
            )
        self._db.execute("DELETE FROM moves")

    def endings(self, spots: Sequence[RecordRef]) -> dict[RecordRef, str]:
        """Returns the records that users deleted or merged: `delete`, `delete unread`, `merge`
        ..."""
        self._db.execute(
            f"CREATE INDEX IF NOT EXISTS by_ending ON acts (connection, stream, key) WHERE {_ENDS}"
        )
        found = {}
        for record_ref in spots:
            row = self._db.execute(
                # Names and verbs are constants of this module.
                "SELECT verb FROM acts WHERE connection = ? AND stream = ? AND key = ?"  # noqa: S608
                f" AND {_ENDS} LIMIT 1",
                record_ref,
            ).fetchone()
            if row:
                found[record_ref] = str(row[0])
        return found

    def gaps(self) -> set[RecordRef]:
        """Returns the records that the hub overwrote unread."""
        return {(c, s, k) for c, s, k in self._db.execute("SELECT * FROM gaps")}

    def ended(self) -> Iterator[tuple[str, str, str, str, int]]:
        """Yields connection, stream, key, subject and `newest` of the records that users
        deleted."""
        self.flush()
        yield from self._db.execute(
            "SELECT connection, stream, key, subject, newest FROM acts"
            " WHERE verb IN ('delete', 'delete unread')"
        )

    def about(self, subjects: Iterable[str]) -> list[tuple[HistoryEvent, list[TypedValue]]]:
        """Returns everything that users did with some subjects, oldest first."""
        self.flush()
        found = []
        for subject in dict.fromkeys(subjects):
            rows = self._db.execute(
                "SELECT number, at, verb, subject, connection, stream, key FROM acts"
                " WHERE subject = ? ORDER BY number LIMIT 200",
                (subject,),
            )
            for row in rows.fetchall():
                act = HistoryEvent(*row)
                typed = self._db.execute(
                    "SELECT number, subject, connection, stream, key, path, value, unread, unique_,"
                    " id, reached FROM typed WHERE number = ? AND subject = ?",
                    (act.number, subject),
                )
                found.append((act, [_line(one) for one in typed]))
        return sorted(found, key=lambda pair: pair[0].at)

    def __enter__(self) -> History:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Closes the file."""
        self._db.close()


def _line(row: Sequence[object]) -> TypedValue:
    number, subject, connection, stream, key, path, value, unread, unique, line, reached = row
    return TypedValue(
        int(str(number)),
        str(subject),
        str(connection),
        str(stream),
        str(key),
        str(path),
        orjson.loads(value),  # type: ignore[arg-type]
        bool(unread),
        bool(unique),
        int(str(line)),
        bool(reached),
    )
