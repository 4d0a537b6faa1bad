"""The kinds of work and what they run."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from hub.store import quarantine
from hub.store.runs import Tally, forget_runs
from hub.sync.context import Hub
from hub.sync.due import Work
from hub.sync.flows import age, derive
from hub.sync.ingest.inbox import process_inbox
from hub.sync.ingest.pull import pull
from hub.sync.ingest.sweep import sweep
from hub.sync.progress import Progress
from hub.sync.push.push import push
from hub.sync.reporting import Done

#: How long uneventful runs are kept, and all others.
_QUIET_RUNS, _ALL_RUNS = timedelta(days=2), timedelta(days=90)


def _pull(hub: Hub, work: Work, progress: Progress) -> Done:
    return _counted(work, pull(hub, work.connection, work.stream, progress=progress))


def _sweep(hub: Hub, work: Work, progress: Progress) -> Done:
    return _counted(work, sweep(hub, work.connection, work.stream, progress=progress))


def _inbox(hub: Hub, work: Work, progress: Progress) -> Done:
    return _counted(work, process_inbox(hub, work.connection, progress=progress))


def _push(hub: Hub, work: Work, progress: Progress) -> Done:
    return _counted(work, push(hub, work.connection, progress=progress))


def _derive(hub: Hub, work: Work, _: Progress) -> Done:
    return Done(work, changed=derive(hub))


def _tidy(hub: Hub, work: Work, _: Progress) -> Done:
    age(hub)
    now = hub.clock()
    with hub.store.begin() as tx:
        quarantine.retry_refused(tx, now=now)
        forget_runs(tx, quiet=now - _QUIET_RUNS, all_before=now - _ALL_RUNS)
    return Done(work)


def _counted(work: Work, tally: Tally) -> Done:
    return Done(work, tally, tally.changed, tally.written)


KINDS: dict[str, Callable[[Hub, Work, Progress], Done]] = {
    "pull": _pull,
    "sweep": _sweep,
    "inbox": _inbox,
    "push": _push,
    "derive": _derive,
    "tidy": _tidy,
}
