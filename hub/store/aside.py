"""How records that cannot be taken in yet can be recognised, so that none is made a second time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, bindparam, delete, exists, or_, select

from hub.store.engine import add_rows, among
from hub.store.tables import aside, letters, links, reviews


def remember(
    tx: Connection, connection: str, stream: str, prints: Mapping[str, Iterable[int]]
) -> None:
    """Notes key -> fingerprints of records that are set aside, in the place of earlier ones."""
    forget(tx, connection, stream, prints)
    rows = [
        {"connection": connection, "stream": stream, "key": key, "value": value}
        for key, values in prints.items()
        for value in dict.fromkeys(values)
    ]
    add_rows(tx, aside, rows, known_is_fine=True)


def forget(tx: Connection, connection: str, stream: str, keys: Iterable[str]) -> None:
    """Forgets records that were taken in, or are gone."""
    given = {"_connection": connection, "_stream": stream, "_keys": list(keys)}
    if given["_keys"]:
        tx.execute(_FORGET, given)


_HERE = (
    aside.c.connection == bindparam("_connection"),
    aside.c.stream == bindparam("_stream"),
)
_FORGET = delete(aside).where(*_HERE, among(aside.c.key, "_keys"))


def holders(tx: Connection, connection: str, stream: str, values: Iterable[int]) -> dict[int, str]:
    """Returns fingerprint -> key of a record that has it, is set aside, and belongs to nothing."""
    given = {"_connection": connection, "_stream": stream, "_values": list(values)}
    if not given["_values"]:
        return {}
    return {value: key for value, key in tx.execute(_HOLDERS, given)}


_SET_ASIDE = exists().where(
    letters.c.kind == "pull",
    letters.c.source == aside.c.connection,
    letters.c.stream == aside.c.stream,
    letters.c.key == aside.c.key,
)
_UNDER_REVIEW = exists().where(
    reviews.c.connection == aside.c.connection,
    reviews.c.stream == aside.c.stream,
    reviews.c.key == aside.c.key,
    reviews.c.decision.is_(None),
)
_LINKED = exists().where(
    links.c.connection == aside.c.connection,
    links.c.stream == aside.c.stream,
    links.c.key == aside.c.key,
    links.c.golden_id.is_not(None),
)
#: Letters are dropped and reviews decided without a look at this table: they say whether it holds.
_HOLDERS = (
    select(aside.c.value, aside.c.key)
    .where(*_HERE, among(aside.c.value, "_values"), or_(_SET_ASIDE, _UNDER_REVIEW), ~_LINKED)
    .order_by(aside.c.key)
)
