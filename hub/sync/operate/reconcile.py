"""Reads all systems in full and compares them, field by field, with the golden records.

Writes nothing. A pair is a golden record with records in two systems or more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection as Transaction

from connectors.kit.contract import Record
from hub.errors import UnknownError
from hub.store import quarantine
from hub.store.conflicts import list_conflicts, open_paths
from hub.store.golden import Golden, golden_by_entity, load_golden
from hub.store.keyset import KeySet
from hub.store.links import Link, gone_there, links_by_golden, links_by_key, resolve_keys
from hub.store.reviews import open_reviews
from hub.sync.context import Channel, Connection, Hub
from hub.sync.ingest.sweep import linked_keys
from hub.sync.operate.entries import unnamed
from hub.sync.operate.reconciliation import Counts, Difference, Missing, Reconciliation
from hub.sync.progress import Progress, Silence
from hub.sync.push.plan import is_early
from hub.sync.record_names import names_by_id
from mappings.canonical.values import Scalar, Values
from mappings.kit.errors import LensError
from mappings.kit.mapping import declared_path

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
                _compare_channel(hub, channel, found, show)
    _survey(hub, entity, found)
    if found.different or found.missing or found.doubles:
        _explain(hub, found)
    return found


def _compare_channel(hub: Hub, channel: Channel, found: Reconciliation, show: Progress) -> None:
    label = f"{channel.connection}.{channel.stream}"
    show.start(label, None)
    with KeySet() as present:
        for page in channel.connector.pages(channel.stream, None):
            latest = {record.key: record for record in page.records}
            fresh = [latest[key] for key in present.add(latest)]
            with hub.store.read() as tx:
                _compare_page(tx, channel, fresh, found)
            show.advance(label, len(page.records))
        for keys in linked_keys(hub, channel):
            found.missing += _vanished(hub, channel, present.without(keys))
    show.done(label)


def _vanished(hub: Hub, channel: Channel, keys: Iterable[str]) -> list[Missing]:
    gone = list(keys)
    if not gone:
        return []
    reason = "linked, but no longer in that system; the next sweep will notice"
    with hub.store.read() as tx:
        links = links_by_key(tx, channel.connection, channel.stream, gone)
    return [
        Missing(
            channel.entity.name,
            key,
            channel.connection,
            key,
            reason,
            stream=channel.stream,
            golden_id=links[key].golden_id if key in links else None,
        )
        for key in gone
    ]


def _compare_page(
    tx: Transaction, channel: Channel, page: Sequence[Record], found: Reconciliation
) -> None:
    links = links_by_key(tx, channel.connection, channel.stream, [r.key for r in page])
    ids = [link.golden_id for link in links.values() if link.golden_id]
    golden = load_golden(tx, ids)
    conflicts = open_paths(tx, [link.id for link in links.values() if link.id])
    for record in page:
        link = links.get(record.key)
        one = golden.get(link.golden_id or "") if link is not None else None
        if link is None or one is None:
            _note_unknown(channel, record, found)
            continue
        if not link.is_primary:
            found.doubles.append(_double(channel, record, one))
            continue
        found.different += _compare(tx, channel, record, link=link, golden=one, conflicts=conflicts)


def _double(channel: Channel, record: Record, golden: Golden) -> Missing:
    reason = f"{channel.stream} {record.key} is the same {golden.entity}: merge them there"
    title = channel.mapping.describe(golden.values)
    return Missing(
        golden.entity,
        title,
        channel.connection,
        record.key,
        reason,
        stream=channel.stream,
        golden_id=golden.id,
    )


def _compare(
    tx: Transaction,
    channel: Channel,
    record: Record,
    *,
    link: Link,
    golden: Golden,
    conflicts: Mapping[int, frozenset[str]],
) -> Iterator[Difference]:
    def differs(path: str, shown: Scalar, known: Scalar, *, disputed: bool = False) -> Difference:
        return Difference(
            golden.entity,
            golden.id,
            golden.id,
            channel.connection,
            record.key,
            path,
            shown,
            known,
            in_conflict=disputed,
            stream=channel.stream,
        )

    try:
        values = _inside(tx, channel, channel.mapping.read(record.payload))
    except LensError as error:
        yield differs(error.path, None, None)
        return
    links_in_conflict = conflicts.get(link.id or 0, frozenset())
    for path in dict.fromkeys((*values, *golden.values)):
        shown, known = values.get(path), golden.values.get(path)
        if shown == known or not channel.mapping.mapped(path):
            continue
        if shown is None and _cannot_be_told(tx, channel, path, known):
            continue
        own_way = shown == link.state.shown_at(path) and known == link.state.agreed_at(path)
        if not own_way:
            yield differs(path, shown, known, disputed=path in links_in_conflict)


def _cannot_be_told(tx: Transaction, channel: Channel, path: str, known: Scalar) -> bool:
    """Returns True if a system cannot show a value: not writable, or its target was deleted."""
    if not channel.mapping.writable(path):
        return True
    if declared_path(path) not in channel.mapping.references:
        return False
    return bool(gone_there(tx, channel.connection, [str(known)]))


def _inside(tx: Transaction, channel: Channel, values: Values) -> Values:
    """Replaces keys by golden ids."""
    streams = channel.mapping.references
    asked = {
        path: (streams[declared_path(path)], str(value))
        for path, value in values.items()
        if value is not None and declared_path(path) in streams
    }
    known = resolve_keys(tx, channel.connection, asked.values())
    return values | {path: known.get(asked_for) for path, asked_for in asked.items()}


def _note_unknown(channel: Channel, record: Record, found: Reconciliation) -> None:
    if not channel.mapping.imports:
        return
    values = {path: v for path, v in channel.mapping.legible(record.payload).items() if v}
    found.missing.append(
        Missing(
            channel.entity.name,
            channel.mapping.describe(values) if values else record.key,
            "hub",
            record.key,
            "not read yet; the next sync reads it",
            source=channel.connection,
            stream=channel.stream,
        )
    )


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
