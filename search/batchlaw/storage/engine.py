"""Opening a database. No other module does."""

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy import Engine, create_engine
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError

from batchlaw.errors import StorageError
from batchlaw.storage.address import check_sqlite_file, parsed, redacted
from batchlaw.storage.connections import engine_options, watch
from batchlaw.storage.creation import create_missing_tables
from batchlaw.storage.optuna_internals import announce, open_tables, stored_schema
from batchlaw.storage.retries import RETRY_SECONDS, reason_of, retry

_OPENING_SECONDS = 2.0
Refused = Callable[[str], StorageError]


class EmptyDatabase(StorageError):
    """The database is there, and has no tables."""


def open_storage(storage_url: str, *, create: bool = False, any_schema: bool = False) -> RDBStorage:
    """Open a database.

    Args:
        storage_url: a URL of SQLAlchemy, such as `sqlite:///batchlaw.db`.
        create: make the SQLite file and Optuna's tables where they are missing.
        any_schema: accept Optuna's tables of any version, in order to upgrade them.

    Raises:
        EmptyDatabase: there are no tables, and none are to be made.
        StorageError: the URL is wrong, a driver is missing, or the database cannot be reached.
    """
    url = parsed(storage_url)
    if url.get_backend_name() == "sqlite":
        check_sqlite_file(url, create=create)
    options = engine_options(url)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    text = url.render_as_string(hide_password=False)
    announce("storage", "sampler", "pruner")
    refused = partial(StorageError, argument="storage", got=redacted(storage_url))
    patiently = partial(retry, seconds=_OPENING_SECONDS, taken=RETRY_SECONDS)
    try:
        if create:
            patiently(lambda: _create_tables(url, options, refused))
        schema = patiently(lambda: _schema(url, options, refused))
        if schema is None:
            raise EmptyDatabase("holds no study", argument="storage", got=redacted(storage_url), remedy="Study.create")
        storage: RDBStorage = patiently(lambda: open_tables(text, options, schema=schema, any_schema=any_schema))
    except (SQLAlchemyError, StorageInternalError, RuntimeError) as error:
        raise refused(reason_of(error)) from None
    watch(storage.engine)
    weakref.finalize(storage, storage.engine.dispose)  # at exit at the latest: SQLite then removes its log
    storage.engine.dispose()  # the connections opened so far lack these listeners
    return storage


@contextmanager
def _engine(url: URL, options: dict[str, Any], refused: Refused) -> Iterator[Engine]:
    """An engine that is connected, and not kept. Drivers have all kinds of errors for a URL's options."""
    try:
        engine = create_engine(url, **options)
        engine.connect().close()
    except (AttributeError, LookupError, OSError, TypeError, ValueError) as error:
        raise refused(f"the driver does not take this URL: {reason_of(error)}") from None
    try:
        yield engine
    finally:
        engine.dispose()


def _create_tables(url: URL, options: dict[str, Any], refused: Refused) -> None:
    with _engine(url, options, refused) as engine:
        create_missing_tables(engine)


def _schema(url: URL, options: dict[str, Any], refused: Refused) -> str | None:
    """The version of Optuna's tables; None without tables."""
    with _engine(url, options, refused) as engine:
        return stored_schema(engine)
