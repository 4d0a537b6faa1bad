"""The result of a piece of work, and its line in the logs, or none if nothing happened.

The logs of `tulay serve`, of a worker and of `tulay sync` have the same line.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from hub.store.backlog import any_quarantined_since
from hub.store.runs import Tally
from hub.sync.context import Hub
from hub.sync.due import Work

log = logging.getLogger("tulay.runs")


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


def log_run(hub: Hub, done: Done) -> None:
    """Logs one line about what was moved or held, or about an error; otherwise nothing."""
    if done.error is not None:
        log.warning("%s: %s", done.work.name, done.error, extra=facts(done))
    elif done.tally is not None and not done.tally.adds_up:
        log.error("%s is inconsistent: its counts do not add up", done.work.name, extra=facts(done))
    elif (said := news(hub, done)) is not None:
        log.info("%s", said, extra=facts(done))


def news(hub: Hub, done: Done) -> str | None:
    """Returns the summary of a piece of work; None if all it met was already in quarantine."""
    said, tally = summary(done), done.tally
    if said is None or tally is None or done.changed or done.written:
        return said
    with hub.store.read() as tx:
        new = any_quarantined_since(tx, done.work.connection, tally.started_at)
    return said if new else None


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
    held = {} if tally is None else {"quarantined": tally.quarantined, **tally.skipped}
    parts = [f"{count} {what}" for what, count in (moved | held).items() if count]
    if not parts:
        return None
    if tally is not None and tally.seen > tally.quarantined:
        parts.append(f"of {tally.seen} seen")
    where = ".".join(part for part in (work.connection, work.stream) if part)
    name = f"{work.kind} {where}" if where else work.kind
    return f"{name}: {', '.join(parts)}, in {done.seconds:.1f} s"


def place(work: Work) -> dict[str, Any]:
    """Returns the identity of a piece of work, as fields of a log line."""
    return {"run_kind": work.kind, "connection": work.connection, "stream": work.stream}


def facts(done: Done) -> dict[str, Any]:
    """Returns the results of a piece of work, as fields of a log line."""
    found = place(done.work) | {
        "changed": done.changed,
        "written": done.written,
        "seconds": round(done.seconds, 3),
    }
    if done.tally is not None:
        tally = done.tally
        found |= {"run": tally.id, "seen": tally.seen, "same": tally.same}
        found |= {"quarantined": tally.quarantined, "skipped": dict(tally.skipped)}
    return found
