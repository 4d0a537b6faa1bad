"""Golden records: the merged best knowledge of each record, with the origin of every value."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, Row, Text, bindparam, cast, select, update

from hub.store.engine import add_rows, among
from hub.store.tables import golden, links
from mappings.canonical.values import Values


@dataclass(slots=True)
class Golden:
    """One golden record."""

    id: str
    entity: str
    values: Values = field(repr=False)
    #: The connection (or `flow:name`) that set all values but those in `origins`.
    origin: str
    #: path -> [connection, changed_at in microseconds, run]
    origins: dict[str, list[Any]]
    created_at: datetime
    changed_at: datetime
    run: str
    revision: int = 1
    deleted_at: datetime | None = None
    merged_into: str | None = None


_BY_ID = select(golden).where(among(golden.c.id, "_ids")).order_by(golden.c.id)
_BY_ID_LOCKED = _BY_ID.with_for_update()


def load_golden(tx: Connection, ids: Iterable[str], *, lock: bool = False) -> dict[str, Golden]:
    """Returns golden records by id; `lock` keeps other transactions from changing them."""
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
    """Returns golden ids by id, by a key in a system, or by part of their text."""
    by_id = select(golden.c.id).where(golden.c.entity == entity, golden.c.id == name)
    by_key = (
        select(links.c.golden_id)
        .join(golden, golden.c.id == links.c.golden_id)
        .where(golden.c.entity == entity, links.c.key == name)
    )
    # As in the stored JSON; without the cast, `data` would be encoded as JSON once more.
    written = orjson.dumps(name).decode()[1:-1]
    text = cast(golden.c.data, Text).icontains(written, autoescape=True)
    by_text = select(golden.c.id).where(golden.c.entity == entity, text).limit(20)
    for query in (by_id, by_key, by_text):
        found = [row[0] for row in tx.execute(query)]
        if found:
            return sorted(set(found))
    return []
