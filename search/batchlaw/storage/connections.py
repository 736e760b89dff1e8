"""Connections of an engine: how many, for how long, and when one is replaced."""

import math
import sqlite3
import time
from functools import partial
from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import URL, Dialect, ExceptionContext
from sqlalchemy.exc import DisconnectionError, OperationalError
from sqlalchemy.pool import ConnectionPoolEntry

from batchlaw.storage.driver_errors import is_read_only

_BUSY_SECONDS = 30.0  # how long SQLite waits for the lock of another process
_IDLE_SECONDS = 0.5  # a connection that was unused for longer is tested before its next use
# Seconds (`tcp_user_timeout`: milliseconds) after which a dead connection is noticed. TCP's default is 15 minutes.
# Without prepared statements, as PgBouncer gives each transaction another connection to the server.
_NETWORK: dict[str, dict[str, Any]] = {
    "postgresql": {
        "connect_timeout": 10, "keepalives_idle": 15, "keepalives_interval": 5, "keepalives_count": 3,
        "tcp_user_timeout": 30_000, "prepare_threshold": None,
    },
    "mysql": {"connect_timeout": 10, "read_timeout": 60, "write_timeout": 60},
}  # fmt: skip


def engine_options(url: URL) -> dict[str, Any]:
    """The arguments of SQLAlchemy's `create_engine`. Between its statements a process keeps one connection."""
    backend = url.get_backend_name()
    if backend == "sqlite":
        return {"connect_args": {"timeout": _BUSY_SECONDS}}
    return {"pool_size": 1, "max_overflow": 3, "pool_recycle": 1800, "connect_args": _NETWORK[backend]}


def watch(engine: Engine) -> None:
    """Replace the connections of an engine that broke, and those to a server that takes no writes any more."""
    event.listen(engine, "checkin", _note_checkin)
    event.listen(engine, "checkout", partial(_ping_if_idle, engine.dialect))
    event.listen(engine, "handle_error", _leave_if_useless)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _tune_sqlite)


def autocommit(engine: Engine) -> Connection:
    """A connection on which each statement is a transaction; this saves two round trips to the server."""
    return connected(engine, "AUTOCOMMIT")


def connected(engine: Engine, isolation_level: Any) -> Connection:
    """A connection with an isolation level, whose statement SQLAlchemy leaves outside of its own errors.

    Raises:
        OperationalError: the connection is lost.
    """
    connection = engine.connect()
    try:
        return connection.execution_options(isolation_level=isolation_level)
    except engine.dialect.loaded_dbapi.Error as error:
        connection.invalidate()
        connection.close()
        raise OperationalError(f"isolation level {isolation_level}", None, error) from error


def _tune_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    """For many short writers: 6 processes × 15 trials × 10 reports took 3.5 s, and 25.1 s by default (measured)."""
    connection.text_factory = partial(str, encoding="utf-8", errors="replace")  # others may write other bytes
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


def _leave_if_useless(context: ExceptionContext) -> None:
    """After a failover the connections lead to the old server, which is a replica now.

    A SQLite connection that cannot read or write may have had its descriptor closed by a training function.
    """
    error = context.original_exception
    if is_read_only(error) or getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_IOERR:
        context.is_disconnect = True
