"""Runs: what each pull, push or reconciliation read and did."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import Connection, bindparam, insert, select, update

from hub.model.change_limits import RecentChanges
from hub.store.tables import runs

#: The states of a run; in an inconsistent one (`red`) the counts do not add up.
RUN_STATES = ("running", "done", "failed", "paused", "stopped", "inconsistent")

#: The counts of a run, taken over from each stored page.
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
    #: Known records that changed or were deleted, which the change limit applies to.
    touched: int = 0
    #: Of these, the deleted ones.
    gone: int = 0
    #: Key -> changed | gone, of those touched since the last copy.
    recent: dict[str, str] = field(default_factory=dict)
    #: Recent changes within the window of the change limit, in all runs.
    lately: RecentChanges = field(default_factory=RecentChanges)

    def touch(self, key: str, what: str = "changed") -> None:
        """Counts a known record that has changed or is gone."""
        self.touched += 1
        self.gone += what == "gone"
        self.recent[key] = what

    def skip(self, reason: str, count: int = 1) -> None:
        """Counts records that were skipped for a reason."""
        self.skipped[reason] = self.skipped.get(reason, 0) + count

    def copy(self) -> Tally:
        """Returns an independent copy."""
        return replace(self, skipped=dict(self.skipped), recent={})

    def become(self, other: Tally) -> None:
        """Takes over the counts of another tally."""
        for name in _COUNTS:
            setattr(self, name, getattr(other, name))

    @property
    def adds_up(self) -> bool:
        """True if every record seen is accounted for."""
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
    """Stores that a run has started."""
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
    """Returns the kind of the run that last paused a stream, if any."""
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
    """Deletes uneventful runs before `quiet`, and all runs before `all_before`."""
    idle = (
        (runs.c.started_at < quiet)
        & (runs.c.state == "done")
        & (runs.c.changed == 0)
        & (runs.c.written == 0)
        & (runs.c.quarantined == 0)
    )
    return tx.execute(runs.delete().where(idle | (runs.c.started_at < all_before))).rowcount
