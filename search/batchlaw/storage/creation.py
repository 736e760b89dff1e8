"""The tables of a new database, made by one process at a time."""

from functools import cache

from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy import Connection, Engine, MetaData
from sqlalchemy.exc import DBAPIError

from batchlaw.storage.migrations import run_migrations
from batchlaw.storage.one_transaction import one_transaction
from batchlaw.storage.retries import reason_of
from batchlaw.storage.tables import schema_version


def create_missing_tables(engine: Engine) -> None:
    """Make Optuna's tables and batchlaw's where they are missing.

    batchlaw's version is written last: where it is missing, a process was killed on the way, and all is looked through.

    Raises:
        StorageInternalError: a program without batchlaw makes the same tables just now; to be repeated.
    """
    if schema_version(engine):
        return
    try:
        with one_transaction(engine) as (connection, storage):
            if storage.get_current_version() == storage.get_head_version():
                _create_indexes(connection)
            run_migrations(connection)
    except DBAPIError as error:
        if any(words in reason_of(error).lower() for words in ("already exists", "duplicate")):
            raise StorageInternalError("Another process makes the same tables.") from error
        raise


def _create_indexes(connection: Connection) -> None:
    """Create the indexes that are missing because a process was killed after CREATE TABLE; Optuna would not."""
    for each in optunas_tables().tables.values():
        for index in each.indexes:
            index.create(connection, checkfirst=True)


@cache
def optunas_tables() -> MetaData:
    """Optuna's tables, as Optuna makes them in an empty database in memory."""
    empty, found = RDBStorage("sqlite://"), MetaData()
    found.reflect(empty.engine)
    empty.engine.dispose()
    return found
