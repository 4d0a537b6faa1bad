"""The tables, once, for SQLite and PostgreSQL.

Times are aware UTC datetimes outside and whole microseconds inside; values are canonical JSON.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Instant(TypeDecorator[datetime]):
    """An aware UTC time, stored as whole microseconds since 1970."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Stores a time; refuses one without a zone."""
        return None if value is None else (value - _EPOCH) // _MICROSECOND

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        """Returns an aware time."""
        return None if value is None else _EPOCH + value * _MICROSECOND


class Json(TypeDecorator[Any]):
    """A JSON value as text: the same bytes on both databases."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """Stores a value; None stays NULL."""
        return None if value is None else orjson.dumps(value).decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        """Returns the value."""
        return None if value is None else orjson.loads(value)


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    }
)

#: A golden or run id: 32 hex digits.
_ID = String(32)
_SERIAL = BigInteger().with_variant(Integer, "sqlite")

#: Our merged best knowledge. `origin` holds for all paths but those in `origins`.
golden = Table(
    "golden",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("entity", String(40), nullable=False),
    Column("data", Json, nullable=False),
    Column("origin", String(80), nullable=False),
    #: path -> [connection, changed_at in microseconds, run]
    Column("origins", Json),
    Column("created_at", Instant, nullable=False),
    Column("changed_at", Instant, nullable=False),
    Column("run", _ID, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("deleted_at", Instant),
    Column("merged_into", _ID),
    Index(None, "entity"),
)

#: Record <-> golden record. `golden_id` is NULL for a record known to be gone and never linked.
links = Table(
    "links",
    metadata,
    Column("id", _SERIAL, primary_key=True, autoincrement=True),
    Column("connection", String(80), nullable=False),
    Column("stream", String(80), nullable=False),
    Column("key", String(200), nullable=False),
    Column("golden_id", _ID),
    #: Writes go to this record; False for the secondary ones of the same golden record.
    Column("is_primary", Boolean, nullable=False, default=True),
    Column("version", Text),
    Column("modified_at", Instant),
    Column("digest", LargeBinary(16)),
    Column("seen", Json, nullable=False),
    Column("agreed", Json),
    Column("shown", Json),
    Column("gone_at", Instant),
    UniqueConstraint("connection", "stream", "key"),
    Index(None, "golden_id", "connection", "stream"),
    Index(
        "uq_links_primary",
        "golden_id",
        "connection",
        "stream",
        unique=True,
        sqlite_where=text("is_primary = 1"),
        postgresql_where=text("is_primary"),
    ),
    # Few links are gone, and whether any is, is asked with every page.
    Index(
        "ix_links_gone",
        "connection",
        "stream",
        sqlite_where=text("gone_at IS NOT NULL"),
        postgresql_where=text("gone_at IS NOT NULL"),
    ),
)

#: Ways in which golden records can be recognised.
fingerprints = Table(
    "fingerprints",
    metadata,
    Column("value", BigInteger, primary_key=True),
    Column("golden_id", _ID, primary_key=True),
    sqlite_with_rowid=False,
)

#: Which golden record refers to which, so that flows can walk both ways.
edges = Table(
    "edges",
    metadata,
    Column("golden_id", _ID, primary_key=True),
    Column("path", String(200), primary_key=True),
    Column("target_id", _ID, nullable=False),
    Index(None, "target_id"),
)

#: Ids of queues are never given twice (`sqlite_autoincrement`): whoever holds one may come late.

#: Received nudges: "look at this key".
inbox = Table(
    "inbox",
    metadata,
    Column("id", _SERIAL, primary_key=True, autoincrement=True),
    Column("connection", String(80), nullable=False),
    Column("stream", String(80), nullable=False),
    Column("key", String(200), nullable=False),
    Column("event_id", String(120), nullable=False),
    #: The record was merged into this key.
    Column("merged_into", String(200)),
    Column("received_at", Instant, nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    UniqueConstraint("connection", "event_id"),
    Index(None, "connection", "stream", "key"),
    sqlite_autoincrement=True,
)

#: That a golden record is wanted somewhere. What to write is computed when it is written.
outbox = Table(
    "outbox",
    metadata,
    Column("id", _SERIAL, primary_key=True, autoincrement=True),
    Column("connection", String(80), nullable=False),
    Column("entity", String(40), nullable=False),
    Column("golden_id", _ID, nullable=False),
    #: due | in_flight (a create whose outcome is unknown) | held (in quarantine until retried)
    Column("state", String(10), nullable=False),
    #: Raised whenever the record is wanted again; a push only completes the generation it has read.
    Column("generation", Integer, nullable=False, default=1),
    Column("due_at", Instant, nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    #: The values of a write whose outcome is unknown.
    Column("sent_values", Json),
    Column("leased_by", String(80)),
    Column("leased_until", Instant),
    Column("first_at", Instant, nullable=False),
    UniqueConstraint("connection", "golden_id"),
    Index(None, "connection", "state", "due_at"),
    sqlite_autoincrement=True,
)

#: What cannot go on now, with its reason: records, writes, derivations, questions of identity.
quarantine = Table(
    "quarantine",
    metadata,
    Column("id", _SERIAL, primary_key=True, autoincrement=True),
    #: pull | push | flow | review
    Column("kind", String(10), nullable=False),
    #: Connection and stream of a record; connection and entity of a write; flow and entity.
    Column("source", String(80), nullable=False),
    Column("stream", String(80), nullable=False),
    #: Key of a record; golden id of a write or a derivation.
    Column("key", String(200), nullable=False),
    #: waiting (tried again by itself) | held (until a change or a person)
    Column("state", String(10), nullable=False),
    #: See hub.model.causes.
    Column("cause", String(20), nullable=False),
    Column("reason", Text, nullable=False),
    Column("error", String(60)),
    #: The golden record whose change will let it go on.
    Column("waits_for", _ID),
    Column("attempts", Integer, nullable=False, default=0),
    #: NULL: nobody tries again by itself, or the outbox entry says when.
    Column("next_attempt_at", Instant),
    Column("since", Instant, nullable=False),
    Column("last_at", Instant, nullable=False),
    #: What is to be written: a write leaves quarantine together with its outbox entry.
    Column("outbox_id", _SERIAL, ForeignKey("outbox.id", ondelete="CASCADE")),
    UniqueConstraint("kind", "source", "stream", "key"),
    Index(None, "waits_for"),
    Index(None, "outbox_id"),
    sqlite_autoincrement=True,
)

#: Ways in which records in quarantine could be recognised, so that none is made a second time.
quarantine_prints = Table(
    "quarantine_prints",
    metadata,
    Column("entry_id", _SERIAL, ForeignKey("quarantine.id", ondelete="CASCADE"), primary_key=True),
    Column("value", BigInteger, primary_key=True),
    Index(None, "value"),
    sqlite_with_rowid=False,
)

#: Records that may be the same as something we know: a person decides.
reviews = Table(
    "reviews",
    metadata,
    Column("id", _SERIAL, primary_key=True, autoincrement=True),
    Column("connection", String(80), nullable=False),
    Column("stream", String(80), nullable=False),
    Column("key", String(200), nullable=False),
    Column("entity", String(40), nullable=False),
    Column("title", Text, nullable=False),
    Column("candidates", Json, nullable=False),
    Column("reason", Text, nullable=False),
    Column("opened_at", Instant, nullable=False),
    #: NULL while open; a golden id, or "new".
    Column("decision", String(40)),
    UniqueConstraint("connection", "stream", "key"),
    sqlite_autoincrement=True,
)

#: Both sides changed a field and policy would not choose.
conflicts = Table(
    "conflicts",
    metadata,
    Column("id", _SERIAL, primary_key=True, autoincrement=True),
    Column("golden_id", _ID, nullable=False),
    Column("link_id", _SERIAL, nullable=False),
    Column("connection", String(80), nullable=False),
    Column("path", String(200), nullable=False),
    Column("base", Json),
    Column("ours", Json),
    Column("theirs", Json),
    Column("opened_at", Instant, nullable=False),
    Column("closed_at", Instant),
    #: ours | theirs | value | agreed | withdrawn
    Column("resolution", String(20)),
    #: Why it was opened, when not because both sides changed the field once.
    Column("reason", Text),
    Index(None, "golden_id"),
    Index(None, "link_id"),
    # Every page asks for open ones, which are few; those that are over only grow in number.
    Index(
        "ix_conflicts_open",
        "connection",
        sqlite_where=text("closed_at IS NULL"),
        postgresql_where=text("closed_at IS NULL"),
    ),
)

#: Golden records that became one, with what is needed to undo it.
merges = Table(
    "merges",
    metadata,
    Column("id", _SERIAL, primary_key=True, autoincrement=True),
    Column("entity", String(40), nullable=False),
    Column("loser", _ID, nullable=False),
    Column("winner", _ID, nullable=False),
    Column("why", Text, nullable=False),
    #: See hub.sync.merge.undo.Before.
    Column("before", Json, nullable=False),
    Column("merged_at", Instant, nullable=False),
    Column("undone_at", Instant),
    Index(None, "loser"),
    sqlite_autoincrement=True,
)

#: What a value was before, who changed it, and by which policy.
history = Table(
    "history",
    metadata,
    Column("id", _SERIAL, primary_key=True, autoincrement=True),
    Column("golden_id", _ID, nullable=False),
    Column("path", String(200), nullable=False),
    Column("old", Json),
    Column("new", Json),
    Column("connection", String(80), nullable=False),
    Column("decision", String(20), nullable=False),
    Column("why", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("run", _ID, nullable=False),
    Index(None, "golden_id"),
)

#: Where we are in each stream.
streams = Table(
    "streams",
    metadata,
    Column("connection", String(80), primary_key=True),
    Column("stream", String(80), primary_key=True),
    Column("cursor", Text),
    #: The mapping that the cursor was earned with.
    Column("fingerprint", String(64)),
    Column("read_at", Instant),
    Column("swept_at", Instant),
    Column("paused_at", Instant),
    Column("reason", Text),
    #: The next run may be surprising: a person said so.
    Column("accepted", Integer, nullable=False, default=0),
    Column("leased_by", String(80)),
    Column("leased_until", Instant),
)

#: State of each connection that is not in tulay.yaml.
connections = Table(
    "connections",
    metadata,
    Column("connection", String(80), primary_key=True),
    Column("paused_at", Instant),
    Column("reason", Text),
    #: Encrypted OAuth tokens.
    Column("tokens", LargeBinary),
    #: Fingerprint of the fields that `prepare` has created.
    Column("prepared", String(64)),
    #: When a webhook last notified us.
    Column("notified_at", Instant),
    #: Who renews the tokens now, and until when nobody else does.
    Column("leased_by", String(80)),
    Column("leased_until", Instant),
)

#: What all processes together have used of a connection's rate limits.
rate_limits = Table(
    "rate_limits",
    metadata,
    Column("connection", String(80), primary_key=True),
    #: Calls given to processes that may still be in somebody's window: see hub.model.rate_limits.
    Column("blocks", Json, nullable=False),
    #: Nobody calls before this: the system said so.
    Column("closed_until", Instant),
    #: The day (UTC) that `used` counts.
    Column("day", String(10), nullable=False),
    Column("used", Integer, nullable=False),
    #: Calls a day that the system allows; NULL when nobody says so.
    Column("daily", Integer),
    #: Lane -> [calls, seconds], as the system has last told a process.
    Column("limits", Json),
)

#: Golden records whose derivations are due.
dirty = Table(
    "dirty",
    metadata,
    Column("golden_id", _ID, primary_key=True),
    Column("mark", Float, nullable=False),
    #: How many derivations in a row have led to this one.
    Column("hops", Integer, nullable=False, default=0, server_default=text("0")),
)

#: Pieces of work by name (`pull crm companies`): who has them, and how they went.
work = Table(
    "work",
    metadata,
    Column("name", String(200), primary_key=True),
    Column("done_at", Instant),
    #: Not before this time, because it has failed.
    Column("due_at", Instant),
    Column("failures", Integer, nullable=False, default=0),
    Column("leased_by", String(80)),
    Column("leased_until", Instant),
)

#: Known records that changed lately, once each: by them, many small runs are measured together.
recent_changes = Table(
    "recent_changes",
    metadata,
    Column("connection", String(80), primary_key=True),
    Column("stream", String(80), primary_key=True),
    Column("key", String(200), primary_key=True),
    #: changed | gone (in the remote system), deleted (by the hub)
    Column("kind", String(10), nullable=False),
    Column("changed_at", Instant, nullable=False),
    sqlite_with_rowid=False,
)

#: What each run saw and did.
runs = Table(
    "runs",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("kind", String(20), nullable=False),
    Column("connection", String(80), nullable=False),
    Column("stream", String(80), nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("finished_at", Instant),
    Column("seen", Integer, nullable=False, default=0),
    Column("same", Integer, nullable=False, default=0),
    Column("changed", Integer, nullable=False, default=0),
    Column("skipped", Json),
    Column("quarantined", Integer, nullable=False, default=0),
    Column("written", Integer, nullable=False, default=0),
    #: running | done | failed | paused | stopped | inconsistent (counts do not add up)
    Column("state", String(20), nullable=False),
    Column("reason", Text),
    Index(None, "started_at"),
)
