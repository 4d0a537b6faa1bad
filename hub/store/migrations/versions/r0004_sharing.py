"""What processes share: rate limits of a connection, and who renews its tokens."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Brings the tables forward."""
    op.create_table(
        "accounts",
        sa.Column("connection", sa.String(length=80), nullable=False),
        sa.Column("blocks", sa.Text(), nullable=False),
        sa.Column("closed_until", sa.BigInteger(), nullable=True),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("used", sa.Integer(), nullable=False),
        sa.Column("daily", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("connection", name=op.f("pk_accounts")),
    )
    op.add_column("connections", sa.Column("leased_by", sa.String(length=80), nullable=True))
    op.add_column("connections", sa.Column("leased_until", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    """Takes the tables back."""
    with op.batch_alter_table("connections") as table:
        table.drop_column("leased_until")
        table.drop_column("leased_by")
    op.drop_table("accounts")
