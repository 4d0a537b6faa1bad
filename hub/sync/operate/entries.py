"""The entries of the quarantine as people read them: which record, since when, why, what next.

push-N is a write that waits or was refused, pull-N a record that cannot be read, flow-N a
derivation that waits for something.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection as Transaction

from hub.errors import UnknownError
from hub.store import quarantine
from hub.store.links import links_by_key
from hub.store.quarantine import QuarantineEntry
from hub.store.reviews import open_reviews
from hub.sync.context import Hub
from hub.sync.record_names import names_by_id


@dataclass(frozen=True, slots=True)
class Entry:
    """A record that cannot be read, written or derived now."""

    #: Such as push-3.
    id: str
    kind: str
    #: waiting: retried automatically; held: until something changes or a person retries it.
    state: str
    #: The connection, or the flow.
    where: str
    entity: str
    #: What it is about, with its key or golden id.
    what: str
    #: A code of hub.model.causes.
    cause: str
    reason: str
    error: str | None
    attempts: int
    first_at: datetime
    #: The next automatic attempt.
    due_at: datetime | None
    #: What a person can do about it.
    next_action: str
    stream: str | None = None
    key: str | None = None
    golden_id: str | None = None
    #: The name of the record, for people.
    name: str = ""

    @property
    def number(self) -> int:
        """Its number in the quarantine."""
        return int(self.id.partition("-")[2])

    @property
    def record(self) -> tuple[str, str]:
        """The record, comparable: equal in two entries about the same record."""
        return self.where, self.golden_id or f"{self.stream} {self.key}"


def entries(hub: Hub, tx: Transaction) -> list[Entry]:
    """Returns all entries, oldest first, with the names of their records."""
    found = unnamed(hub, tx)
    names = names_by_id(hub, tx, {one.golden_id for one in found if one.golden_id})
    titles = {(r.connection, r.stream, r.key): r.title for r in open_reviews(tx)}
    named = [
        replace(
            one,
            name=names.get(one.golden_id or "")
            or titles.get((one.where, one.stream or "", one.key or ""))
            or _called(one),
        )
        for one in found
    ]
    return sorted(named, key=lambda one: (one.first_at, one.number))


def entry(hub: Hub, tx: Transaction, entry_id: str) -> Entry:
    """Returns one entry. Raises: UnknownError."""
    for one in entries(hub, tx):
        if one.id == entry_id:
            return one
    raise UnknownError(f"there is no entry {entry_id!r}; `tulay errors` lists them")


def unnamed(hub: Hub, tx: Transaction) -> list[Entry]:
    """Returns all entries without the names of their records; enough to count and match."""
    rows = sorted(quarantine.listing(tx), key=lambda row: row.kind != "push")
    return _linked(tx, [_entry(hub, row) for row in rows])


def counted(found: Iterable[Entry]) -> Counter[str]:
    """Returns {connection or flow: number of its records with at least one entry}."""
    return Counter(where for where, _ in {one.record for one in found})


def retry(tx: Transaction, chosen: Sequence[Entry], *, now: datetime) -> None:
    """Makes entries due: the next sync retries them."""
    quarantine.retry(tx, [one.number for one in chosen], now=now)


def drop(tx: Transaction, chosen: Sequence[Entry]) -> None:
    """Deletes entries: they are not retried unless something changes."""
    quarantine.drop(tx, [one.number for one in chosen])


def _entry(hub: Hub, row: QuarantineEntry) -> Entry:
    connection = hub.connections.get(row.source)
    channel = connection.channels.get(row.stream) if connection else None
    written = row.kind == "push"
    return Entry(
        id=row.name,
        kind=row.kind,
        state=row.state,
        where=row.source,
        entity=row.stream if written or channel is None else channel.entity.name,
        what=f"{row.stream} {row.key}",
        cause=row.cause.value,
        reason=row.reason,
        error=row.error,
        attempts=row.attempts,
        first_at=row.since,
        due_at=row.next_attempt_at,
        next_action=row.next_action,
        stream=None if written else row.stream,
        key=None if written else row.key,
        golden_id=None if row.kind == "pull" else row.key,
    )


def _linked(tx: Transaction, found: Iterable[Entry]) -> list[Entry]:
    """Adds the golden record to entries whose record is linked."""
    by_stream: dict[tuple[str, str], list[Entry]] = defaultdict(list)
    for one in found:
        by_stream[one.where, one.stream or ""].append(one)
    linked = []
    for (connection, stream), group in by_stream.items():
        keys = [one.key for one in group if one.key is not None and one.golden_id is None]
        links = links_by_key(tx, connection, stream, keys) if keys else {}
        for one in group:
            link = links.get(one.key or "")
            linked.append(one if link is None else replace(one, golden_id=link.golden_id))
    return linked


def _called(one: Entry) -> str:
    """Returns what a record is called that was never read, or is gone: where it is, and its key."""
    if one.key and one.golden_id is None:
        return f"{one.stream} {one.key} in {one.where}"
    return f"{one.entity.replace('_', ' ')} (deleted)"
