"""The only place that opens a database."""

import importlib.util
import math
import sqlite3
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.storages._cached_storage import _CachedStorage
from sqlalchemy import column, create_engine, event, inspect, select, table
from sqlalchemy.engine import URL, Dialect, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    DisconnectionError,
    InterfaceError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.pool import ConnectionPoolEntry
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

from batchlaw.errors import StorageError, WorkFailed
from batchlaw.storage.cache import cached_reads
from batchlaw.storage.rows import RowStorage

# Dialect, driver as SQLAlchemy spells it, module, extra of this distribution.
_DRIVERS = {
    "sqlite": ("sqlite", "sqlite3", ""),
    "postgresql": ("postgresql+psycopg", "psycopg", "postgres"),
    "mysql": ("mysql+pymysql", "pymysql", "mysql"),
    "mariadb": ("mysql+pymysql", "pymysql", "mysql"),
}
_BUSY_SECONDS = 30.0
_REST_SECONDS = 0.5  # of a connection, after which it may have been cut
OPTUNAS = "v3.2.0.a"  # of its tables, as Optuna 5.0 makes them; of other versions Optuna itself judges
# How the drivers notice a link that was cut without a word, which TCP by itself takes a quarter of an hour for.
_CUT_OFF: dict[str, dict[str, Any]] = {
    "postgresql": {
        "connect_timeout": 10, "keepalives_idle": 15, "keepalives_interval": 5, "keepalives_count": 3,
        "tcp_user_timeout": 30_000,
    },
    "mysql": {"connect_timeout": 10, "read_timeout": 60, "write_timeout": 60},
}  # fmt: skip
PATIENCE_SECONDS = 300.0  # that a worker waits for a database that is away, such as for a restart
# What waiting does not mend, in the words of SQLite, PostgreSQL and MySQL.
_PERMANENT = (
    "disk is full", "readonly database", "read-only", "no such table", "malformed", "not a database", "no space left",
    "password authentication failed", "access denied", "does not exist", "unknown database",
)  # fmt: skip

Result = TypeVar("Result")


def redacted(storage_url: str) -> str:
    """The URL as it may be shown: without its password."""
    try:
        return make_url(storage_url).render_as_string(hide_password=True)
    except ArgumentError:
        return "(not a database URL)"


def absolute(storage_url: str) -> str:
    """The URL of the same database from any folder."""
    url = _checked(storage_url)
    if url.get_backend_name() == "sqlite" and url.database:
        url = url.set(database=str(Path(url.database).resolve()))
    return url.render_as_string(hide_password=False)


def open_storage(storage_url: str, *, create: bool = False, any_schema: bool = False) -> RDBStorage:
    """Open the database, creating Optuna's tables where `create` allows it, and of any version with `any_schema`.

    Raises:
        StorageError: the URL is wrong, a driver is missing, or the database cannot be reached.
    """
    url = _checked(storage_url)
    if url.get_backend_name() == "sqlite":
        _check_sqlite_file(url, create)
        engine_kwargs: dict[str, Any] = {"connect_args": {"timeout": _BUSY_SECONDS}}
    else:
        engine_kwargs = {
            "pool_size": 2, "max_overflow": 2, "pool_recycle": 1800,
            "connect_args": _CUT_OFF[url.get_backend_name()],
        }  # fmt: skip
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    text = url.render_as_string(hide_password=False)
    known = False
    try:
        if not create:
            known = _persistently(lambda: _optunas_version(url, storage_url), 2) == OPTUNAS and not any_schema
        storage = _persistently(
            lambda: RowStorage(text, engine_kwargs, known=known, any_schema=any_schema), 5 if create else 2
        )
    except (SQLAlchemyError, StorageInternalError, RuntimeError) as error:
        raise StorageError(f"--storage {redacted(storage_url)}: {_reason(error)}") from None
    event.listen(storage.engine, "checkin", _note_rest)
    event.listen(storage.engine, "checkout", partial(_ping_after_rest, storage.engine.dialect))
    weakref.finalize(storage, storage.engine.dispose)  # at the latest at the exit, where SQLite clears its log away
    if url.get_backend_name() == "sqlite":
        event.listen(storage.engine, "connect", _tune_sqlite)
        storage.engine.dispose()  # so that the connections made so far are tuned as well
    return storage


def with_retries(work: Callable[[], Result], *, seconds: float = PATIENCE_SECONDS) -> Result:
    """Do `work`, again after a lock, a deadlock or a dropped connection, with random waits, for a bounded time.

    Raises:
        WorkFailed: the database failed for good, or for longer.
    """
    try:
        return _persistently(work, seconds)
    except (SQLAlchemyError, StorageInternalError) as error:
        raise WorkFailed(f"database: {_reason(error)}") from error


@contextmanager
def batched_writes(trial: optuna.Trial) -> Iterator[None]:
    """Look at the trials once, and write at the end in one transaction what is suggested, reported and noted of one.

    Where the trial is ended meanwhile, it is written with its end. Writing is retried; after an error, nothing is.

    Args:
        trial: live.

    Raises:
        WorkFailed: the database failed for good, or for long.
    """
    storage = trial.storage._backend if isinstance(trial.storage, _CachedStorage) else trial.storage
    if not isinstance(storage, RowStorage):
        yield
        return
    with cached_reads(), storage.pending() as rows:
        yield
    if rows:
        with_retries(lambda: storage.write(trial._trial_id, rows))


def _persistently(work: Callable[[], Result], seconds: float) -> Result:
    retrying = Retrying(
        retry=retry_if_exception(_may_pass),
        wait=wait_random_exponential(multiplier=0.05, max=2.0),
        stop=stop_after_delay(seconds),
        reraise=True,
    )
    return retrying(work)


def _may_pass(error: BaseException) -> bool:
    """Whether the same call may succeed later."""
    if not isinstance(error, StorageInternalError | OperationalError | InterfaceError):
        return False
    reason = _reason(error).lower()
    return not any(words in reason for words in _PERMANENT)


def _checked(storage_url: str) -> URL:
    try:
        url = make_url(storage_url)
    except ArgumentError:
        raise StorageError(
            "--storage: not a database URL; give one such as sqlite:///batchlaw.db or postgresql+psycopg://user@host/db"
        ) from None
    backend = url.get_backend_name()
    if backend not in _DRIVERS:
        raise StorageError(f"--storage {redacted(storage_url)}: {backend!r} must be one of sqlite, postgresql, mysql")
    drivername, module, extra = _DRIVERS[backend]
    if importlib.util.find_spec(module) is None:
        raise StorageError(f"--storage {redacted(storage_url)}: needs {module}; pip install 'batchlaw[{extra}]'")
    return url.set(drivername=drivername)


def _optunas_version(url: URL, storage_url: str) -> str | None:
    """Of Optuna's tables, which Optuna would make in any database that it opens; None where it is not told."""
    engine = create_engine(url)
    try:
        tables = inspect(engine).get_table_names()
        if "studies" not in tables:
            raise StorageError(
                f"--storage {redacted(storage_url)}: holds no study; `batchlaw run STUDY.toml` makes one"
            )
        if "alembic_version" not in tables:
            return None
        with engine.connect() as connection:
            return connection.scalar(select(column("version_num")).select_from(table("alembic_version")))
    finally:
        engine.dispose()


def _check_sqlite_file(url: URL, create: bool) -> None:
    if not url.database or url.database == ":memory:":
        raise StorageError("--storage sqlite: needs a file, which several processes can share; sqlite:///batchlaw.db")
    file = Path(url.database)
    if not create and not file.is_file():
        raise StorageError(f"--storage {url}: there is no such database; `batchlaw run STUDY.toml` makes one")
    if not file.parent.is_dir():
        raise StorageError(f"--storage {url}: the folder {file.parent} does not exist")


def _tune_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    """Many short writers: 6 processes × 15 trials × 10 reports took 25.1 s on the defaults and 3.5 s so (measured)."""
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")


def _note_rest(_connection: Any, record: ConnectionPoolEntry) -> None:
    record.info["rests since"] = time.monotonic()


def _ping_after_rest(dialect: Dialect, connection: Any, record: ConnectionPoolEntry, _proxy: object) -> None:
    """Replace a link that was cut. SQLAlchemy would look at each use, a dozen times a trial within milliseconds."""
    if time.monotonic() - record.info.get("rests since", math.inf) < _REST_SECONDS:
        return
    try:
        alive = dialect.do_ping(connection)
    except dialect.loaded_dbapi.Error:
        alive = False
    if not alive:
        raise DisconnectionError


def _reason(error: BaseException) -> str:
    """The driver's own words on one line, if there are any."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, DBAPIError):
        cause = cause.__cause__
    source = cause.orig if isinstance(cause, DBAPIError) and cause.orig is not None else error
    return " ".join(str(source).split())
