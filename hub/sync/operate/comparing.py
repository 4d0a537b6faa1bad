"""Compares the records of one stream, as its system shows them, with the golden records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from sqlalchemy import Connection as Transaction

from connectors.kit.contract import Record
from hub.store.conflicts import open_paths
from hub.store.golden import Golden, load_golden
from hub.store.keyset import KeySet
from hub.store.links import Link, gone_there, links_by_key, resolve_keys
from hub.sync.context import Channel, Hub
from hub.sync.ingest.sweep import linked_keys
from hub.sync.operate.reconciliation import Difference, Missing, Reconciliation
from hub.sync.progress import Progress
from mappings.canonical.values import Scalar, Values
from mappings.kit.errors import LensError
from mappings.kit.mapping import declared_path


def compare_channel(hub: Hub, channel: Channel, found: Reconciliation, show: Progress) -> None:
    """Reads a stream in full and adds what differs, is missing or is unknown."""
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
