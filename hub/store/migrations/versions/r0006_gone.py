"""An index of the links that are gone: few, and asked for with every page."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Brings the tables forward."""
    gone = sa.text("gone_at IS NOT NULL")
    op.create_index(
        "ix_links_gone",
        "links",
        ["connection", "stream"],
        sqlite_where=gone,
        postgresql_where=gone,
    )


def downgrade() -> None:
    """Takes the tables back."""
    op.drop_index("ix_links_gone", "links")
