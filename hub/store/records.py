"""Golden records and their links: read and written by the page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    Text,
    bindparam,
    cast,
    delete,
    exists,
    func,
    literal_column,
    select,
    union_all,
    update,
)

from hub.model.state import LinkState
from hub.store.engine import add_rows, among
from hub.store.tables import edges, fingerprints, golden, links, reviews
from mappings.canonical.values import Values


@dataclass(slots=True)
class Golden:
    """One golden record."""

    id: str
    entity: str
    values: Values = field(repr=False)
    #: The connection (or `flow:name`) that set all paths but those in `origins`.
    origin: str
    #: path -> [connection, changed_at in microseconds, run]
    origins: dict[str, list[Any]]
    created_at: datetime
    changed_at: datetime
    run: str
    revision: int = 1
    deleted_at: datetime | None = None
    merged_into: str | None = None


@dataclass(slots=True)
class Link:
    """A record over there, and the golden record it belongs to."""

    connection: str
    stream: str
    key: str
    golden_id: str | None
    state: LinkState = field(default_factory=LinkState, repr=False)
    version: str | None = None
    modified_at: datetime | None = None
    digest: bytes | None = None
    gone_at: datetime | None = None
    spare: int = 0
    #: None until it is stored.
    id: int | None = None


#: The parameters of one stream. Statements are made once: building one costs more than running it.
_HERE = (
    links.c.connection == bindparam("_connection"),
    links.c.stream == bindparam("_stream"),
)

# --- golden records ----------------------------------------------------------------------------

_BY_ID = select(golden).where(among(golden.c.id, "_ids")).order_by(golden.c.id)
_BY_ID_LOCKED = _BY_ID.with_for_update()


def load(tx: Connection, ids: Iterable[str], *, lock: bool = False) -> dict[str, Golden]:
    """Returns golden records by id; with `lock` nobody else changes them in this transaction."""
    wanted = sorted(set(ids))
    if not wanted:
        return {}
    query = _BY_ID_LOCKED if lock else _BY_ID
    return {row.id: _golden(row) for row in tx.execute(query, {"_ids": wanted})}


def _golden(row: Row[Any]) -> Golden:
    return Golden(
        id=row.id,
        entity=row.entity,
        values=row.data,
        origin=row.origin,
        origins=row.origins or {},
        created_at=row.created_at,
        changed_at=row.changed_at,
        run=row.run,
        revision=row.revision,
        deleted_at=row.deleted_at,
        merged_into=row.merged_into,
    )


def add_golden(tx: Connection, records: Sequence[Golden]) -> None:
    """Stores new golden records."""
    add_rows(tx, golden, [_golden_row(r) for r in records])


def change_golden(tx: Connection, records: Sequence[Golden]) -> None:
    """Stores changed golden records and raises their revision."""
    if not records:
        return
    for record in records:
        record.revision += 1
    rows = [{**_golden_row(r), "_id": r.id} for r in records]
    for row in rows:
        del row["id"]
    tx.execute(_CHANGE, rows)


_CHANGE = update(golden).where(golden.c.id == bindparam("_id"))


def _golden_row(record: Golden) -> dict[str, Any]:
    return {
        "id": record.id,
        "entity": record.entity,
        "data": record.values,
        "origin": record.origin,
        "origins": record.origins or None,
        "created_at": record.created_at,
        "changed_at": record.changed_at,
        "run": record.run,
        "revision": record.revision,
        "deleted_at": record.deleted_at,
        "merged_into": record.merged_into,
    }


# --- links -------------------------------------------------------------------------------------

_AMONG_KEYS = among(links.c.key, "_keys")
_DIGESTS = select(links.c.key, links.c.digest).where(*_HERE, _AMONG_KEYS)
_BY_KEY = select(links).where(*_HERE, _AMONG_KEYS)
_BY_GOLDEN = (
    select(links).where(among(links.c.golden_id, "_ids")).order_by(links.c.spare, links.c.id)
)
_BY_GOLDEN_THERE = _BY_GOLDEN.where(links.c.connection == bindparam("_connection"))


def digests(
    tx: Connection, connection: str, stream: str, keys: Sequence[str]
) -> dict[str, bytes | None]:
    """Returns key -> digest of the records ever linked; None: gone, or to be looked at again."""
    given = {"_connection": connection, "_stream": stream, "_keys": keys}
    return {key: digest for key, digest in tx.execute(_DIGESTS, given).all()}


def links_by_key(
    tx: Connection, connection: str, stream: str, keys: Iterable[str]
) -> dict[str, Link]:
    """Returns links by the key over there, gone ones included."""
    wanted = list(dict.fromkeys(keys))
    if not wanted:
        return {}
    given = {"_connection": connection, "_stream": stream, "_keys": wanted}
    return {row.key: _link(row) for row in tx.execute(_BY_KEY, given)}


def links_by_golden(
    tx: Connection, ids: Iterable[str], *, connection: str | None = None
) -> dict[str, list[Link]]:
    """Returns all links of golden records, by golden id; the written one (spare 0) first."""
    wanted = list(dict.fromkeys(ids))
    if not wanted:
        return {}
    given: dict[str, Any] = {"_ids": wanted}
    if connection is not None:
        given["_connection"] = connection
    query = _BY_GOLDEN if connection is None else _BY_GOLDEN_THERE
    found: dict[str, list[Link]] = {}
    for row in tx.execute(query, given):
        found.setdefault(row.golden_id, []).append(_link(row))
    return found


def _link(row: Row[Any]) -> Link:
    return Link(
        connection=row.connection,
        stream=row.stream,
        key=row.key,
        golden_id=row.golden_id,
        state=LinkState(row.seen, row.agreed or {}, row.shown or {}),
        version=row.version,
        modified_at=row.modified_at,
        digest=row.digest,
        gone_at=row.gone_at,
        spare=row.spare,
        id=row.id,
    )


def _link_row(link: Link) -> dict[str, Any]:
    return {
        "connection": link.connection,
        "stream": link.stream,
        "key": link.key,
        "golden_id": link.golden_id,
        "spare": link.spare,
        "version": link.version,
        "modified_at": link.modified_at,
        "digest": link.digest,
        "seen": link.state.seen,
        "agreed": link.state.agreed or None,
        "shown": link.state.shown or None,
        "gone_at": link.gone_at,
    }


def add_links(tx: Connection, new: Sequence[Link]) -> None:
    """Stores new links. The constraints refuse a key, or a place, that is taken."""
    add_rows(tx, links, [_link_row(link) for link in new])


def change_links(tx: Connection, changed: Sequence[Link]) -> None:
    """Stores changed links."""
    if not changed:
        return
    tx.execute(_CHANGE_LINK, [{**_link_row(link), "_id": link.id} for link in changed])


_CHANGE_LINK = update(links).where(links.c.id == bindparam("_id"))


def count_links(tx: Connection, connection: str, stream: str) -> int:
    """Returns how many living links a stream has."""
    given = {"_connection": connection, "_stream": stream}
    return int(tx.execute(_COUNT, given).scalar_one())


_COUNT = select(func.count()).where(*_HERE, links.c.gone_at.is_(None))


def living_keys(
    tx: Connection, connection: str, stream: str, *, after: str, limit: int
) -> list[str]:
    """Returns the keys of the living links of a stream, sorted, in portions."""
    given = {"_connection": connection, "_stream": stream, "_after": after, "_limit": limit}
    return list(tx.execute(_LIVING, given).scalars())


_LIVING = (
    select(links.c.key)
    .where(*_HERE, links.c.gone_at.is_(None), links.c.key > bindparam("_after"))
    .order_by(links.c.key)
    .limit(bindparam("_limit"))
)


def unknown_keys(tx: Connection, connection: str, stream: str, keys: Sequence[str]) -> list[str]:
    """Returns those of the keys that have neither a living link nor a review."""
    given = {"_connection": connection, "_stream": stream, "_keys": keys}
    known = set(tx.execute(_LINKED_OR_ASKED, given).scalars())
    return [key for key in keys if key not in known]


_LINKED_OR_ASKED = union_all(
    select(links.c.key).where(*_HERE, links.c.gone_at.is_(None), _AMONG_KEYS),
    select(reviews.c.key).where(
        reviews.c.connection == bindparam("_connection"),
        reviews.c.stream == bindparam("_stream"),
        among(reviews.c.key, "_keys"),
    ),
)


def gone_here(tx: Connection, connection: str, stream: str, golden_ids: Sequence[str]) -> set[str]:
    """Returns the golden records that had a record in this stream which is gone."""
    given = {"_connection": connection, "_stream": stream, "_ids": golden_ids}
    return set(tx.execute(_GONE_HERE, given).scalars())


def make_room(tx: Connection, connection: str, stream: str, golden_id: str) -> None:
    """Moves the link of a record that is gone out of the way of a new link, which must follow."""
    given = {"_connection": connection, "_stream": stream, "_ids": [golden_id]}
    tx.execute(_MAKE_ROOM, given)


_GONE_HERE = select(links.c.golden_id).where(
    *_HERE, among(links.c.golden_id, "_ids"), links.c.gone_at.is_not(None)
)
_MAKE_ROOM = (
    update(links)
    .where(
        *_HERE,
        among(links.c.golden_id, "_ids"),
        links.c.gone_at.is_not(None),
        links.c.spare == 0,
    )
    .values(spare=links.c.id)
)


def resolve(
    tx: Connection, connection: str, references: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], str | None]:
    """Returns (stream, key) -> golden id; None for a record known to be gone; absent: unknown."""
    by_stream: dict[str, set[str]] = {}
    for stream, key in references:
        by_stream.setdefault(stream, set()).add(key)
    found: dict[tuple[str, str], str | None] = {}
    for stream, keys in by_stream.items():
        given = {"_connection": connection, "_stream": stream, "_keys": keys}
        found |= {(stream, key): golden_id for key, golden_id in tx.execute(_MEANT, given)}
    return found


_MEANT = select(links.c.key, links.c.golden_id).where(*_HERE, _AMONG_KEYS)


def keys_of(tx: Connection, connection: str, wanted: Mapping[str, str]) -> dict[str, str]:
    """Returns golden id -> key in that connection, for {golden id: stream}."""
    if not wanted:
        return {}
    rows = tx.execute(_WRITTEN, {"_connection": connection, "_ids": list(wanted)})
    return {gid: key for gid, stream, key in rows if wanted[gid] == stream}


_WRITTEN = select(links.c.golden_id, links.c.stream, links.c.key).where(
    links.c.connection == bindparam("_connection"),
    among(links.c.golden_id, "_ids"),
    links.c.spare == 0,
    links.c.gone_at.is_(None),
)


def gone_there(tx: Connection, connection: str, golden_ids: Iterable[str]) -> set[str]:
    """Returns the golden records whose record in that connection was deleted over there."""
    given = {"_connection": connection, "_ids": list(golden_ids)}
    return set(tx.execute(_GONE, given).scalars())


_GONE = select(links.c.golden_id).where(
    links.c.connection == bindparam("_connection"),
    among(links.c.golden_id, "_ids"),
    links.c.spare == 0,
    links.c.gone_at.is_not(None),
)


# --- recognising and referring -----------------------------------------------------------------


_ONE: ColumnElement[int] = literal_column("1")


def candidates(
    tx: Connection, values: Iterable[int], *, connection: str, stream: str
) -> dict[int, list[str]]:
    """Returns fingerprint -> golden ids that have it and no living link to this stream yet."""
    wanted = list(dict.fromkeys(values))
    if not wanted:
        return {}
    here = {"_connection": connection, "_stream": stream}
    # Asked for only where some are gone: whether a link lives stands in its row, the rest in the
    # index.
    query = _FREE_AMONG_GONE if tx.execute(_ANY_GONE, here).scalar() else _FREE
    found: dict[int, list[str]] = {}
    for value, golden_id in tx.execute(query, {**here, "_values": wanted}).all():
        found.setdefault(value, []).append(golden_id)
    return found


def _free(*living: ColumnElement[bool]) -> Select[Any]:
    linked = select(_ONE).where(links.c.golden_id == fingerprints.c.golden_id, *_HERE, *living)
    return select(fingerprints).where(
        among(fingerprints.c.value, "_values"), ~linked.select_from(links).exists()
    )


_FREE, _FREE_AMONG_GONE = _free(), _free(links.c.gone_at.is_(None))
_ANY_GONE = select(exists().where(*_HERE, links.c.gone_at.is_not(None)))


def change_fingerprints(
    tx: Connection, *, gone: Sequence[tuple[int, str]], new: Sequence[tuple[int, str]]
) -> None:
    """Forgets and remembers (fingerprint, golden id) pairs."""
    if gone:
        rows = [{"_value": value, "_id": golden_id} for value, golden_id in gone]
        tx.execute(_FORGET_FINGERPRINT, rows)
    rows = [{"value": value, "golden_id": golden_id} for value, golden_id in new]
    add_rows(tx, fingerprints, rows, known_is_fine=True)


_FORGET_FINGERPRINT = delete(fingerprints).where(
    fingerprints.c.value == bindparam("_value"), fingerprints.c.golden_id == bindparam("_id")
)


def change_edges(tx: Connection, edges_of: Mapping[str, Mapping[str, str]]) -> None:
    """Replaces the references of golden records: {golden id: {path: target id}}."""
    if not edges_of:
        return
    tx.execute(_FORGET_EDGES, {"_ids": list(edges_of)})
    rows = [
        {"golden_id": golden_id, "path": path, "target_id": target}
        for golden_id, targets in edges_of.items()
        for path, target in targets.items()
    ]
    add_rows(tx, edges, rows)


_FORGET_EDGES = delete(edges).where(among(edges.c.golden_id, "_ids"))


def referring(
    tx: Connection, targets: Iterable[str], path: str | None = None
) -> dict[str, list[str]]:
    """Returns target id -> ids of golden records that refer to it (by this path)."""
    given: dict[str, Any] = {"_ids": list(targets)}
    if path is not None:
        given["_path"] = path
    found: dict[str, list[str]] = {}
    for target, golden_id in tx.execute(_REFERRING if path is None else _REFERRING_BY, given):
        found.setdefault(target, []).append(golden_id)
    return found


_REFERRING = (
    select(edges.c.target_id, edges.c.golden_id)
    .where(among(edges.c.target_id, "_ids"))
    .order_by(edges.c.golden_id)
)
_REFERRING_BY = _REFERRING.where(edges.c.path == bindparam("_path"))


def golden_by_entity(
    tx: Connection, entity: str, *, after: str = "", limit: int = 500
) -> list[Golden]:
    """Returns living golden records of an entity by id, in portions."""
    query = (
        select(golden)
        .where(
            golden.c.entity == entity,
            golden.c.id > after,
            golden.c.merged_into.is_(None),
            golden.c.deleted_at.is_(None),
        )
        .order_by(golden.c.id)
        .limit(limit)
    )
    return [_golden(row) for row in tx.execute(query)]


def find_golden(tx: Connection, entity: str, name: str) -> list[str]:
    """Returns golden ids by id, by a key over there, or by part of their text."""
    by_id = select(golden.c.id).where(golden.c.entity == entity, golden.c.id == name)
    by_key = (
        select(links.c.golden_id)
        .join(golden, golden.c.id == links.c.golden_id)
        .where(golden.c.entity == entity, links.c.key == name)
    )
    # As it stands in the stored JSON, of which `data` would make JSON once more without the cast.
    written = orjson.dumps(name).decode()[1:-1]
    text = cast(golden.c.data, Text).icontains(written, autoescape=True)
    by_text = select(golden.c.id).where(golden.c.entity == entity, text).limit(20)
    for query in (by_id, by_key, by_text):
        found = [row[0] for row in tx.execute(query)]
        if found:
            return sorted(set(found))
    return []
