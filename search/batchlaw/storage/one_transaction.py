"""One transaction that holds Optuna's calls and batchlaw's, for one process at a time.

Optuna's functions commit at every step, so that a process that is killed between two steps leaves half a study. Here
Optuna works on a connection whose transaction is ours: its commits do nothing, and the end of the transaction writes
everything or nothing. Only public calls of Optuna and SQLAlchemy are used.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy import URL, Connection, Engine, event
from sqlalchemy.dialects import plugins
from sqlalchemy.engine import CreateEnginePlugin, ExceptionContext
from sqlalchemy.pool import StaticPool

_WAIT_SECONDS = 120  # on a busy machine many processes wait for each other's tables
# The lock ends with the transaction, on MySQL with the connection, and in any case with the process.
# PostgreSQL's belongs to one database, and has a number: "batchlaw".
_LOCKS = {
    "sqlite": ["BEGIN IMMEDIATE"],  # else Python's driver begins at the first INSERT
    "postgresql": [
        f"SET LOCAL lock_timeout = '{_WAIT_SECONDS}s'", f"SELECT pg_advisory_xact_lock({0x62617463686C6177})"
    ],
    "mysql": [f"SELECT get_lock(concat('batchlaw ', md5(database())), {_WAIT_SECONDS})"],
}  # fmt: skip


@contextmanager
def exclusive(engine: Engine) -> Iterator[Connection]:
    """A transaction that one process at a time has. It is committed at the end; an exception rolls it back.

    MySQL and MariaDB commit whenever a table is made.

    Raises:
        StorageInternalError: another process has had it for too long.
    """
    with engine.connect() as connection:
        connection.detach()  # it is closed at the end, so that MySQL's lock ends
        for statement in _LOCKS[engine.dialect.name]:
            found = connection.exec_driver_sql(statement)
            if found.returns_rows and found.scalar() == 0:
                raise StorageInternalError(f"another process has had the database's lock for {_WAIT_SECONDS} s")
        yield connection
        connection.commit()


@contextmanager
def one_transaction(engine: Engine) -> Iterator[tuple[Connection, RDBStorage]]:
    """An exclusive transaction, and in it Optuna's storage, which makes Optuna's tables if they are missing.

    Raises:
        StorageInternalError: a statement failed, and may succeed later. Optuna ignores some of these errors.
    """
    failures: list[BaseException] = []
    url = engine.url.render_as_string(hide_password=False)
    with exclusive(engine) as connection:
        held: dict[str, Any] = {
            "creator": lambda: connection.connection.dbapi_connection, "poolclass": StaticPool,
            "pool_reset_on_return": None, "plugins": [_NAME], "failures": failures,
        }  # fmt: skip
        storage = RDBStorage(url, engine_kwargs=held, skip_compatibility_check=True)
        try:
            yield connection, storage
        finally:
            storage.remove_session()
        if failures:
            raise StorageInternalError("A statement failed.") from failures[0]


class _WithinOurs(CreateEnginePlugin):
    """Makes an engine leave the end of the transaction to us, and tell us of errors."""

    def __init__(self, url: URL, kwargs: dict[str, Any]) -> None:
        super().__init__(url, kwargs)
        self._failures: list[BaseException] = kwargs.pop("failures")

    def update_url(self, url: URL) -> URL:
        return url

    def engine_created(self, engine: Engine) -> None:
        engine.dialect.do_commit = engine.dialect.do_rollback = _nothing  # type: ignore
        event.listen(engine, "handle_error", self._note)

    def _note(self, context: ExceptionContext) -> None:
        if (context.statement or "").startswith("DESCRIBE"):  # SQLAlchemy asks MySQL so whether a table exists
            return
        self._failures.append(context.sqlalchemy_exception or context.original_exception)


def _nothing(_connection: object) -> None:
    """In place of a commit and of a rollback."""


_NAME = "batchlaw_one_transaction"
plugins.register(_NAME, __name__, _WithinOurs.__name__)
