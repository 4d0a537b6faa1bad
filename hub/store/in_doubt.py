"""Writes in doubt: their answers were lost, so that they may have happened or not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, bindparam, select, update

from hub.store import quarantine
from hub.store.engine import among
from hub.store.outbox import ABOUT, CHANGE_ENTRIES, CHANGE_ENTRY
from hub.store.tables import golden, outbox
from mappings.canonical.values import Values


def mark_in_flight(
    tx: Connection, *, creates: Mapping[int, Values], updates: Mapping[int, Values]
) -> None:
    """Stores the intention to write {entry id: values}, before the network is touched.

    A create has the state `sent` until its outcome is known: it must not simply be repeated.
    """
    for values, state in ((creates, {"state": "in_flight"}), (updates, {})):
        rows = [{"_id": entry, "sent_values": sent, **state} for entry, sent in values.items()]
        if rows:
            tx.execute(CHANGE_ENTRY, rows)
    quarantine.resolve_writes(tx, creates)


def mark_not_sent(tx: Connection, ids: Iterable[int]) -> None:
    """Revokes the intention: the system reports that nothing has happened."""
    tx.execute(CHANGE_ENTRIES, {"_ids": ids, "state": "due", "sent_values": None})


def updates(tx: Connection, connection: str, golden_ids: Iterable[str]) -> dict[str, Values]:
    """Returns {golden id: values} of updates in doubt of these records."""
    rows = tx.execute(_UPDATES, {"_connection": connection, "_ids": golden_ids})
    return {golden_id: sent for golden_id, sent in rows}


_SENT = select(outbox.c.golden_id, outbox.c.sent_values).where(outbox.c.sent_values.is_not(None))
_UPDATES = _SENT.where(*ABOUT, outbox.c.state != "in_flight")


def confirm(tx: Connection, connection: str, golden_ids: Iterable[str]) -> None:
    """Deletes updates in doubt of these records, which have been seen since."""
    tx.execute(_CONFIRM, {"_connection": connection, "_ids": golden_ids})


_CONFIRM = update(outbox).where(*ABOUT, outbox.c.state != "in_flight").values(sent_values=None)


def creates(tx: Connection, connection: str, entity: str) -> dict[str, Values]:
    """Returns {golden id: values} of creates in doubt of an entity; some may be merged by now."""
    rows = tx.execute(_CREATES, {"_connection": connection, "_entity": entity})
    return {golden_id: sent for golden_id, sent in rows}


_OF_ENTITY = (
    outbox.c.connection == bindparam("_connection"),
    outbox.c.entity == bindparam("_entity"),
    outbox.c.state == "in_flight",
)
_CREATES = _SENT.where(*_OF_ENTITY)


def creates_of(tx: Connection, connection: str, golden_ids: Iterable[str]) -> dict[str, Values]:
    """Returns {golden id: values} of creates in doubt of these records."""
    rows = tx.execute(_CREATES_OF, {"_connection": connection, "_ids": golden_ids})
    return {golden_id: sent for golden_id, sent in rows}


_CREATES_OF = _SENT.where(*ABOUT, outbox.c.state == "in_flight")


def creates_of_merged(tx: Connection, connection: str, entity: str) -> list[str]:
    """Returns the golden records of an entity that were merged while their create was in doubt."""
    given = {"_connection": connection, "_entity": entity}
    return list(tx.execute(_CREATES_OF_MERGED, given).scalars())


_CREATES_OF_MERGED = (
    select(outbox.c.golden_id)
    .join(golden, golden.c.id == outbox.c.golden_id)
    .where(*_OF_ENTITY, golden.c.merged_into.is_not(None))
)


def inherit(
    tx: Connection, connections: Iterable[str], loser: str, winner: str, *, paths: Iterable[str]
) -> None:
    """Moves updates in doubt of some paths of a golden record to the one it is merged into."""
    given = set(paths)
    rows = tx.execute(_OF_BOTH, {"_connections": connections, "_ids": (loser, winner)})
    found = {(row.connection, row.golden_id): row for row in rows}
    for (connection, golden_id), row in found.items():
        if golden_id != loser or row.sent_values is None or row.state == "in_flight":
            continue
        sent = {p: value for p, value in row.sent_values.items() if p in given}
        theirs = found.get((connection, winner))
        if theirs is None:
            moved = {"_id": row.id, "golden_id": winner, "sent_values": sent or None}
            tx.execute(CHANGE_ENTRY, [moved])
            quarantine.resolve_writes(tx, [row.id])
        elif sent and theirs.state != "in_flight":
            both = {**sent, **(theirs.sent_values or {})}
            tx.execute(CHANGE_ENTRY, [{"_id": theirs.id, "sent_values": both}])


# Filtered by connection, too: only both columns together have an index.
_OF_BOTH = select(outbox).where(
    among(outbox.c.connection, "_connections"), among(outbox.c.golden_id, "_ids")
)
