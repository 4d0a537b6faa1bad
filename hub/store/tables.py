"""The table definitions for SQLite and PostgreSQL.

Times are aware UTC datetimes in Python and whole microseconds in the database; values are canonical
JSON.
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
        """Converts a time for storage; refuses one without a zone."""
        return None if value is None else (value - _EPOCH) // _MICROSECOND

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        """Returns an aware time."""
        return None if value is None else _EPOCH + value * _MICROSECOND


class Json(TypeDecorator[Any]):
    """A JSON value as text: the same bytes on both databases."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """Converts a value for storage; None stays NULL."""
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

#: The merged best knowledge. `origin` is that of all paths but those in `origins`.
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

#: Record <-> golden record. `golden_id` is NULL for a record that was gone before it was linked.
links = Table(
    "links",
    metadata,
    Column("id", _SERIAL, primary_key=True, autoincrement=True),
    Column("connection", String(80), nullable=False),
    Column("stream", String(80), nullable=False),
    Column("key", String(200), nullable=False),
    Column("golden_id", _ID),
    #: Writes go to this record; False for the secondary records of the same golden record.
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
    # Few links are gone, and every page asks whether any is.
    Index(
        "ix_links_gone",
        "connection",
        "stream",
        sqlite_where=text("gone_at IS NOT NULL"),
        postgresql_where=text("gone_at IS NOT NULL"),
    ),
)

#: Fingerprints by which golden records can be recognised.
fingerprints = Table(
    "fingerprints",
    metadata,
    Column("value", BigInteger, primary_key=True),
    Column("golden_id", _ID, primary_key=True),
    sqlite_with_rowid=False,
)

#: References between golden records, so that flows can follow them both ways.
edges = Table(
    "edges",
    metadata,
    Column("golden_id", _ID, primary_key=True),
    Column("path", String(200), primary_key=True),
    Column("target_id", _ID, nullable=False),
    Index(None, "target_id"),
)

#: Ids of queues are never reused (`sqlite_autoincrement`), because their holder may be late.

#: Received notifications: keys to fetch.
inbox = Table(
    "inbox",
    metadata,
    Column("id", _SERIAL, primary_key=True, autoincrement=True),
    Column("connection", String(80), nullable=False),
    Column("stream", String(80), nullable=False),
    Column("key", String(200), nullable=False),
    Column("event_id", String(120), nullable=False),
    #: The key that the record was merged into.
    Column("merged_into", String(200)),
    Column("received_at", Instant, nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    UniqueConstraint("connection", "event_id"),
    Index(None, "connection", "stream", "key"),
    sqlite_autoincrement=True,
)

#: Golden records that are wanted in a connection. What to write is computed when it is written.
outbox = Table(
    "outbox",
    metadata,
    Column("id", _SERIAL, primary_key=True, autoincrement=True),
    Column("connection", String(80), nullable=False),
    Column("entity", String(40), nullable=False),
    Column("golden_id", _ID, nullable=False),
    #: due | in_flight (a create in doubt) | held (in quarantine until retried)
    Column("state", String(10), nullable=False),
    #: Raised by every enqueue; a push completes only the generation that it has read.
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

#: What cannot proceed now, with the reason: records, writes, derivations, identity reviews.
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
    #: waiting (retried automatically) | held (until a change or a person)
    Column("state", String(10), nullable=False),
    #: See hub.model.causes.
    Column("cause", String(20), nullable=False),
    Column("reason", Text, nullable=False),
    Column("error", String(60)),
    #: The golden record on whose change it is retried.
    Column("waits_for", _ID),
    Column("attempts", Integer, nullable=False, default=0),
    #: NULL: no automatic retry, or the outbox entry holds the time.
    Column("next_attempt_at", Instant),
    Column("since", Instant, nullable=False),
    Column("last_at", Instant, nullable=False),
    #: The outbox entry of a write, together with which it leaves quarantine.
    Column("outbox_id", _SERIAL, ForeignKey("outbox.id", ondelete="CASCADE")),
    UniqueConstraint("kind", "source", "stream", "key"),
    Index(None, "waits_for"),
    Index(None, "outbox_id"),
    sqlite_autoincrement=True,
)

#: Fingerprints of quarantined records, so that none is created a second time.
quarantine_prints = Table(
    "quarantine_prints",
    metadata,
    Column("entry_id", _SERIAL, ForeignKey("quarantine.id", ondelete="CASCADE"), primary_key=True),
    Column("value", BigInteger, primary_key=True),
    Index(None, "value"),
    sqlite_with_rowid=False,
)

#: Records that may be the same as a known one; a person decides.
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

#: Fields that both sides changed and the policy does not decide.
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
    #: Why it was opened, unless it is that both sides changed the field.
    Column("reason", Text),
    Index(None, "golden_id"),
    Index(None, "link_id"),
    # Every page asks for the open ones, which are few; closed ones only grow in number.
    Index(
        "ix_conflicts_open",
        "connection",
        sqlite_where=text("closed_at IS NULL"),
        postgresql_where=text("closed_at IS NULL"),
    ),
)

#: Merges of golden records, with what is needed to undo them.
merges = Table(
    "merges",
    metadata,
    Column("id", _SERIAL, primary_key=True, autoincrement=True),
    Column("entity", String(40), nullable=False),
    Column("loser", _ID, nullable=False),
    Column("winner", _ID, nullable=False),
    Column("why", Text, nullable=False),
    #: See hub.sync.merge.snapshot.remember_before.
    Column("before", Json, nullable=False),
    Column("merged_at", Instant, nullable=False),
    Column("undone_at", Instant),
    Index(None, "loser"),
    sqlite_autoincrement=True,
)

#: Former values, who changed them, and by which policy.
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

#: The state of each stream.
streams = Table(
    "streams",
    metadata,
    Column("connection", String(80), primary_key=True),
    Column("stream", String(80), primary_key=True),
    Column("cursor", Text),
    #: The mapping under which the cursor was reached.
    Column("fingerprint", String(64)),
    Column("read_at", Instant),
    Column("swept_at", Instant),
    Column("paused_at", Instant),
    Column("reason", Text),
    #: A person has accepted the next large change.
    Column("accepted", Integer, nullable=False, default=0),
    Column("leased_by", String(80)),
    Column("leased_until", Instant),
)

#: The state of each connection beyond tulay.yaml.
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
    #: The process that renews the tokens, and until when.
    Column("leased_by", String(80)),
    Column("leased_until", Instant),
)

#: The use of each connection's rate limits by all processes.
rate_limits = Table(
    "rate_limits",
    metadata,
    Column("connection", String(80), primary_key=True),
    #: Reserved calls that may still count in a window: see hub.model.rate_limits.
    Column("blocks", Json, nullable=False),
    #: No calls before this time, because the system said so.
    Column("closed_until", Instant),
    #: The UTC day that `used` counts.
    Column("day", String(10), nullable=False),
    Column("used", Integer, nullable=False),
    #: Calls per day that the system allows; NULL if unknown.
    Column("daily", Integer),
    #: Lane -> [calls, seconds], as last reported by the system.
    Column("limits", Json),
)

#: Golden records whose derivations are due.
dirty = Table(
    "dirty",
    metadata,
    Column("golden_id", _ID, primary_key=True),
    Column("mark", Float, nullable=False),
    #: Number of derivations in a row that led to this one.
    Column("hops", Integer, nullable=False, default=0, server_default=text("0")),
)

#: Pieces of work by name (`pull crm companies`): their lease and their last result.
work = Table(
    "work",
    metadata,
    Column("name", String(200), primary_key=True),
    Column("done_at", Instant),
    #: Not before this time, after a failure.
    Column("due_at", Instant),
    Column("failures", Integer, nullable=False, default=0),
    Column("leased_by", String(80)),
    Column("leased_until", Instant),
)

#: Recently changed known records, once each, for the change limit over many small runs.
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

#: The counts of each run.
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
