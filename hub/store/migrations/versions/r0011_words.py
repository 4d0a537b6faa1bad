"""Tables, columns and states get the words that the rest of the program uses. No row is lost."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

#: Old name -> new name.
_TABLES = {"accounts": "rate_limits", "touched": "recent_changes"}
#: Table (by its new name), old column, new column.
_COLUMNS = (
    ("outbox", "wish", "generation"),
    ("outbox", "sent", "sent_values"),
    ("runs", "buried", "quarantined"),
    ("connections", "heard_at", "notified_at"),
    ("recent_changes", "what", "kind"),
    ("recent_changes", "touched_at", "changed_at"),
)
#: Table, column, old value, new value.
_VALUES = (
    ("outbox", "state", "sent", "in_flight"),
    ("runs", "state", "red", "inconsistent"),
    ("runs", "kind", "drain", "inbox"),
)


def upgrade() -> None:
    """Brings the tables forward."""
    for old, new in _TABLES.items():
        _rename_table(old, new)
    for table, old, new in _COLUMNS:
        op.alter_column(table, old, new_column_name=new)
    with op.batch_alter_table("runs") as runs:
        runs.alter_column("state", type_=sa.String(20), existing_type=sa.String(10))
    for table, column, old, new in _VALUES:
        _replace(table, column, old, new)
    _rename_work("drain ", "inbox ")


def downgrade() -> None:
    """Takes the tables back."""
    _rename_work("inbox ", "drain ")
    for table, column, old, new in _VALUES:
        _replace(table, column, new, old)
    with op.batch_alter_table("runs") as runs:
        runs.alter_column("state", type_=sa.String(10), existing_type=sa.String(20))
    for table, old, new in _COLUMNS:
        op.alter_column(table, new, new_column_name=old)
    for old, new in _TABLES.items():
        _rename_table(new, old)


def _rename_table(old: str, new: str) -> None:
    op.rename_table(old, new)
    # SQLite has no name for the index of a primary key.
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"ALTER INDEX pk_{old} RENAME TO pk_{new}")


def _replace(table: str, column: str, old: str, new: str) -> None:
    rows = sa.table(table, sa.column(column))
    op.execute(rows.update().where(rows.c[column] == old).values({column: new}))


def _rename_work(old: str, new: str) -> None:
    """Renames pieces of work, such as `drain crm`; their schedules and leases stay."""
    work = sa.table("work", sa.column("name", sa.String))
    renamed = sa.literal(new) + sa.func.substr(work.c.name, len(old) + 1)
    op.execute(work.update().where(work.c.name.startswith(old)).values(name=renamed))
