"""What Alembic runs: on the connection it was handed, or (for developers) on TULAY_DATABASE."""

from __future__ import annotations

import os

from alembic import context
from sqlalchemy import Connection

from hub.store.engine import open_store
from hub.store.tables import metadata


def run_on(connection: Connection) -> None:
    """Runs the migrations in the transaction of the connection."""
    context.configure(
        connection=connection, target_metadata=metadata, render_as_batch=True, compare_type=True
    )
    with context.begin_transaction():
        context.run_migrations()


handed = context.config.attributes.get("connection")
if handed is not None:
    run_on(handed)
else:
    with open_store(os.environ["TULAY_DATABASE"]).begin() as tx:
        run_on(tx)
