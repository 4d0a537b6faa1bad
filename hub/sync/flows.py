"""Runs the flows of hub/flows that are due. Knows none of them, and decides nothing itself."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Connection as Transaction

from hub.flows import registry
from hub.flows.flow import Facts, Flow
from hub.flows.flow_input import Blocked, Derived, Fact
from hub.model.causes import Cause
from hub.model.recovery import pause
from hub.store import dirty, quarantine
from hub.store.engine import lock_identities
from hub.store.golden import Golden, golden_by_entity, load_golden
from hub.store.quarantine import Problem, QuarantineEntry
from hub.sync.changeset import ChangeSet
from hub.sync.context import Hub
from hub.sync.flow_facts import KnownRecords, as_fact, is_alive
from hub.sync.flow_results import FlowResults

_PORTION = 200
#: Derivations that follow from each other; a deal that becomes an invoice needs four.
_MOST_HOPS = 16
#: The source of quarantine entries about endless chains.
_CHAIN = "chain"


def flow_sources() -> tuple[str, ...]:
    """Returns the sources of quarantine entries of flows."""
    return (*registry.blocking_flows(), _CHAIN)


def derive(hub: Hub) -> int:
    """Runs the flows that are due; returns the number of golden records created or changed."""
    changed = 0
    while (done := hub.store.transact(lambda tx: _portion(hub, tx))) is not None:
        changed += done
    return changed


def age(hub: Hub) -> None:
    """Marks records dirty whose derivations change with the date."""
    for entity in dict.fromkeys(flow.aging for flow in registry.FLOWS if flow.aging):
        _age(hub, entity)


def _age(hub: Hub, entity: str) -> None:
    flows = [flow for flow in registry.FLOWS if flow.aging == entity]
    today, after = hub.clock().date(), ""
    while True:
        with hub.store.read() as tx:
            portion = golden_by_entity(tx, entity, after=after, limit=_PORTION)
        if not portion:
            return
        after = portion[-1].id
        due = [g.id for g in portion if any(f.has_aged(as_fact(g), today) for f in flows)]
        if due:
            with hub.store.begin() as tx:
                dirty.mark(tx, due, now=hub.clock())


def _portion(hub: Hub, tx: Transaction) -> int | None:
    """Derives a portion of what is due; returns the number of changes, None if nothing was due."""
    lock_identities(tx, "derive")
    marks, hops = dirty.due(tx, limit=_PORTION)
    waiting = quarantine.due(tx, "flow", now=hub.clock(), limit=_PORTION)
    if not marks and not waiting:
        return None
    if hops > _MOST_HOPS:
        _break_chain(hub, tx, marks)
        return 0
    known = KnownRecords(tx)
    changes = ChangeSet(hub, hub.fresh_id(), hub.clock(), hops + 1)
    results = FlowResults(known, changes)
    changed = known.load([*marks, *(entry.key for entry in waiting)])
    for golden in changed:  # what is derived again is given another chance to settle
        changes.unblock(_CHAIN, golden.entity, [golden.id])
    for flow in registry.FLOWS:
        _run(hub, flow, changed, results=results)
    changes.derived(marks)
    changes.store(tx)
    _postpone(hub, tx, waiting)
    return results.changed


def _run(hub: Hub, flow: Flow, changed: Sequence[Golden], *, results: FlowResults) -> None:
    """Runs one flow for every root that the changed records lead to."""
    known, now = results.known, results.changes.now
    looked_at = _roots(flow, changed, known)
    concerned = [
        root
        for root in map(as_fact, known.alive(looked_at, flow.root))
        if flow.enabled(hub.flows) and flow.applies(root)
    ]
    ids = [root.id for root in concerned]
    found = known.needs(ids, flow.needs)
    reasons = _reasons(hub, known.tx, ids) if flow.explains and ids else {}
    derived: list[Derived] = []
    blocked: list[tuple[Fact, Blocked]] = []
    for root in concerned:
        facts = Facts(root, now, hub.flows, found[root.id], reasons.get(root.id))
        outcome = flow.derive(facts)
        if isinstance(outcome, Blocked):
            blocked.append((root, outcome))
            outcome = outcome.meanwhile
        if outcome is not None:
            derived.append(outcome)
    results.wait(flow, looked_at, blocked)
    results.take(derived)


def _roots(flow: Flow, changed: Sequence[Golden], known: KnownRecords) -> list[str]:
    """Returns the ids of all roots, including deleted and merged ones.

    Roots of deleted records come first: of two orders that a deal could show, a living one that has
    just changed is the newer.
    """
    by_path: dict[str, list[Golden]] = defaultdict(list)
    for golden in changed:
        path = _path_to_root(flow, golden)
        if path is not None:
            by_path[path].append(golden)
    reached: dict[str, Sequence[str]] = {}
    for path, found in by_path.items():
        reached |= known.follow(found, path)
    in_order = sorted(changed, key=is_alive)
    roots = (root for golden in in_order for root in reached.get(golden.id, ()))
    return [root for root in dict.fromkeys(roots) if root]


def _path_to_root(flow: Flow, golden: Golden) -> str | None:
    """Returns the path from a changed record to the flow's root; "" for a root itself."""
    if golden.entity == flow.root:
        return ""
    if golden.entity not in flow.triggers and not is_alive(golden):
        return flow.deletions.get(golden.entity)
    return flow.triggers.get(golden.entity)


def _reasons(hub: Hub, tx: Transaction, roots: Sequence[str]) -> Mapping[str, str]:
    """Returns {root: why it cannot be written to an ERP now}."""
    reasons: dict[str, str] = {}
    for name, connection in hub.connections.items():
        if connection.role in ("erp", "both"):
            reasons |= quarantine.write_reasons(tx, name, roots)
    return reasons


def _postpone(hub: Hub, tx: Transaction, waiting: Iterable[QuarantineEntry]) -> None:
    """Postpones the entries that are still blocked; the others have left the quarantine."""
    by_pause = defaultdict(list)
    for entry in waiting:
        by_pause[pause(entry.attempts)].append(entry.id)
    for wait, ids in by_pause.items():
        quarantine.postpone(tx, ids, due_at=hub.clock() + wait)


def _break_chain(hub: Hub, tx: Transaction, marks: dict[str, float]) -> None:
    """Quarantines derivations that keep changing each other; a person should look."""
    changes = ChangeSet(hub, hub.fresh_id(), hub.clock())
    for golden in load_golden(tx, marks).values():
        changes.quarantine(_endless(golden))
    changes.derived(marks)
    changes.store(tx)


def _endless(golden: Golden) -> Problem:
    return Problem(
        "flow",
        _CHAIN,
        golden.entity,
        golden.id,
        "held",
        Cause.OSCILLATION,
        f"{golden.entity.replace('_', ' ')} {golden.values.get('name') or golden.id!r}: flows"
        f" have changed it {_MOST_HOPS} times in a row without settling; look at `flows:`"
        " and at the policies of its fields, then retry this entry",
        "ChainError",
    )
