"""How records that are set aside can be recognised, so that none is made a second time."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Brings the tables forward."""
    op.create_table(
        "aside",
        sa.Column("connection", sa.String(length=80), nullable=False),
        sa.Column("stream", sa.String(length=80), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("connection", "stream", "key", "value", name=op.f("pk_aside")),
    )
    op.create_index(op.f("ix_aside_value"), "aside", ["value"])


def downgrade() -> None:
    """Takes the tables back."""
    op.drop_table("aside")
