"""Locks records for the rest of a transaction: their links and their golden records.

The lock of a golden record guards its links, too: a process that changes or moves a link holds it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Connection as Transaction

from hub.store.golden import Golden, load_golden
from hub.store.links import Link, links_by_key


def lock_records(
    tx: Transaction,
    connection: str,
    stream: str,
    keys: Sequence[str],
    *,
    known: Mapping[str, Link] | None = None,
    also: Iterable[str] = (),
) -> tuple[Mapping[str, Link], dict[str, Golden]]:
    """Returns links by key, and their golden records (plus `also`) by id, locked.

    `known` are the links if they were just read.

    Between reading and locking a link, another process may have changed it or moved it to another
    golden record. It is read again until the locks guard it.
    """
    links = links_by_key(tx, connection, stream, keys) if known is None else known
    wanted, golden = {*_of(links.values()), *also}, dict[str, Golden]()
    while wanted:
        golden |= load_golden(tx, wanted, lock=True)
        if tx.dialect.name == "sqlite":  # has one writing transaction at a time
            break
        links = links_by_key(tx, connection, stream, keys)
        wanted = _of(links.values()) - golden.keys()
    return links, golden


def _of(links: Iterable[Link]) -> set[str]:
    return {link.golden_id for link in links if link.golden_id is not None}
