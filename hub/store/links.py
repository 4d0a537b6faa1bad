"""Links: which record of a stream belongs to which golden record, and what it showed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, select, union_all, update

from hub.model.state import LinkState
from hub.store.engine import add_rows, among
from hub.store.tables import links, reviews


@dataclass(slots=True)
class Link:
    """A remote record, and the golden record it belongs to."""

    connection: str
    stream: str
    key: str
    golden_id: str | None
    state: LinkState = field(default_factory=LinkState, repr=False)
    version: str | None = None
    modified_at: datetime | None = None
    digest: bytes | None = None
    gone_at: datetime | None = None
    #: Writes go to this record; False: a secondary record of the same golden record.
    is_primary: bool = True
    #: None until it is stored.
    id: int | None = None


#: The parameters of one stream. Statements are built once, which costs more than running them.
_HERE = (
    links.c.connection == bindparam("_connection"),
    links.c.stream == bindparam("_stream"),
)

_AMONG_KEYS = among(links.c.key, "_keys")
_DIGESTS = select(links.c.key, links.c.digest).where(*_HERE, _AMONG_KEYS)
_BY_KEY = select(links).where(*_HERE, _AMONG_KEYS)
_BY_GOLDEN = (
    select(links)
    .where(among(links.c.golden_id, "_ids"))
    .order_by(links.c.is_primary.desc(), links.c.id)
)
_BY_GOLDEN_THERE = _BY_GOLDEN.where(links.c.connection == bindparam("_connection"))


def link_digests(
    tx: Connection, connection: str, stream: str, keys: Sequence[str]
) -> dict[str, bytes | None]:
    """Returns {key: digest} of all records ever linked; None if gone or due for a comparison."""
    given = {"_connection": connection, "_stream": stream, "_keys": keys}
    return {key: digest for key, digest in tx.execute(_DIGESTS, given).all()}


def links_by_key(
    tx: Connection, connection: str, stream: str, keys: Iterable[str]
) -> dict[str, Link]:
    """Returns links by key, deleted ones included."""
    wanted = list(dict.fromkeys(keys))
    if not wanted:
        return {}
    given = {"_connection": connection, "_stream": stream, "_keys": wanted}
    return {row.key: _link(row) for row in tx.execute(_BY_KEY, given)}


def links_by_golden(
    tx: Connection, ids: Iterable[str], *, connection: str | None = None
) -> dict[str, list[Link]]:
    """Returns all links of golden records, by golden id; the primary one of each stream first."""
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
        is_primary=row.is_primary,
        id=row.id,
    )


def _link_row(link: Link) -> dict[str, Any]:
    return {
        "connection": link.connection,
        "stream": link.stream,
        "key": link.key,
        "golden_id": link.golden_id,
        "is_primary": link.is_primary,
        "version": link.version,
        "modified_at": link.modified_at,
        "digest": link.digest,
        "seen": link.state.seen,
        "agreed": link.state.agreed or None,
        "shown": link.state.shown or None,
        "gone_at": link.gone_at,
    }


def add_links(tx: Connection, new: Sequence[Link]) -> None:
    """Stores new links. Constraints refuse a known key, and a second primary link."""
    add_rows(tx, links, [_link_row(link) for link in new])


def change_links(tx: Connection, changed: Sequence[Link]) -> None:
    """Stores changed links."""
    if not changed:
        return
    tx.execute(_CHANGE_LINK, [{**_link_row(link), "_id": link.id} for link in changed])


_CHANGE_LINK = update(links).where(links.c.id == bindparam("_id"))


def count_links(tx: Connection, connection: str, stream: str) -> int:
    """Returns the number of living links of a stream."""
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
    """Returns the keys that have neither a living link nor a review."""
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


def vacate_primary(tx: Connection, connection: str, stream: str, golden_ids: Sequence[str]) -> None:
    """Makes the links of deleted records secondary, in favour of new links that must follow."""
    given = {"_connection": connection, "_stream": stream, "_ids": golden_ids}
    tx.execute(_VACATE_PRIMARY, given)


_GONE_HERE = select(links.c.golden_id).where(
    *_HERE, among(links.c.golden_id, "_ids"), links.c.gone_at.is_not(None)
)
_VACATE_PRIMARY = (
    update(links)
    .where(
        *_HERE,
        among(links.c.golden_id, "_ids"),
        links.c.gone_at.is_not(None),
        links.c.is_primary,
    )
    .values(is_primary=False)
)


def resolve_keys(
    tx: Connection, connection: str, references: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], str | None]:
    """Returns {(stream, key): golden id}; None if the record is gone; absent if unknown."""
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
    """Returns {golden id: key in that connection} for {golden id: stream}."""
    if not wanted:
        return {}
    rows = tx.execute(_WRITTEN, {"_connection": connection, "_ids": list(wanted)})
    return {gid: key for gid, stream, key in rows if wanted[gid] == stream}


_WRITTEN = select(links.c.golden_id, links.c.stream, links.c.key).where(
    links.c.connection == bindparam("_connection"),
    among(links.c.golden_id, "_ids"),
    links.c.is_primary,
    links.c.gone_at.is_(None),
)


def gone_there(tx: Connection, connection: str, golden_ids: Iterable[str]) -> set[str]:
    """Returns the golden records whose record in that connection was deleted there."""
    given = {"_connection": connection, "_ids": list(golden_ids)}
    return set(tx.execute(_GONE, given).scalars())


_GONE = select(links.c.golden_id).where(
    links.c.connection == bindparam("_connection"),
    among(links.c.golden_id, "_ids"),
    links.c.is_primary,
    links.c.gone_at.is_not(None),
)
