"""Opens the store, and gives transactions that behave the same on SQLite and PostgreSQL."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import orjson
from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    Engine,
    Table,
    Text,
    any_,
    bindparam,
    create_engine,
    event,
    func,
    make_url,
    select,
    text,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError

from hub.errors import SettingsError
from hub.store.tables import metadata

Row = Mapping[str, Any]

Result = TypeVar("Result")

#: How often a transaction is tried that others stand in the way of.
_ATTEMPTS = 5
#: PostgreSQL's names for: deadlock, not serializable, unique constraint violated.
_IN_THE_WAY = frozenset(("40P01", "40001", "23505"))
#: Seconds a writer waits for another one on SQLite.
_BUSY_TIMEOUT = 60


class Store:
    """The database. One transaction a page; nothing here knows what the rows mean."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.embedded = engine.dialect.name == "sqlite"
        self._beside: dict[int, Store] = {}
        self._closing: list[Callable[[], None]] = []
        self._writing = threading.local()

    @property
    def writing(self) -> bool:
        """Says whether this thread has a writing transaction open."""
        return bool(getattr(self._writing, "depth", 0))

    def beside(self, seconds: int) -> Store:
        """Opens the same database once more, for what must not wait longer than these seconds."""
        if seconds not in self._beside:
            self._beside[seconds] = Store(self._again(seconds))
        return self._beside[seconds]

    def _again(self, seconds: int) -> Engine:
        if self.embedded:
            return _sqlite(str(self.engine.url.database), patience=seconds)
        address = self.engine.url.render_as_string(hide_password=False)
        return _postgresql(address, patience=seconds)

    def before_close(self, call: Callable[[], None]) -> None:
        """Has something done while the store still answers."""
        self._closing.append(call)

    @contextmanager
    def begin(self, *, durable: bool = False) -> Iterator[Connection]:
        """Opens a writing transaction; on SQLite it is the only one.

        `durable` survives a power cut, which reading again cannot replace: intents and nudges.
        """
        with self.engine.connect() as tx:
            if self.embedded:
                tx.execution_options(begin="BEGIN IMMEDIATE", durable=durable)
            with tx.begin():
                self._writing.depth = getattr(self._writing, "depth", 0) + 1
                try:
                    yield tx
                finally:
                    self._writing.depth -= 1

    def transact(self, work: Callable[[Connection], Result]) -> Result:
        """Does work in a writing transaction, and again when another one stood in its way.

        The work may run several times: what it does to anything but `tx` must bear that.
        """
        for _ in range(_ATTEMPTS - 1):
            try:
                with self.begin() as tx:
                    return work(tx)
            except DBAPIError as error:
                # The winner has committed by now: the loser sees what it did.
                if getattr(error.orig, "sqlstate", None) not in _IN_THE_WAY:
                    raise
        with self.begin() as tx:
            return work(tx)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Opens a reading transaction that blocks nobody."""
        with self.engine.connect() as tx:
            tx.execution_options(begin="BEGIN")
            with tx.begin():
                yield tx

    def create(self) -> None:
        """Creates the tables that are missing, for tests; `hub.store.migrate` does it for good."""
        with self.begin(durable=True) as tx:
            lock_identities(tx, "tables")
            metadata.create_all(tx)

    def close(self) -> None:
        """Gives the connections back."""
        while self._closing:
            self._closing.pop()()
        for one in self._beside.values():
            one.close()
        self.engine.dispose()


def open_store(url: str) -> Store:
    """Opens the store named by a SQLAlchemy address (or a plain path: SQLite).

    Raises: SettingsError when the address is not one or the database does not answer.
    """
    try:
        engine = _sqlite(url) if _is_sqlite(url) else _postgresql(url)
    except (ArgumentError, ValueError):
        # from None: the address may hold a password.
        raise SettingsError(
            "`database:` in tulay.yaml is not an address: use sqlite:///tulay.db or"
            " postgresql://user:password@host/name"
        ) from None
    try:
        with engine.connect() as probe:
            probe.execute(text("SELECT 1"))
    except OperationalError as error:
        shown = engine.url.render_as_string(hide_password=True)
        raise SettingsError(
            f"the database {shown} does not answer: {_first_line(error)}; check `database:` in"
            " tulay.yaml and that the server runs"
        ) from error
    return Store(engine)


def _is_sqlite(url: str) -> bool:
    return "://" not in url or url.startswith("sqlite")


def _sqlite(url: str, *, patience: int = _BUSY_TIMEOUT) -> Engine:
    path = url.removeprefix("sqlite://").removeprefix("/") if "://" in url else url
    if path in ("", ":memory:"):
        raise SettingsError("`database:` names no file: use sqlite:///tulay.db")
    folder = Path(path).parent
    if not folder.is_dir():
        raise SettingsError(f"the folder {folder} of the database does not exist: create it")
    # hide_parameters: customer data must not stand in errors, which end in logs.
    engine = create_engine(
        f"sqlite:///{path}", connect_args={"timeout": patience}, hide_parameters=True
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # SQLAlchemy says BEGIN, not the driver
    _use_wal(connection)
    for pragma in ("cache_size=-16000", "wal_autocheckpoint=4000"):
        connection.execute(f"PRAGMA {pragma}")


def _use_wal(connection: Any) -> None:
    """Switches to the write-ahead log; when several processes do so at once, some must wait."""
    for _ in range(_BUSY_TIMEOUT * 10):
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
            time.sleep(0.1)
        else:
            return
    connection.execute("PRAGMA journal_mode=WAL")


def _begin_sqlite(tx: Connection) -> None:
    options = tx.get_execution_options()
    level = "FULL" if options.get("durable") else "NORMAL"
    if tx.info.get("synchronous") != level:
        tx.exec_driver_sql(f"PRAGMA synchronous={level}")
        tx.info["synchronous"] = level
    tx.exec_driver_sql(options.get("begin", "BEGIN"))


def _postgresql(url: str, *, patience: int | None = None) -> Engine:
    address = make_url(url)
    if address.get_backend_name() != "postgresql":
        raise SettingsError(
            f"the database address {address.render_as_string(hide_password=True)!r} is neither"
            " SQLite nor PostgreSQL: use sqlite:///tulay.db or postgresql://user:password@host/name"
        )
    if patience is None:
        return create_engine(
            address.set(drivername="postgresql+psycopg"),
            pool_size=5,
            pool_pre_ping=True,
            hide_parameters=True,
            connect_args={"connect_timeout": 10},
        )
    engine = create_engine(
        address.set(drivername="postgresql+psycopg"),
        pool_size=2,
        pool_timeout=patience,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args={"connect_timeout": max(2, patience)},  # libpq's least
    )

    def hurry(connection: Any, _record: Any) -> None:
        connection.autocommit = True
        connection.execute(f"SET statement_timeout = {patience * 1000:d}")
        connection.autocommit = False

    event.listen(engine, "connect", hurry)
    return engine


def _first_line(error: Exception) -> str:
    return str(error.__cause__ or error).strip().splitlines()[0]


def inserting(tx: Connection, table: Table) -> Any:
    """Returns an INSERT of the database's own kind, which knows ON CONFLICT."""
    if tx.dialect.name == "sqlite":
        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql  # loaded where it is spoken

    return postgresql.insert(table)


#: Starts of SQLite's error names and PostgreSQL's error codes -> what a person should know.
_TROUBLE = {
    "SQLITE_FULL": "its disk is full",
    "SQLITE_IOERR": "its disk cannot be written or read",
    "SQLITE_READONLY": "its file may not be written",
    "SQLITE_CANTOPEN": "its file cannot be opened",
    "SQLITE_BUSY": "another process holds it for too long",
    "SQLITE_CORRUPT": "its file is damaged",
    "53100": "its disk is full",
    "53": "its server is short of resources",
    "57P": "its server is stopping or starting",
    "25006": "its server only reads",
}


def trouble(error: DBAPIError) -> str:
    """Says in a few words what the database's trouble is, without any value or statement.

    >>> trouble(OperationalError("SELECT 1", {}, sqlite3.OperationalError("secret")))
    'the database does not answer (OperationalError)'
    """
    orig = error.orig
    name = str(getattr(orig, "sqlite_errorname", None) or getattr(orig, "sqlstate", None) or "")
    known = next((words for start, words in _TROUBLE.items() if name.startswith(start)), None)
    if known is not None:
        return f"the database does not work: {known}"
    away = error.connection_invalidated or isinstance(error, OperationalError)
    said = "does not answer" if away else "refused"
    # The name of a constraint is ours; the values that broke it are somebody's.
    constraint = getattr(getattr(orig, "diag", None), "constraint_name", None) or ""
    return f"the database {said} ({f'{name or type(orig).__name__} {constraint}'.strip()})"


def upsert(
    tx: Connection, table: Table, rows: Sequence[Row], *, key: Sequence[str], update: Sequence[str]
) -> None:
    """Inserts rows; where the key exists, sets the columns of `update` (none: leaves the row)."""
    if not rows:
        return
    statement = inserting(tx, table)
    if update:
        values = {name: statement.excluded[name] for name in update}
        statement = statement.on_conflict_do_update(index_elements=list(key), set_=values)
    else:
        statement = statement.on_conflict_do_nothing(index_elements=list(key))
    ordered = list(rows)
    if table.autoincrement_column is None:
        # In one order for everybody: two transactions with the same rows wait, not deadlock.
        # Where rows are numbered, their order means something and is left alone.
        ordered.sort(key=lambda row: [row[name] for name in key])
    tx.execute(statement, ordered)


def add_rows(
    tx: Connection, table: Table, rows: Sequence[Row], *, known_is_fine: bool = False
) -> None:
    """Inserts many rows with the same keys by the driver's own loop, a third of the usual cost."""
    if not rows:
        return
    columns = [table.c[name] for name in rows[0]]
    processors = [c.type.dialect_impl(tx.dialect).bind_processor(tx.dialect) for c in columns]
    convert = [(i, process) for i, process in enumerate(processors) if process is not None]
    mark = "?" if tx.dialect.name == "sqlite" else "%s"
    names = ", ".join(column.name for column in columns)
    marks = ", ".join([mark] * len(columns))
    conflict = " ON CONFLICT DO NOTHING" if known_is_fine else ""
    tuples = []
    for row in rows:
        values = list(row.values())
        for i, process in convert:
            if values[i] is not None:
                values[i] = process(values[i])
        tuples.append(tuple(values))
    # Names come from the table's definition, never from data.
    statement = f"INSERT INTO {table.name} ({names}) VALUES ({marks}){conflict}"  # noqa: S608
    tx.exec_driver_sql(statement, tuples)


def among(tx: Connection, column: ColumnElement[Any], values: Iterable[Any]) -> ColumnElement[bool]:
    """Returns `column IN values` as one parameter: no limit on their number, one cached plan."""
    listed = list(values)
    if tx.dialect.name == "sqlite":
        text_of = bindparam(None, orjson.dumps(listed).decode(), type_=Text)
        return column.in_(select(func.json_each(text_of).table_valued("value").c.value))
    return column == any_(bindparam(None, listed, type_=ARRAY(column.type)))


def lock_identities(tx: Connection, entity: str) -> None:
    """Lets only one transaction at a time decide who is who in an entity (SQLite: always so)."""
    if tx.dialect.name == "postgresql":
        tx.execute(
            text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"),
            {"name": f"tulay:{entity}"},
        )
