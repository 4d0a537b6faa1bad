"""Stores the results of flows: new golden records, changed ones, and reasons for blocked ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hub.flows.flow import Flow
from hub.flows.flow_input import Blocked, Derived, Fact
from hub.model.causes import Cause
from hub.model.observe import Change
from hub.model.recovery import pause
from hub.model.wanted import forward
from hub.store.golden import Golden
from hub.store.quarantine import Problem
from hub.sync.changeset import ChangeSet
from hub.sync.flow_facts import KnownRecords, is_alive
from mappings.canonical.values import Values


class FlowResults:
    """Collects the results of flows so that later flows see them; `changes` stores them."""

    def __init__(self, known: KnownRecords, changes: ChangeSet) -> None:
        self.known, self.changes = known, changes
        #: Number of golden records that were created or changed.
        self.changed = 0

    def take(self, derived: Iterable[Derived]) -> None:
        """Creates golden records, and changes those that differ from what was derived."""
        latest = {one.subject or number: one for number, one in enumerate(derived)}
        self.known.load(one.id for one in latest.values())
        for one in latest.values():
            golden = self.known.by_id.get(one.id)
            if golden is None:
                self._create(one)
            elif is_alive(golden) and not one.once:
                self._change(golden, one.values, flow=one.flow)
            # Otherwise it belongs to people by now, or it was deleted and stays so.

    def wait(
        self, flow: Flow, looked_at: Iterable[str], blocked: Sequence[tuple[Fact, Blocked]]
    ) -> None:
        """Quarantines blocked roots, and ends the quarantine of all others that were checked."""
        waiting = {root.id for root, _ in blocked}
        over = [root for root in looked_at if root not in waiting]
        if over:
            self.changes.unblock(flow.name, flow.root, over)
        for root, why in blocked:
            self.changes.quarantine(_problem(flow, root, why), wait=pause(0))

    def _create(self, derived: Derived) -> None:
        now = self.changes.now
        golden = Golden(
            id=derived.id,
            entity=derived.entity,
            values={p: v for p, v in derived.values.items() if v is not None},
            origin=derived.flow,
            origins={},
            created_at=now,
            changed_at=now,
            run=self.changes.run,
        )
        self.known.by_id[golden.id] = golden
        self.changes.born(golden)
        self.changed += 1

    def _change(self, golden: Golden, values: Values, *, flow: str) -> None:
        """Sets the values that differ; states only move forward."""
        states = self.changes.hub.entities[golden.entity].states
        different: Values = {
            path: value
            for path, value in values.items()
            if golden.values.get(path) != value
            and forward(states, path, golden.values.get(path), value)
        }
        if not different:
            return
        changes = [
            Change(path, golden.values.get(path), value, "taken", flow)
            for path, value in different.items()
        ]
        self.changes.history(golden.id, changes, connection=flow)
        self.changes.set_values(golden, different, origin=flow, at=self.changes.now)
        self.changed += 1


def _problem(flow: Flow, root: Fact, blocked: Blocked) -> Problem:
    return Problem(
        "flow",
        flow.name,
        flow.root,
        root.id,
        "waiting",
        Cause.BLOCKED_FLOW,
        f"{flow.noun} {root.text('name') or root.id!r}: {blocked.reason}",
        waits_for=blocked.waits_for,
    )
