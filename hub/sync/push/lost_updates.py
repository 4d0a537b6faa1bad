"""Edits that a write of the hub replaced before they were read: kept in history, or taken.

Systems without optimistic locks report them afterwards (`lock: told`). The policy of the field
decides as if both sides had changed it, which is the case. No conflict is opened, because the
record already shows the hub's value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection as Transaction

from hub.model.observe import Change
from hub.store.golden import load_golden
from hub.sync.changeset import ChangeSet
from hub.sync.context import Channel, Hub
from hub.sync.push.job import Job
from mappings.canonical.values import Values
from mappings.kit.errors import LensError
from mappings.kit.mapping import declared_path


def keep_lost_updates(hub: Hub, channel: Channel, jobs: Sequence[Job], *, run: str) -> None:
    """Records in history what these writes replaced; takes it where the connection wins."""
    typed = {job.golden.id: found for job in jobs if (found := _typed(channel, job))}
    if typed:
        hub.store.transact(lambda tx: _store(hub, tx, channel, typed, run=run))


def _typed(channel: Channel, job: Job) -> Values:
    """Returns the canonical values that a job's write replaced unread."""
    replaced = None if job.outcome is None else job.outcome.overwritten
    if not replaced or job.record is None:
        return {}
    try:
        before = channel.mapping.read(job.record.payload)
        typed = channel.mapping.read(_over(job.record.payload, replaced))
    except LensError:
        return {}  # an unreadable record; its quarantine entry reports it
    references = channel.mapping.references
    return {
        path: value
        for path, value in typed.items()
        if value != before.get(path)
        and value != job.values.get(path)
        and path in job.values
        and declared_path(path) not in references
    }


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Returns one payload laid over another, branch by branch.

    >>> _over({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}})
    {'a': {'b': 1, 'c': 3}}
    """
    laid = dict(below)
    for name, value in above.items():
        under = laid.get(name)
        both = isinstance(value, Mapping) and isinstance(under, Mapping)
        laid[name] = _over(under, value) if both else value  # type: ignore[arg-type]
    return laid


def _store(
    hub: Hub, tx: Transaction, channel: Channel, typed: Mapping[str, Values], *, run: str
) -> None:
    changes = ChangeSet(hub, run, hub.clock())
    for golden in load_golden(tx, typed, lock=True).values():
        policy, here = hub.policy(golden.entity), channel.connection
        taken = {
            path: value
            for path, value in typed[golden.id].items()
            if policy.of(path).on_conflict == here
            and policy.of(path).may_set(here)
            and (value is not None or policy.of(path).when_blank == "write")
        }
        notes = []
        for path, value in typed[golden.id].items():
            ours = golden.values.get(path)
            if path in taken:
                notes.append(Change(path, ours, value, "taken", f"on_conflict: {here}"))
                notes.append(Change(path, ours, value, "superseded", f"on_conflict: {here}"))
            else:
                why = f"typed in {here} at the moment of the hub's own write (lock: told)"
                notes.append(Change(path, value, ours, "superseded", why))
        changes.history(golden.id, notes, connection=here)
        if taken:
            changes.set_values(golden, taken, origin=here, at=None)
    changes.store(tx)
