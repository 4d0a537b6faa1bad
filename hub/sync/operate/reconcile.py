"""Reads all systems in full and compares them, field by field, with the golden records.

Writes nothing. A pair is a golden record with records in two systems or more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from hub.errors import UnknownError
from hub.store import quarantine
from hub.store.conflicts import list_conflicts
from hub.store.golden import Golden, golden_by_entity
from hub.store.links import Link, links_by_golden
from hub.store.reviews import open_reviews
from hub.sync.context import Connection, Hub
from hub.sync.operate.comparing import compare_channel
from hub.sync.operate.entries import unnamed
from hub.sync.operate.reconciliation import Counts, Difference, Missing, Reconciliation
from hub.sync.progress import Progress, Silence
from hub.sync.push.plan import is_early
from hub.sync.record_names import names_by_id

_PORTION = 500


def reconcile(
    hub: Hub, entity: str | None = None, *, progress: Progress | None = None
) -> Reconciliation:
    """Compares every record of every system with the golden records, field by field.

    Raises: UnknownError; ConnectorError if a system does not answer.
    """
    if entity is not None and entity not in hub.entities:
        known = ", ".join(hub.entities)
        raise UnknownError(f"there is no entity {entity!r}; there are: {known}")
    found = Reconciliation()
    show = progress or Silence()
    for name in hub.entities:
        if entity is None or name == entity:
            found.add(name, _reconcile(hub, name, show))
    return found


def _reconcile(hub: Hub, entity: str, show: Progress) -> Reconciliation:
    found = Reconciliation()
    for connection in hub.connections.values():
        for channel in connection.channels.values():
            if channel.entity.name == entity:
                compare_channel(hub, channel, found, show)
    _survey(hub, entity, found)
    if found.different or found.missing or found.doubles:
        _explain(hub, found)
    return found


def _survey(hub: Hub, entity: str, found: Reconciliation) -> None:
    """Finds golden records that a system lacks; counts pairs and records in one system only."""
    targets = [c for c in hub.connections.values() if c.name in hub.policy(entity).create]
    counts = found.counts[entity] = Counts()
    apart = {id_ for id_, _ in found.states()}
    after = ""
    while True:
        with hub.store.read() as tx:
            portion = golden_by_entity(tx, entity, after=after, limit=_PORTION)
            ids = [golden.id for golden in portion]
            links = links_by_golden(tx, ids) if ids else {}
            reasons = {c.name: quarantine.write_reasons(tx, c.name, ids) for c in targets if ids}
        if not portion:
            return
        after = portion[-1].id
        for golden in portion:
            own = links.get(golden.id, [])
            missing = [
                gap
                for target in targets
                if (gap := _missing_in(hub, target, golden, own, reasons[target.name]))
            ]
            found.missing += missing
            if missing or golden.id in apart:
                continue
            present = {link.connection for link in own if link.gone_at is None and _open(hub, link)}
            counts.matched += len(present) > 1
            counts.one_side += len(present) == 1


def _open(hub: Hub, link: Link) -> bool:
    """Returns True if the link's record was compared: its stream is configured."""
    connection = hub.connections.get(link.connection)
    return connection is not None and link.stream in connection.channels


def _missing_in(
    hub: Hub,
    target: Connection,
    golden: Golden,
    links: Sequence[Link],
    reasons: Mapping[str, str],
) -> Missing | None:
    channel = target.channel_for(golden.entity, golden.values)
    if channel is None or not channel.facts.create:
        return None
    if golden.id not in reasons and is_early(hub, channel, golden):
        return None
    if any((one.connection, one.stream) == (target.name, channel.stream) for one in links):
        return None
    return Missing(
        golden.entity,
        golden.id,
        target.name,
        golden.id,
        reasons.get(golden.id) or "not written yet; the next sync writes it",
        golden_id=golden.id,
    )


def _explain(hub: Hub, found: Reconciliation) -> None:
    """Adds names to the findings, and the entries, reviews and conflicts that hold them."""
    findings: list[Difference | Missing] = [*found.different, *found.missing, *found.doubles]
    ids = {one.golden_id for one in findings}
    names: dict[str, str] = {}
    with hub.store.read() as tx:
        for some in _portions(sorted(filter(None, ids))):
            names |= names_by_id(hub, tx, some)
        held = unnamed(hub, tx)
        reviews = open_reviews(tx)
        conflicts = list_conflicts(tx)
    found.named(names)
    found.held_by(
        {(one.where, one.golden_id): one for one in held if one.golden_id is not None}
        | {(one.where, one.stream or "", one.key): one for one in held if one.key is not None}
    )
    numbers = {(row.connection, row.stream, row.key): row.id for row in reviews}
    found.missing = [_under_review(one, numbers) for one in found.missing]
    open_ = {(row.golden_id, row.connection, row.path): row.id for row in conflicts}
    found.different = [
        replace(one, conflict=open_.get((one.golden_id, one.connection, one.path)))
        if one.in_conflict
        else one
        for one in found.different
    ]


def _under_review(one: Missing, numbers: Mapping[tuple[Any, ...], int]) -> Missing:
    number = numbers.get((one.source, one.stream, one.key))
    if number is None:
        return one
    return replace(
        one,
        entry=f"review-{number}",
        reason=f"under review; decide with `tulay links decide {number}`",
    )


def _portions(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (ids[n : n + _PORTION] for n in range(0, len(ids), _PORTION))
