"""Opens the store; its transactions behave the same on SQLite and PostgreSQL."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import orjson
from sqlalchemy import (
    ARRAY,
    Boolean,
    ColumnElement,
    Connection,
    Dialect,
    Engine,
    Executable,
    Table,
    Text,
    TypeDecorator,
    bindparam,
    create_engine,
    event,
    make_url,
    text,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.visitors import InternalTraversal
from sqlalchemy.types import TypeEngine

from hub.errors import SettingsError
from hub.store.tables import metadata

Row = Mapping[str, Any]

Result = TypeVar("Result")

#: How often a transaction is attempted that conflicts with others.
_ATTEMPTS = 5
#: SQLSTATE of a deadlock, a serialization failure and a unique violation.
_IN_THE_WAY = frozenset(("40P01", "40001", "23505"))
#: Seconds that a writer waits for another one on SQLite.
_BUSY_TIMEOUT = 60


class Store:
    """The database. A transaction is a page; the engine does not know what the rows mean."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.embedded = engine.dialect.name == "sqlite"
        self._beside: dict[int, Store] = {}
        self._closing: list[Callable[[], None]] = []
        self._writing = threading.local()
        self._opening = threading.Lock()

    @property
    def writing(self) -> bool:
        """True if this thread has an open writing transaction."""
        return bool(getattr(self._writing, "depth", 0))

    def beside(self, seconds: int) -> Store:
        """Opens the same database a second time, with time-outs of a number of seconds."""
        with self._opening:  # of two opened at the same time, one would never be closed
            if seconds not in self._beside:
                self._beside[seconds] = Store(self._again(seconds))
            return self._beside[seconds]

    def _again(self, seconds: int) -> Engine:
        if self.embedded:
            return _sqlite(str(self.engine.url.database), patience=seconds)
        address = self.engine.url.render_as_string(hide_password=False)
        return _postgresql(address, patience=seconds)

    def before_close(self, call: Callable[[], None]) -> None:
        """Registers a call to be made on closing, while the store still works."""
        self._closing.append(call)

    @contextmanager
    def begin(self, *, durable: bool = False) -> Iterator[Connection]:
        """Opens a writing transaction; on SQLite it is the only one.

        `durable` survives a power cut: for intents and notifications, which cannot be read again.
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

    def transact(self, work: Callable[[Connection], Result], *, durable: bool = False) -> Result:
        """Runs `work` in a writing transaction, and again if it conflicts with another one.

        `durable` is as in `begin`. As `work` may run several times, all its effects except those on
        `tx` must be repeatable.
        """
        for _ in range(_ATTEMPTS - 1):
            try:
                with self.begin(durable=durable) as tx:
                    return work(tx)
            except DBAPIError as error:
                # The other transaction has committed: the next attempt sees its result.
                if getattr(error.orig, "sqlstate", None) not in _IN_THE_WAY:
                    raise
        with self.begin(durable=durable) as tx:
            return work(tx)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Opens a reading transaction, which blocks no other."""
        with self.engine.connect() as tx:
            tx.execution_options(begin="BEGIN")
            with tx.begin():
                yield tx

    def create(self) -> None:
        """Creates the missing tables, for tests; `hub.store.migrate` does it in production."""
        with self.begin(durable=True) as tx:
            lock_identities(tx, "tables")
            metadata.create_all(tx)

    def close(self) -> None:
        """Closes the connections."""
        while self._closing:
            self._closing.pop()()
        for one in self._beside.values():
            one.close()
        self.engine.dispose()


def open_store(url: str) -> Store:
    """Opens the store at a SQLAlchemy address (or a plain path: SQLite).

    Raises: SettingsError if the address is invalid or the database does not answer.
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
    # hide_parameters: customer data must not appear in errors, which end up in logs.
    engine = create_engine(
        f"sqlite:///{path}", connect_args={"timeout": patience}, hide_parameters=True
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # SQLAlchemy sends BEGIN, not the driver
    _use_wal(connection)
    for pragma in ("cache_size=-16000", "wal_autocheckpoint=4000", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _use_wal(connection: Any) -> None:
    """Switches to the write-ahead log; if several processes do so at once, some must wait."""
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
        connect_args={"connect_timeout": max(2, patience)},  # libpq's minimum
    )

    def hurry(connection: Any, _record: Any) -> None:
        connection.autocommit = True
        connection.execute(f"SET statement_timeout = {patience * 1000:d}")
        connection.autocommit = False

    event.listen(engine, "connect", hurry)
    return engine


def _first_line(error: Exception) -> str:
    return str(error.__cause__ or error).strip().splitlines()[0]


def inserting(dialect: str, table: Table) -> Any:
    """Returns an INSERT of the database's dialect, which supports ON CONFLICT."""
    if dialect == "sqlite":
        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql  # loaded only when used

    return postgresql.insert(table)


#: Prefixes of SQLite's error names and PostgreSQL's error codes -> the trouble in words.
_TROUBLE = {
    "SQLITE_FULL": "its disk is full",
    "SQLITE_IOERR": "its disk cannot be read or written",
    "SQLITE_READONLY": "its file is read-only",
    "SQLITE_CANTOPEN": "its file cannot be opened",
    "SQLITE_BUSY": "another process has locked it for too long",
    "SQLITE_CORRUPT": "its file is damaged",
    "53100": "its disk is full",
    "53": "its server is short of resources",
    "57P": "its server is stopping or starting",
    "25006": "its server is read-only",
}


def trouble(error: DBAPIError) -> str:
    """Returns a short description of a database error, without any value or statement.

    >>> trouble(OperationalError("SELECT 1", {}, sqlite3.OperationalError("secret")))
    'the database does not answer (OperationalError)'
    """
    orig = error.orig
    name = str(getattr(orig, "sqlite_errorname", None) or getattr(orig, "sqlstate", None) or "")
    known = next((words for start, words in _TROUBLE.items() if name.startswith(start)), None)
    if known is not None:
        return f"the database does not work: {known}"
    away = error.connection_invalidated or isinstance(error, OperationalError)
    verb = "does not answer" if away else "refused"
    # The name of a constraint is harmless; the values that broke it may be customer data.
    constraint = getattr(getattr(orig, "diag", None), "constraint_name", None) or ""
    return f"the database {verb} ({f'{name or type(orig).__name__} {constraint}'.strip()})"


def upsert(
    tx: Connection, table: Table, rows: Sequence[Row], *, key: Sequence[str], update: Sequence[str]
) -> None:
    """Inserts rows; where the key exists, sets the columns of `update` (none: keeps the row)."""
    if not rows:
        return
    ordered = list(rows)
    if table.autoincrement_column is None:
        # In a common order, so that two transactions with the same rows do not deadlock. In
        # numbered tables the order of rows is meaningful and stays.
        ordered.sort(key=lambda row: [row[name] for name in key])
    tx.execute(_upserting(tx.dialect.name, table, tuple(key), tuple(update)), ordered)


def fold(tx: Connection, statement: Executable, rows: Sequence[Row], *, key: Sequence[str]) -> None:
    """Inserts rows or folds them into existing ones.

    In one statement, because another process may clear between two. And in a common order, so that
    two transactions wait instead of deadlocking.
    """
    if rows:
        tx.execute(statement, sorted(rows, key=lambda row: [row[name] for name in key]))


@lru_cache(maxsize=256)
def _upserting(dialect: str, table: Table, key: Sequence[str], update: Sequence[str]) -> Any:
    statement = inserting(dialect, table)
    if not update:
        return statement.on_conflict_do_nothing(index_elements=list(key))
    values = {name: statement.excluded[name] for name in update}
    return statement.on_conflict_do_update(index_elements=list(key), set_=values)


def add_rows(
    tx: Connection, table: Table, rows: Sequence[Row], *, known_is_fine: bool = False
) -> None:
    """Inserts many rows with the same columns by the driver's own loop, at a third of the cost."""
    if not rows:
        return
    # Names come from the table's definition, never from data.
    conflict = " ON CONFLICT DO NOTHING" if known_is_fine else ""
    statement, convert = _adding(tx.dialect, table, tuple(rows[0]))
    tuples = []
    for row in rows:
        values = list(row.values())
        for i, process in convert:
            if values[i] is not None:
                values[i] = process(values[i])
        tuples.append(tuple(values))
    tx.exec_driver_sql(statement + conflict, tuples)


@lru_cache(maxsize=256)
def _adding(
    dialect: Dialect, table: Table, names: Sequence[str]
) -> tuple[str, list[tuple[int, Any]]]:
    """Returns an INSERT, and the converters of the values that need one, by index."""
    columns = [table.c[name] for name in names]
    processors = [c.type.dialect_impl(dialect).bind_processor(dialect) for c in columns]
    convert = [(i, process) for i, process in enumerate(processors) if process is not None]
    mark = "?" if dialect.name == "sqlite" else "%s"
    marks = ", ".join([mark] * len(columns))
    written = ", ".join(column.name for column in columns)
    return f"INSERT INTO {table.name} ({written}) VALUES ({marks})", convert  # noqa: S608


class _Listed(TypeDecorator[Iterable[Any]]):
    """Many values as one parameter: a JSON array for SQLite, an array for PostgreSQL."""

    impl = Text
    cache_ok = True

    def __init__(self, item: TypeEngine[Any]) -> None:
        super().__init__()
        self.item = item

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Returns the type of the parameter."""
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else ARRAY(self.item))

    def process_bind_param(self, value: Iterable[Any] | None, dialect: Dialect) -> Any:
        """Returns the values in the form that the database accepts."""
        listed = list(value or ())
        return orjson.dumps(listed).decode() if dialect.name == "sqlite" else listed


class _Among(ColumnElement[bool]):
    """`column IN values`, in the SQL of either database."""

    inherit_cache = True
    type = Boolean()
    _traverse_internals = [  # noqa: RUF012 - SQLAlchemy's way
        ("column", InternalTraversal.dp_clauseelement),
        ("values", InternalTraversal.dp_clauseelement),
    ]

    def __init__(self, column: ColumnElement[Any], values: ColumnElement[Any]) -> None:
        self.column, self.values = column, values

    def self_group(self, against: object | None = None) -> _Among:
        """Returns itself: SQLAlchemy's `... = 1` around it would hide the index from SQLite."""
        return self


@compiles(_Among, "sqlite")
def _among_of_json(element: _Among, compiler: SQLCompiler, **options: Any) -> str:
    column = compiler.process(element.column, **options)
    values = compiler.process(element.values, **options)
    return f"{column} IN (SELECT value FROM json_each({values}))"  # noqa: S608 - from SQLAlchemy


@compiles(_Among)
def _among_of_array(element: _Among, compiler: SQLCompiler, **options: Any) -> str:
    column = compiler.process(element.column, **options)
    return f"{column} = ANY ({compiler.process(element.values, **options)})"


def among(column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    """Returns `column IN parameter`, for any number of values with one cached plan."""
    return _Among(column, bindparam(name, type_=_Listed(column.type)))


def lock_identities(tx: Connection, entity: str) -> None:
    """Locks identity decisions in an entity for this transaction; SQLite has one writer anyway."""
    if tx.dialect.name == "postgresql":
        tx.execute(
            text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"),
            {"name": f"tulay:{entity}"},
        )
