"""Opening a database. No other module does."""

import importlib.util
import math
import sqlite3
import time
import weakref
from functools import partial
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy import create_engine, event
from sqlalchemy.engine import URL, Dialect, make_url
from sqlalchemy.exc import ArgumentError, DisconnectionError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from batchlaw.errors import StorageError
from batchlaw.storage.creation import create_missing_tables
from batchlaw.storage.optuna_internals import announce, open_tables, stored_schema
from batchlaw.storage.retries import reason_of, retry

# By backend: SQLAlchemy's name of the driver, its module, and the extra of this distribution that installs it.
_DRIVERS = {
    "sqlite": ("sqlite", "sqlite3", ""),
    "postgresql": ("postgresql+psycopg", "psycopg", "postgres"),
    "mysql": ("mysql+pymysql", "pymysql", "mysql"),
    "mariadb": ("mysql+pymysql", "pymysql", "mysql"),
}
_BUSY_SECONDS = 30.0  # how long SQLite waits for the lock of another process
_IDLE_SECONDS = 0.5  # a connection that was unused for longer is tested before its next use
# Seconds (`tcp_user_timeout`: milliseconds) after which a dead connection is noticed. TCP's default is 15 minutes.
_NETWORK_TIMEOUTS: dict[str, dict[str, Any]] = {
    "postgresql": {
        "connect_timeout": 10, "keepalives_idle": 15, "keepalives_interval": 5, "keepalives_count": 3,
        "tcp_user_timeout": 30_000,
    },
    "mysql": {"connect_timeout": 10, "read_timeout": 60, "write_timeout": 60},
}  # fmt: skip


def redacted(storage_url: str) -> str:
    """The URL with its password replaced by `***`."""
    try:
        return make_url(storage_url).render_as_string(hide_password=True)
    except ArgumentError:
        return "(not a database URL)"


def absolute(storage_url: str) -> str:
    """The URL with the path of a SQLite file made absolute, so that it is valid in any working folder."""
    url = _parsed(storage_url)
    if url.get_backend_name() == "sqlite" and url.database:
        url = url.set(database=str(Path(url.database).resolve()))
    return url.render_as_string(hide_password=False)


def open_storage(storage_url: str, *, create: bool = False, any_schema: bool = False) -> RDBStorage:
    """Open a database.

    Args:
        storage_url: a URL of SQLAlchemy, such as `sqlite:///batchlaw.db`.
        create: make the SQLite file and Optuna's tables where they are missing.
        any_schema: accept Optuna's tables of any version, in order to upgrade them.

    Raises:
        StorageError: the URL is wrong, a driver is missing, there is no study, or the database cannot be reached.
    """
    url = _parsed(storage_url)
    if url.get_backend_name() == "sqlite":
        _check_sqlite_file(url, create)
        engine_kwargs: dict[str, Any] = {"connect_args": {"timeout": _BUSY_SECONDS}}
    else:
        engine_kwargs = {
            "pool_size": 2, "max_overflow": 2, "pool_recycle": 1800,
            "connect_args": _NETWORK_TIMEOUTS[url.get_backend_name()],
        }  # fmt: skip
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    text = url.render_as_string(hide_password=False)
    announce("storage", "sampler", "pruner")
    try:
        if create:
            retry(lambda: _create_tables(url, engine_kwargs), 5)
        schema = retry(lambda: _schema_of_studies(url, storage_url), 2)
        storage = retry(lambda: open_tables(text, engine_kwargs, schema=schema, any_schema=any_schema), 2)
    except (SQLAlchemyError, StorageInternalError, RuntimeError) as error:
        raise StorageError(reason_of(error), argument="storage", got=redacted(storage_url)) from None
    event.listen(storage.engine, "checkin", _note_checkin)
    event.listen(storage.engine, "checkout", partial(_ping_if_idle, storage.engine.dialect))
    weakref.finalize(storage, storage.engine.dispose)  # at exit at the latest: SQLite then removes its log
    if url.get_backend_name() == "sqlite":
        event.listen(storage.engine, "connect", _tune_sqlite)
    storage.engine.dispose()  # the connections opened so far lack these listeners
    return storage


def _parsed(storage_url: str) -> URL:
    try:
        url = make_url(storage_url)
    except ArgumentError:
        raise StorageError(
            "must be a database URL, such as sqlite:///batchlaw.db or postgresql+psycopg://user@host/db",
            argument="storage",
        ) from None
    backend, refused = url.get_backend_name(), partial(StorageError, argument="storage", got=redacted(storage_url))
    if backend not in _DRIVERS:
        raise refused(f"{backend!r} must be one of sqlite, postgresql, mysql")
    drivername, module, extra = _DRIVERS[backend]
    if importlib.util.find_spec(module) is None:
        raise refused(f"needs {module}; pip install 'batchlaw[{extra}]'")
    return url.set(drivername=drivername)


def _create_tables(url: URL, engine_kwargs: dict[str, Any]) -> None:
    engine = create_engine(url, **engine_kwargs)
    try:
        create_missing_tables(engine)
    finally:
        engine.dispose()


def _schema_of_studies(url: URL, storage_url: str) -> str:
    """The version of Optuna's tables, which a database must have."""
    engine = create_engine(url)
    try:
        schema = stored_schema(engine)
    finally:
        engine.dispose()
    if schema is None:
        raise StorageError("holds no study", argument="storage", got=redacted(storage_url), remedy="Study.create")
    return schema


def _check_sqlite_file(url: URL, create: bool) -> None:
    refused = partial(StorageError, argument="storage", got=str(url))
    if not url.database or url.database == ":memory:":
        raise refused("must name a file, which several processes can share, such as sqlite:///batchlaw.db")
    file = Path(url.database)
    if not create and not file.is_file():
        raise refused("there is no such database", remedy="Study.create")
    if not file.parent.is_dir():
        raise refused(f"the folder {file.parent} does not exist")


def _tune_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    """For many short writers: 6 processes × 15 trials × 10 reports took 3.5 s, and 25.1 s by default (measured)."""
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")


def _note_checkin(_connection: Any, record: ConnectionPoolEntry) -> None:
    record.info["idle_since"] = time.monotonic()


def _ping_if_idle(dialect: Dialect, connection: Any, record: ConnectionPoolEntry, _proxy: object) -> None:
    """Replace a connection that broke while it was idle.

    SQLAlchemy's own `pool_pre_ping` would test a connection before every use, a dozen times a trial.
    """
    if time.monotonic() - record.info.get("idle_since", math.inf) < _IDLE_SECONDS:
        return
    try:
        alive = dialect.do_ping(connection)
    except dialect.loaded_dbapi.Error:
        alive = False
    if not alive:
        raise DisconnectionError
