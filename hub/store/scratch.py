"""A temporary database for the length of a block: a file, or one on a PostgreSQL server.

The database of the given address is never written to; it only tells the server. The temporary
database is dropped whatever happens in the block.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import ArgumentError, ProgrammingError, SQLAlchemyError

from hub.errors import SettingsError

_PREFIX = "tulay_rehearsal_"
_DROP = {
    "database": "DROP DATABASE IF EXISTS {name} WITH (FORCE)",
    "schema": "DROP SCHEMA IF EXISTS {name} CASCADE",
}


@contextmanager
def scratch_database(url: str | None, folder: Path) -> Iterator[str]:
    """Yields the address of an empty database: in `folder`, or on the PostgreSQL server of `url`.

    On the server it is a new database, or a new schema if the user may not create databases.

    Raises: SettingsError if the server does not answer or the user may create neither.
    """
    if url is None or "://" not in url or url.startswith("sqlite"):
        yield f"sqlite:///{folder / 'hub.db'}"
        return
    try:
        address = make_url(url).set(drivername="postgresql+psycopg")
        engine = create_engine(
            address, isolation_level="AUTOCOMMIT", connect_args={"connect_timeout": 10}
        )
    except (ArgumentError, ValueError):
        # from None: the address may hold a password.
        raise SettingsError("--database: write postgresql://user:password@host/name") from None
    name = _PREFIX + uuid.uuid4().hex[:12]
    made: str | None = None
    try:
        with engine.connect() as server:
            for kind in ("database", "schema"):
                try:
                    # The name is generated here: letters and digits.
                    server.execute(text(f"CREATE {kind.upper()} {name}"))
                    made = kind
                    break
                except ProgrammingError:
                    continue  # not permitted; without permission for either, an error follows
        if made is None:
            raise SettingsError(
                "the database user may create neither a database nor a schema; grant CREATEDB,"
                " or name another server with --database"
            )
        path = {"options": f"-csearch_path={name}"}
        own = address.set(database=name)
        found = own if made == "database" else address.update_query_dict(path)
        yield found.set(drivername="postgresql").render_as_string(hide_password=False)
    except SQLAlchemyError as error:
        if made is not None:
            raise
        shown = address.render_as_string(hide_password=True)
        raise SettingsError(f"the database {shown} does not answer; check that it runs") from error
    finally:
        if made is not None:
            with engine.connect() as server:
                server.execute(text(_DROP[made].format(name=name)))
        engine.dispose()
