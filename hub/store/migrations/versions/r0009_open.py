"""Open conflicts are found without reading those that are over."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Brings the tables forward."""
    still = sa.text("closed_at IS NULL")
    op.create_index(
        "ix_conflicts_open",
        "conflicts",
        ["connection"],
        sqlite_where=still,
        postgresql_where=still,
    )


def downgrade() -> None:
    """Takes the tables back."""
    op.drop_index("ix_conflicts_open", table_name="conflicts")
