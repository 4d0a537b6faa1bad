"""The result of a piece of work, and its summary in one line, or in none if it moved nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hub.store.runs import Tally
from hub.sync.due import Work


@dataclass(frozen=True, slots=True)
class Done:
    """The result of a piece of work."""

    work: Work
    tally: Tally | None = None
    #: Golden records that were created or changed, and records that were written.
    changed: int = 0
    written: int = 0
    #: False if another process has the work, it was stopped, or it failed with `error`.
    well: bool = True
    error: str | None = None
    #: Duration of the work.
    seconds: float = 0.0


def summary(done: Done) -> str | None:
    """Returns the counts of a piece of work; None if nothing happened.

    >>> from datetime import UTC, datetime
    >>> at = datetime(2026, 1, 1, tzinfo=UTC)
    >>> tally = Tally("1", "pull", "crm", "deals", at, seen=9, changed=2)
    >>> tally.skip("under review", 7)
    >>> summary(Done(Work("pull", "crm", "deals"), tally, changed=2, seconds=0.42))
    'pull crm.deals: 2 changed, 7 under review, of 9 seen, in 0.4 s'
    >>> summary(Done(Work("derive"), changed=3, seconds=0.01))
    'derive: 3 changed, in 0.0 s'
    >>> summary(Done(Work("derive"))) is None
    True
    """
    tally, work = done.tally, done.work
    moved = {"changed": done.changed, "written": done.written}
    held = {} if tally is None else {"set aside": tally.quarantined, **tally.skipped}
    parts = [f"{count} {what}" for what, count in (moved | held).items() if count]
    if not parts:
        return None
    if tally is not None and tally.seen > tally.quarantined:
        parts.append(f"of {tally.seen} seen")
    where = ".".join(part for part in (work.connection, work.stream) if part)
    name = f"{work.kind} {where}" if where else work.kind
    return f"{name}: {', '.join(parts)}, in {done.seconds:.1f} s"


def facts(done: Done) -> dict[str, Any]:
    """Returns the same as fields, for logs that machines read."""
    found: dict[str, Any] = {
        "run_kind": done.work.kind,
        "connection": done.work.connection,
        "stream": done.work.stream,
        "changed": done.changed,
        "written": done.written,
        "seconds": round(done.seconds, 3),
    }
    if done.tally is not None:
        tally = done.tally
        found |= {"run": tally.id, "seen": tally.seen, "same": tally.same}
        found |= {"set_aside": tally.quarantined, "skipped": dict(tally.skipped)}
    return found
