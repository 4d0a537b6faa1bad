"""Creates the tables or upgrades those of an older version, once for all processes.

Alembic is loaded only if an upgrade is needed. A database of a newer version is refused.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from hub.errors import SettingsError
from hub.store.engine import Store
from hub.store.tables import metadata

#: The revision that `tables.py` describes.
HEAD = "0011"

_FOLDER = Path(__file__).with_name("migrations")


def revision(tx: Connection) -> str | None:
    """Returns the revision of the tables; None for an empty database."""
    if not inspect(tx).has_table("alembic_version"):
        return None
    found = tx.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    return None if found is None else str(found)


def is_current(store: Store) -> bool:
    """Returns True if the tables have the revision that this version of Tulay expects."""
    with store.read() as tx:
        return revision(tx) == HEAD


def migrate(store: Store) -> None:
    """Creates or upgrades the tables; several processes may start at once.

    Raises: SettingsError if the database belongs to a newer version.
    """
    if is_current(store):
        return
    with store.begin(durable=True) as tx:
        if tx.dialect.name == "postgresql":
            # Waits for another process that is migrating; on SQLite `begin` has done that.
            tx.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('tulay:migrate', 0))"))
        found = revision(tx)
        if found is None and not inspect(tx).get_table_names():
            _create(tx)
        elif found != HEAD:
            _upgrade(tx, found)


def _create(tx: Connection) -> None:
    """Creates the tables of an empty database directly, without its history of migrations."""
    metadata.create_all(tx)
    tx.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)"))
    tx.execute(text("INSERT INTO alembic_version VALUES (:head)"), {"head": HEAD})


def _upgrade(tx: Connection, found: str | None) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.attributes["connection"] = tx
    try:
        if found is not None:
            ScriptDirectory.from_config(config).get_revision(found)
        elif inspect(tx).has_table("golden"):
            raise SettingsError(
                "the database has Tulay's tables but not their version: it was not created by this"
                " program; name another one in `database:` of tulay.yaml"
            )
    except CommandError as error:
        raise SettingsError(
            f"the database was written by a newer Tulay (revision {found}; this one knows"
            f" {HEAD}): install that version again, or restore the backup made before the upgrade"
        ) from error
    command.upgrade(config, "head")
