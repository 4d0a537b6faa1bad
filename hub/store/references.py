"""References: which golden record refers to which, so that flows can follow them both ways."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, bindparam, delete, select

from hub.store.engine import add_rows, among
from hub.store.tables import edges


def change_references(tx: Connection, targets_of: Mapping[str, Mapping[str, str]]) -> None:
    """Replaces the references of golden records: {golden id: {path: target id}}."""
    if not targets_of:
        return
    tx.execute(_FORGET_EDGES, {"_ids": list(targets_of)})
    rows = [
        {"golden_id": golden_id, "path": path, "target_id": target}
        for golden_id, targets in targets_of.items()
        for path, target in targets.items()
    ]
    add_rows(tx, edges, rows)


_FORGET_EDGES = delete(edges).where(among(edges.c.golden_id, "_ids"))


def referring(
    tx: Connection, targets: Iterable[str], path: str | None = None
) -> dict[str, list[str]]:
    """Returns {target id: ids of golden records that refer to it (by this path)}."""
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
