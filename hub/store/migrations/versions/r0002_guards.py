"""Conflicts may have a reason; derivations count their hops."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Brings the tables forward."""
    op.add_column("conflicts", sa.Column("reason", sa.Text(), nullable=True))
    op.add_column(
        "dirty", sa.Column("hops", sa.Integer(), nullable=False, server_default=sa.text("0"))
    )


def downgrade() -> None:
    """Takes the tables back."""
    op.drop_column("dirty", "hops")
    op.drop_column("conflicts", "reason")
