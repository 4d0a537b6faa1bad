"""Runs: what each pull, push or reconciliation saw and did."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import Connection, bindparam, insert, select, update

from hub.model.change_limits import RecentChanges
from hub.store.tables import runs

#: What a run can be; inconsistent ones (`red`) have counts that do not add up.
RUN_STATES = ("running", "done", "failed", "paused", "stopped", "inconsistent")

#: What a run counts, and takes over from a page that was stored.
_COUNTS = ("seen", "same", "changed", "skipped", "quarantined", "written", "touched", "gone")


@dataclass(slots=True)
class Tally:
    """What one run saw and did.

    A run is inconsistent unless seen = same + changed + skipped + quarantined.
    """

    id: str
    kind: str
    connection: str
    stream: str
    started_at: datetime
    seen: int = 0
    same: int = 0
    changed: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    quarantined: int = 0
    written: int = 0
    #: Known records whose values changed or which were deleted: what a surprise is measured by.
    touched: int = 0
    #: Of these, those that are gone.
    gone: int = 0
    #: Key -> changed | gone, of those touched since the last copy.
    recent: dict[str, str] = field(default_factory=dict)
    #: What was touched within the limit's time, in all runs.
    lately: RecentChanges = field(default_factory=RecentChanges)

    def touch(self, key: str, what: str = "changed") -> None:
        """Counts a known record that has changed, or is gone."""
        self.touched += 1
        self.gone += what == "gone"
        self.recent[key] = what

    def skip(self, reason: str, count: int = 1) -> None:
        """Counts records that were left alone for a reason."""
        self.skipped[reason] = self.skipped.get(reason, 0) + count

    def copy(self) -> Tally:
        """Returns an independent copy."""
        return replace(self, skipped=dict(self.skipped), recent={})

    def become(self, other: Tally) -> None:
        """Takes over the counts of another one."""
        for name in _COUNTS:
            setattr(self, name, getattr(other, name))

    @property
    def adds_up(self) -> bool:
        """Says whether every record seen is accounted for."""
        return self.seen == self.same + self.changed + sum(self.skipped.values()) + self.quarantined


@dataclass(frozen=True, slots=True)
class Run:
    """A run as it is stored."""

    id: str
    kind: str
    connection: str
    stream: str
    started_at: datetime
    finished_at: datetime | None
    seen: int
    same: int
    changed: int
    skipped: dict[str, int]
    quarantined: int
    written: int
    #: running | done | failed | paused | stopped | red (counts do not add up)
    state: str
    reason: str | None


def start_run(tx: Connection, tally: Tally) -> None:
    """Notes that a run has begun."""
    row = {
        "id": tally.id,
        "kind": tally.kind,
        "connection": tally.connection,
        "stream": tally.stream,
        "started_at": tally.started_at,
        "state": "running",
    }
    tx.execute(_START, row)


_START = insert(runs)


def last_pause(tx: Connection, connection: str, stream: str) -> str | None:
    """Returns which kind of run last paused a stream, if any did."""
    query = (
        select(runs.c.kind)
        .where(runs.c.connection == connection, runs.c.stream == stream, runs.c.state == "paused")
        .order_by(runs.c.started_at.desc())
        .limit(1)
    )
    return tx.execute(query).scalar()


def save_run(
    tx: Connection,
    tally: Tally,
    *,
    state: str = "running",
    finished_at: datetime | None = None,
    reason: str | None = None,
) -> None:
    """Stores the counts of a run, and how it ended."""
    counts = {
        "seen": tally.seen,
        "same": tally.same,
        "changed": tally.changed,
        "skipped": tally.skipped or None,
        "quarantined": tally.quarantined,
        "written": tally.written,
    }
    end = {"state": state, "finished_at": finished_at, "reason": reason}
    tx.execute(_SAVE, {"_id": tally.id, **counts, **end})


_SAVE = update(runs).where(runs.c.id == bindparam("_id"))


def recent_runs(tx: Connection, *, limit: int = 20) -> list[Run]:
    """Returns the newest runs first."""
    query = select(runs).order_by(runs.c.started_at.desc()).limit(limit)
    return [Run(**{**row._mapping, "skipped": row.skipped or {}}) for row in tx.execute(query)]


def forget_runs(tx: Connection, *, quiet: datetime, all_before: datetime) -> int:
    """Forgets runs in which nothing happened before `quiet`, and all before `all_before`."""
    idle = (
        (runs.c.started_at < quiet)
        & (runs.c.state == "done")
        & (runs.c.changed == 0)
        & (runs.c.written == 0)
        & (runs.c.quarantined == 0)
    )
    return tx.execute(runs.delete().where(idle | (runs.c.started_at < all_before))).rowcount
