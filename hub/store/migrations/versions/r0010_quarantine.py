"""One quarantine in the place of letters, fingerprints set aside and reasons in the outbox.

The primary link of a golden record in a stream is marked as such, and is unique.
"""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Brings the tables forward."""
    _make_tables()
    _fill_quarantine()
    op.drop_table("letters")
    op.drop_table("aside")
    _slim_outbox()
    _mark_primary_links()
    _name_primary_in_merges()


def _make_tables() -> None:
    op.create_table(
        "quarantine",
        sa.Column("id", _SERIAL, autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("source", sa.String(length=80), nullable=False),
        sa.Column("stream", sa.String(length=80), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("cause", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("error", sa.String(length=60), nullable=True),
        sa.Column("waits_for", sa.String(length=32), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", sa.BigInteger(), nullable=True),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.Column("outbox_id", _SERIAL, nullable=True),
        sa.ForeignKeyConstraint(
            ["outbox_id"],
            ["outbox.id"],
            name=op.f("fk_quarantine_outbox_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quarantine")),
        sa.UniqueConstraint(
            "kind", "source", "stream", "key", name=op.f("uq_quarantine_kind_source_stream_key")
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_quarantine_waits_for"), "quarantine", ["waits_for"])
    op.create_index(op.f("ix_quarantine_outbox_id"), "quarantine", ["outbox_id"])
    op.create_table(
        "quarantine_prints",
        sa.Column("entry_id", _SERIAL, nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["entry_id"],
            ["quarantine.id"],
            name=op.f("fk_quarantine_prints_entry_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("entry_id", "value", name=op.f("pk_quarantine_prints")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_quarantine_prints_value"), "quarantine_prints", ["value"])


#: Why a record or a derivation was set aside, as far as its letter tells.
_CAUSE_OF_LETTER = """
    CASE WHEN error = 'ChainError' THEN 'oscillation'
         WHEN kind = 'flow' THEN 'blocked_flow'
         WHEN state = 'waiting' THEN 'missing_parent'
         ELSE 'unreadable' END
"""
#: Why a write was set aside; the reasons are those that the program wrote.
_CAUSE_OF_WRITE = """
    CASE WHEN outbox.error = 'RecordRejectedError' THEN 'refused'
         WHEN outbox.error = 'LensError' THEN 'untranslatable'
         WHEN outbox.error = 'RecordStaleError' THEN 'oscillation'
         WHEN outbox.error IS NOT NULL THEN 'failed'
         WHEN outbox.reason LIKE 'nobody can tell%' THEN 'in_doubt'
         WHEN outbox.reason LIKE 'may be %' THEN 'under_review'
         WHEN outbox.reason LIKE 'is % as it seems%' THEN 'possible_duplicate'
         WHEN outbox.reason LIKE '%cannot be taken in yet%' THEN 'unreadable'
         WHEN outbox.reason LIKE '%has no %' THEN 'missing_field'
         WHEN outbox.waits_for IS NOT NULL THEN 'missing_parent'
         WHEN outbox.reason LIKE '%delete%' THEN 'change_limit'
         ELSE 'failed' END
"""
_COLUMNS = (
    "kind, source, stream, key, state, cause, reason, error, waits_for, attempts,"
    " next_attempt_at, since, last_at, outbox_id"
)


def _fill_quarantine() -> None:
    state = "CASE state WHEN 'buried' THEN 'held' ELSE state END"
    op.execute(f"""
        INSERT INTO quarantine ({_COLUMNS})
        SELECT kind, source, stream, key, {state}, {_CAUSE_OF_LETTER}, reason, error, waits_for,
               attempts, CASE state WHEN 'waiting' THEN due_at END, first_at, last_at, NULL
        FROM letters ORDER BY id
    """)  # noqa: S608 - its own words
    op.execute(f"""
        INSERT INTO quarantine ({_COLUMNS})
        SELECT 'push', connection, entity, golden_id, {state}, {_CAUSE_OF_WRITE},
               COALESCE(reason, ''), error, waits_for, attempts, NULL, first_at, first_at, id
        FROM outbox WHERE state IN ('waiting', 'buried') ORDER BY id
    """)  # noqa: S608 - its own words
    op.execute(f"""
        INSERT INTO quarantine ({_COLUMNS})
        SELECT 'review', connection, stream, key, 'held', 'under_review', reason, NULL, NULL, 0,
               NULL, opened_at, opened_at, NULL
        FROM reviews WHERE decision IS NULL ORDER BY id
    """)  # noqa: S608 - its own words
    op.execute("""
        INSERT INTO quarantine_prints (entry_id, value)
        SELECT quarantine.id, aside.value
        FROM aside
        JOIN quarantine ON quarantine.source = aside.connection
         AND quarantine.stream = aside.stream AND quarantine.key = aside.key
         AND quarantine.kind IN ('pull', 'review')
        WHERE NOT EXISTS (
            SELECT 1 FROM links
            WHERE links.connection = aside.connection AND links.stream = aside.stream
              AND links.key = aside.key AND links.golden_id IS NOT NULL)
    """)


def _slim_outbox() -> None:
    op.execute("UPDATE outbox SET state = 'held' WHERE state = 'buried'")
    op.execute("UPDATE outbox SET state = 'due' WHERE state = 'waiting'")
    op.drop_index("ix_outbox_waits_for", table_name="outbox")
    for column in ("reason", "error", "waits_for"):
        op.drop_column("outbox", column)


def _mark_primary_links() -> None:
    op.add_column(
        "links", sa.Column("is_primary", sa.Boolean(), nullable=False, server_default=sa.true())
    )
    links = sa.table(
        "links", sa.column("spare", sa.BigInteger), sa.column("is_primary", sa.Boolean)
    )
    op.execute(links.update().where(links.c.spare != 0).values(is_primary=False))
    with op.batch_alter_table("links") as batch:
        batch.drop_constraint("uq_links_golden_id_connection_stream_spare", type_="unique")
        batch.drop_column("spare")
        batch.alter_column("is_primary", server_default=None)
    columns = ["golden_id", "connection", "stream"]
    op.create_index(op.f("ix_links_golden_id_connection_stream"), "links", columns)
    op.create_index(
        "uq_links_primary",
        "links",
        columns,
        unique=True,
        sqlite_where=sa.text("is_primary = 1"),
        postgresql_where=sa.text("is_primary"),
    )


def _name_primary_in_merges() -> None:
    """What undoes a merge lists the links that were primary, not the number of each link."""

    def listed(before: dict[str, Any]) -> None:
        spares = before.pop("spares", {})
        before["primary"] = [int(link) for link, spare in spares.items() if spare == 0]

    _rewrite_merges(listed)


def _rewrite_merges(change: Any) -> None:
    connection = op.get_bind()
    for number, text in connection.execute(sa.text("SELECT id, before FROM merges")).all():
        before = json.loads(text)
        change(before)
        connection.execute(
            sa.text("UPDATE merges SET before = :before WHERE id = :id"),
            {"before": json.dumps(before, separators=(",", ":"), ensure_ascii=False), "id": number},
        )


def downgrade() -> None:
    """Takes the tables back."""
    _restore_links()
    _restore_outbox()
    _restore_letters()
    op.drop_table("quarantine_prints")
    op.drop_table("quarantine")


def _restore_links() -> None:
    for name in ("uq_links_primary", op.f("ix_links_golden_id_connection_stream")):
        op.drop_index(name, table_name="links")
    op.add_column("links", sa.Column("spare", _SERIAL, nullable=False, server_default="0"))
    links = sa.table(
        "links", sa.column("id"), sa.column("spare"), sa.column("is_primary", sa.Boolean)
    )
    op.execute(links.update().where(links.c.is_primary.is_(False)).values(spare=links.c.id))
    with op.batch_alter_table("links") as batch:
        batch.drop_column("is_primary")
        batch.alter_column("spare", server_default=None)
        batch.create_unique_constraint(
            "uq_links_golden_id_connection_stream_spare",
            ["golden_id", "connection", "stream", "spare"],
        )
    spare = "SELECT id FROM links"
    ids = [row[0] for row in op.get_bind().execute(sa.text(spare)).all()]

    def numbered(before: dict[str, Any]) -> None:
        primary = set(before.pop("primary", ()))
        before["spares"] = {str(i): 0 if i in primary else i for i in ids}

    _rewrite_merges(numbered)


def _restore_outbox() -> None:
    for name, kind in (
        ("reason", sa.Text()),
        ("error", sa.String(60)),
        ("waits_for", sa.String(32)),
    ):
        op.add_column("outbox", sa.Column(name, kind, nullable=True))
    op.create_index("ix_outbox_waits_for", "outbox", ["waits_for"])
    given = "FROM quarantine WHERE quarantine.outbox_id = outbox.id"
    op.execute(f"""
        UPDATE outbox SET reason = (SELECT reason {given}), error = (SELECT error {given}),
               waits_for = (SELECT waits_for {given}),
               state = (SELECT CASE state WHEN 'held' THEN 'buried' ELSE state END {given})
        WHERE id IN (SELECT outbox_id FROM quarantine WHERE outbox_id IS NOT NULL)
    """)  # noqa: S608 - its own words


def _restore_letters() -> None:
    op.create_table(
        "letters",
        sa.Column("id", _SERIAL, autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("source", sa.String(length=80), nullable=False),
        sa.Column("stream", sa.String(length=80), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("error", sa.String(length=60), nullable=True),
        sa.Column("waits_for", sa.String(length=32), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("first_at", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_letters")),
        sa.UniqueConstraint(
            "kind", "source", "stream", "key", name=op.f("uq_letters_kind_source_stream_key")
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_letters_waits_for"), "letters", ["waits_for"])
    op.create_table(
        "aside",
        sa.Column("connection", sa.String(length=80), nullable=False),
        sa.Column("stream", sa.String(length=80), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("connection", "stream", "key", "value", name=op.f("pk_aside")),
    )
    op.create_index(op.f("ix_aside_value"), "aside", ["value"])
    op.execute("""
        INSERT INTO letters (kind, source, stream, key, state, reason, error, waits_for, attempts,
                             due_at, first_at, last_at)
        SELECT kind, source, stream, key, CASE state WHEN 'held' THEN 'buried' ELSE state END,
               reason, error, waits_for, attempts, COALESCE(next_attempt_at, last_at), since,
               last_at
        FROM quarantine WHERE kind IN ('pull', 'flow') ORDER BY id
    """)
    op.execute("""
        INSERT INTO aside (connection, stream, key, value)
        SELECT DISTINCT quarantine.source, quarantine.stream, quarantine.key,
               quarantine_prints.value
        FROM quarantine_prints JOIN quarantine ON quarantine.id = quarantine_prints.entry_id
    """)
