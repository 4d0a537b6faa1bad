"""Reads all sides anew and compares them field by field with the golden records. Writes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection as Transaction

from connectors.kit.contract import Record
from hub.errors import UnknownError
from hub.store import outbox
from hub.store.conflicts import open_paths
from hub.store.golden import Golden, golden_by_entity, load_golden
from hub.store.keyset import KeySet
from hub.store.links import Link, gone_there, links_by_golden, links_by_key, resolve_keys
from hub.store.reviews import review_decisions
from hub.sync.context import Channel, Connection, Hub
from hub.sync.ingest.sweep import linked_keys
from hub.sync.progress import Progress, Silence
from hub.sync.push.plan import is_early
from mappings.canonical.values import Scalar, Values
from mappings.kit.errors import LensError
from mappings.kit.mapping import declared_path

_PORTION = 500


@dataclass(frozen=True, slots=True)
class Difference:
    """One field of one record that is not what the hub knows."""

    entity: str
    golden_id: str
    title: str
    connection: str
    key: str
    path: str
    #: What the system shows.
    shown: Scalar
    #: What the golden record says.
    golden: Scalar
    #: An open conflict explains it.
    in_conflict: bool = False


@dataclass(frozen=True, slots=True)
class Missing:
    """A record that is on one side only."""

    entity: str
    title: str
    #: Where it is missing; "hub" when the hub does not know a record over there.
    connection: str
    key: str
    reason: str


@dataclass
class Reconciliation:
    """What was compared and what was found."""

    #: Records that agree in every mapped field.
    matched: int = 0
    #: Entity -> number of records that agree.
    by_entity: dict[str, int] = field(default_factory=dict)
    different: list[Difference] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    #: Further records of something, which the hub does not write: to be merged over there.
    doubles: list[Missing] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Says whether nothing is different and nothing missing."""
        return not self.different and not self.missing


def reconcile(
    hub: Hub, entity: str | None = None, *, progress: Progress | None = None
) -> Reconciliation:
    """Compares every record of every side with the golden records, field by field.

    Raises: UnknownError, ConnectorError when a system does not answer.
    """
    if entity is not None and entity not in hub.entities:
        known = ", ".join(hub.entities)
        raise UnknownError(f"there is no entity {entity!r}; there are: {known}")
    found = Reconciliation()
    show = progress or Silence()
    for name in hub.entities:
        if entity is not None and name != entity:
            continue
        for connection in hub.connections.values():
            for channel in connection.channels.values():
                if channel.entity.name == name:
                    _compare_channel(hub, channel, found, show)
            _find_missing(hub, connection, name, found)
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
            found.missing += [_vanished(channel, key) for key in present.without(keys)]
    show.done(label)


def _vanished(channel: Channel, key: str) -> Missing:
    reason = "linked, but not found there any more; the next sweep will notice"
    return Missing(channel.entity.name, key, channel.connection, key, reason)


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
            _note_unknown(tx, channel, record, found)
            continue
        if link.spare:
            title = channel.mapping.describe(one.values)
            reason = f"{channel.stream} {record.key} is the same {one.entity}: merge them there"
            found.doubles.append(Missing(one.entity, title, channel.connection, record.key, reason))
            continue
        differences = list(
            _compare(tx, channel, record, link=link, golden=one, conflicts=conflicts)
        )
        found.different += differences
        if not differences:
            found.matched += 1
            found.by_entity[one.entity] = found.by_entity.get(one.entity, 0) + 1


def _compare(
    tx: Transaction,
    channel: Channel,
    record: Record,
    *,
    link: Link,
    golden: Golden,
    conflicts: Mapping[int, frozenset[str]],
) -> Iterator[Difference]:
    title = channel.mapping.describe(golden.values)
    try:
        values = _inside(tx, channel, channel.mapping.read(record.payload))
    except LensError as error:
        yield Difference(
            golden.entity, golden.id, title, channel.connection, record.key, error.path, None, None
        )
        return
    disputed = conflicts.get(link.id or 0, frozenset())
    for path in dict.fromkeys((*values, *golden.values)):
        shown, known = values.get(path), golden.values.get(path)
        if shown == known or not channel.mapping.mapped(path):
            continue
        if shown is None and _cannot_be_told(tx, channel, path, known):
            continue
        own_way = shown == link.state.shown_at(path) and known == link.state.agreed_at(path)
        if not own_way:
            yield Difference(
                golden.entity,
                golden.id,
                title,
                channel.connection,
                record.key,
                path,
                shown,
                known,
                path in disputed,
            )


def _cannot_be_told(tx: Transaction, channel: Channel, path: str, known: Scalar) -> bool:
    """Says whether a system cannot show a value: it takes none, or what is meant is gone there."""
    if not channel.mapping.writable(path):
        return True
    if declared_path(path) not in channel.mapping.references:
        return False
    return bool(gone_there(tx, channel.connection, [str(known)]))


def _inside(tx: Transaction, channel: Channel, values: Values) -> Values:
    """Replaces keys over there by golden ids."""
    streams = channel.mapping.references
    asked = {
        path: (streams[declared_path(path)], str(value))
        for path, value in values.items()
        if value is not None and declared_path(path) in streams
    }
    known = resolve_keys(tx, channel.connection, asked.values())
    return values | {path: known.get(asked_for) for path, asked_for in asked.items()}


def _note_unknown(tx: Transaction, channel: Channel, record: Record, found: Reconciliation) -> None:
    if not channel.mapping.adopt:
        return
    under_review = review_decisions(tx, channel.connection, channel.stream, [record.key])
    reason = "under review: see `tulay links review`" if under_review else "not taken in yet"
    found.missing.append(Missing(channel.entity.name, record.key, "hub", record.key, reason))


def _find_missing(hub: Hub, connection: Connection, entity: str, found: Reconciliation) -> None:
    """Golden records that should be in a connection and are not."""
    if connection.name not in hub.policy(entity).create:
        return
    after = ""
    while True:
        with hub.store.read() as tx:
            portion = golden_by_entity(tx, entity, after=after, limit=_PORTION)
            if not portion:
                return
            after = portion[-1].id
            ids = [golden.id for golden in portion]
            links = links_by_golden(tx, ids, connection=connection.name)
            reasons = outbox.reasons(tx, connection.name, ids)
        for golden in portion:
            channel = connection.channel_for(entity, golden.values)
            if channel is None or not channel.facts.create:
                continue
            if golden.id not in reasons and is_early(hub, channel, golden):
                continue
            if not any(link.stream == channel.stream for link in links.get(golden.id, [])):
                title = channel.mapping.describe(golden.values)
                reason = reasons.get(golden.id) or "not written yet"
                found.missing.append(Missing(entity, title, connection.name, golden.id, reason))
