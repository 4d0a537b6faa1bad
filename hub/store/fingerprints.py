"""Fingerprints: values by which a record can be recognised as a golden record."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    bindparam,
    delete,
    exists,
    literal_column,
    select,
)

from hub.store.engine import add_rows, among
from hub.store.tables import fingerprints, links

#: The parameters of one stream.
_HERE = (
    links.c.connection == bindparam("_connection"),
    links.c.stream == bindparam("_stream"),
)
_ONE: ColumnElement[int] = literal_column("1")


def candidates_for(
    tx: Connection, values: Iterable[int], *, connection: str, stream: str
) -> dict[int, list[str]]:
    """Returns {fingerprint: golden ids} of golden records without a living link to this stream."""
    wanted = list(dict.fromkeys(values))
    if not wanted:
        return {}
    given = {"_connection": connection, "_stream": stream}
    # Whether a link is gone is only in its row, everything else is in the index. So the rows are
    # read only if any link of the stream is gone.
    query = _FREE_AMONG_GONE if tx.execute(_ANY_GONE, given).scalar() else _FREE
    found: dict[int, list[str]] = {}
    for value, golden_id in tx.execute(query, {**given, "_values": wanted}).all():
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
    """Removes and adds (fingerprint, golden id) pairs."""
    if gone:
        rows = [{"_value": value, "_id": golden_id} for value, golden_id in gone]
        tx.execute(_FORGET_FINGERPRINT, rows)
    rows = [{"value": value, "golden_id": golden_id} for value, golden_id in new]
    add_rows(tx, fingerprints, rows, known_is_fine=True)


_FORGET_FINGERPRINT = delete(fingerprints).where(
    fingerprints.c.value == bindparam("_value"), fingerprints.c.golden_id == bindparam("_id")
)
