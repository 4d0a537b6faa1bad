"""Alembic's environment: runs on the given connection, or (for developers) on TULAY_DATABASE."""

from __future__ import annotations

import os
from typing import Literal

from alembic import context
from sqlalchemy import Connection

from hub.store.engine import open_store
from hub.store.tables import Instant, Json, metadata

#: Our column types wrap plain ones; migrations name the plain ones.
_PLAIN: dict[type, str] = {Instant: "sa.BigInteger()", Json: "sa.Text()"}


def plain(kind: str, item: object, _: object) -> str | Literal[False]:
    """Returns how a column type is written in a migration, or False for the usual way."""
    return _PLAIN.get(type(item), False) if kind == "type" else False


def run_on(connection: Connection) -> None:
    """Runs the migrations in the transaction of the connection."""
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_as_batch=True,
        compare_type=True,
        render_item=plain,
    )
    with context.begin_transaction():
        context.run_migrations()


handed = context.config.attributes.get("connection")
if handed is not None:
    run_on(handed)
else:
    with open_store(os.environ["TULAY_DATABASE"]).begin() as tx:
        run_on(tx)
