"""The fate of every change of a simulation, and what exists twice: what the checker noted.

Tables in the file of the history; the numbers in the certificate are counted here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator


class Fates:
    """The fate of each change, in an open history."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def clear(self) -> None:
        """Clears the results of an earlier check: a simulation may continue after one."""
        self._db.execute("UPDATE acts SET fate = NULL")
        self._db.execute("DELETE FROM tags")

    def set(self, fates: Iterable[tuple[int, str]]) -> None:
        """Records the fate of some changes; the worse one stays."""
        self._db.execute("BEGIN")
        self._db.executemany(
            "UPDATE acts SET fate = ? WHERE number = ? AND (fate IS NULL OR fate < ?)",
            ((fate, number, fate) for number, fate in fates),
        )
        self._db.execute("COMMIT")

    def set_others(self, fate: str) -> None:
        """Records a fate for all changes without one."""
        self._db.execute("UPDATE acts SET fate = ? WHERE fate IS NULL", (fate,))

    def counts(self) -> dict[str, int]:
        """Returns fate -> number of changes; the initial data is not counted."""
        rows = self._db.execute(
            "SELECT coalesce(fate, ''), count(*) FROM acts WHERE number > 0 GROUP BY 1"
        )
        return {str(fate): int(count) for fate, count in rows}

    def by_verb(self) -> dict[str, int]:
        """Returns verb -> number of changes."""
        rows = self._db.execute(
            "SELECT verb, count(*) FROM acts WHERE number > 0 GROUP BY 1 ORDER BY 1"
        )
        return {str(verb): int(count) for verb, count in rows}

    def over_time(self, parts: int) -> list[tuple[float, int]]:
        """Returns (seconds since the first change, number of changes) in equal spans."""
        first, last = self._db.execute(
            "SELECT min(at), max(at) FROM acts WHERE number > 0"
        ).fetchone()
        if first is None:
            return []
        width = max((last - first) / parts, 1e-9)
        found = dict(
            self._db.execute(
                "SELECT min(CAST((at - ?) / ? AS INTEGER), ? - 1), count(*) FROM acts"
                " WHERE number > 0 GROUP BY 1",
                (first, width, parts),
            )
        )
        return [(width * n, found.get(n, 0)) for n in range(parts)]

    # --- natural keys ---------------------------------------------------------------------------

    def tags(self, rows: Iterable[tuple[str, str, str, str]]) -> None:
        """Records the subject of each live record: connection, stream, subject, key."""
        self._db.executemany("INSERT INTO tags VALUES (?, ?, ?, ?)", rows)

    def duplicates(self) -> Iterator[tuple[str, str, str, int, str]]:
        """Yields connection, stream, subject, number and keys of subjects with several records."""
        yield from self._db.execute(
            "SELECT connection, stream, subject, count(*), group_concat(key, ', ') FROM tags"
            " GROUP BY 1, 2, 3 HAVING count(*) > 1"
        )
