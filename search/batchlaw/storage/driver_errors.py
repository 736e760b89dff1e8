"""What the errors of the database drivers mean: whether waiting mends them.

SQLite's have a code, PostgreSQL's an SQLSTATE, and MySQL's and MariaDB's a number. PostgreSQL's lack it where no
connection was made; there the text decides.
"""

import sqlite3

from sqlalchemy.exc import DBAPIError

_SQLITE_PASSING = {
    sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_SCHEMA,
}  # fmt: skip
# Classes of https://www.postgresql.org/docs/current/errcodes-appendix.html: connection, rollback, resources, lock,
# operator intervention. Of the resources a full disk stays.
_POSTGRES_PASSING, _POSTGRES_DISK_FULL = ("08", "40", "53", "55", "57"), "53100"
_POSTGRES_READ_ONLY = "25006"
_POSTGRES_TAKEN = ("53300", "55P03")  # connections, a lock
# https://mariadb.com/kb/en/mariadb-error-codes/. Deadlock, lock timeout, changed row, shutdown, interrupted, killed,
# network; Galera is not ready.
_MYSQL_PASSING = {1020, 1047, 1053, 1080, 1152, 1158, 1159, 1160, 1161, 1184, 1205, 1213, 1317, 1927, 4031}
_MYSQL_TAKEN = {1040, 1203, 1205, 1226}  # connections, a lock
_MYSQL_READ_ONLY = {1290, 1792, 1836}
_MYSQL_TOO_LARGE = {1118, 1153}  # a row, a packet
_MYSQL_OF_CLIENT = 2000  # from here on, codes are of lost and refused connections
_NEVER_CONNECTS = ("authentication failed", "does not exist", "no pg_hba.conf entry", "not permitted", "invalid ")
_CROWDED = ("too many", "remaining connection slots", "no more connections allowed")


def driver_error(error: BaseException) -> BaseException | None:
    """The driver's own error behind one of SQLAlchemy or Optuna."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, DBAPIError):
        cause = cause.__cause__
    return cause.orig if isinstance(cause, DBAPIError) else None


def may_pass(error: BaseException) -> bool:
    """Whether the same statement may succeed later."""
    if is_taken(error) or is_read_only(error):
        return True
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", 0) & 0xFF in _SQLITE_PASSING
    if _is_mysql(error):
        number = _number(error)
        return number in _MYSQL_PASSING or number >= _MYSQL_OF_CLIENT or number == 0  # 0: used after it was lost
    state = _state(error)
    if state is not None:
        return state.startswith(_POSTGRES_PASSING) and state != _POSTGRES_DISK_FULL
    lost = type(error).__name__ in ("OperationalError", "ConnectionTimeout", "InterfaceError")
    return lost and not any(words in str(error).lower() for words in _NEVER_CONNECTS)


def is_taken(error: BaseException) -> bool:
    """Whether others have all connections, or a lock."""
    if _is_mysql(error):
        return _number(error) in _MYSQL_TAKEN
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    return _state(error) in _POSTGRES_TAKEN or any(words in str(error).lower() for words in _CROWDED)


def is_read_only(error: BaseException) -> bool:
    """Whether a server takes no writes, as while another takes its place. A SQLite file that is read-only stays so."""
    return _number(error) in _MYSQL_READ_ONLY if _is_mysql(error) else _state(error) == _POSTGRES_READ_ONLY


def is_of_value(error: BaseException) -> bool:
    """Whether the database cannot hold a value: it is too long, or out of the column's range."""
    too_large = _is_mysql(error) and _number(error) in _MYSQL_TOO_LARGE
    return too_large or type(error).__name__ == "DataError" or (_state(error) or "").startswith("22")


def _is_mysql(error: BaseException) -> bool:
    return type(error).__module__.startswith("pymysql")


def _number(error: BaseException) -> int:
    return error.args[0] if error.args and isinstance(error.args[0], int) else 0


def _state(error: BaseException) -> str | None:
    return getattr(error, "sqlstate", None)
