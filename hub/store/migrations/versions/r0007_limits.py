"""Rate limits that a system has told one process are known to the next one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Brings the tables forward."""
    op.add_column("accounts", sa.Column("limits", sa.Text(), nullable=True))


def downgrade() -> None:
    """Takes the tables back."""
    op.drop_column("accounts", "limits")
