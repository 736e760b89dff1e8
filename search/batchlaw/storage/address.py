"""Addresses of databases: URLs as users write them, checked, completed, and shown without their secrets."""

import importlib.util
from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from batchlaw.errors import BatchlawError, StorageError
from batchlaw.shared_files import check_link

# By backend: SQLAlchemy's name of the driver, its module, and the extra of this distribution that installs it.
_DRIVERS = {
    "sqlite": ("sqlite", "sqlite3", ""),
    "postgresql": ("postgresql+psycopg", "psycopg", "postgres"),
    "postgres": ("postgresql+psycopg", "psycopg", "postgres"),  # as Heroku and others write it
    "mysql": ("mysql+pymysql", "pymysql", "mysql"),
    "mariadb": ("mysql+pymysql", "pymysql", "mysql"),
}
_SECRETS = ("password", "passwd", "secret", "token", "passcode")  # parts of the names of options that hold one
_NO_URL = "(not a database URL)"


def redacted(storage_url: str) -> str:
    """The URL with its secrets replaced by `***`: its password, and options such as `sslpassword`."""
    try:
        return _shown(_url_of(storage_url))
    except ValueError:
        return _NO_URL


def absolute(storage_url: str) -> str:
    """The URL with the path of a SQLite file made absolute, so that it is valid in any working folder."""
    url = parsed(storage_url)
    if url.get_backend_name() == "sqlite" and url.database:
        url = url.set(database=str(Path(url.database).resolve()))
    return url.render_as_string(hide_password=False)


def parsed(storage_url: str) -> URL:
    """The URL with the driver that batchlaw uses.

    Raises:
        StorageError: it is no URL, of no database that can serve, or the driver is missing.
    """
    try:
        url = _url_of(storage_url)
    except ValueError:
        raise StorageError(
            "must be a database URL, such as sqlite:///batchlaw.db or postgresql://user@host/db, and in a password "
            "@ : / are written %40 %3A %2F",
            argument="storage",
        ) from None
    backend, got = url.get_backend_name(), _shown(url)
    if backend not in _DRIVERS:
        raise StorageError(f"{backend!r} must be one of sqlite, postgresql, mysql", argument="storage", got=got)
    drivername, module, extra = _DRIVERS[backend]
    if importlib.util.find_spec(module) is None:
        raise StorageError(f"needs {module}; pip install 'batchlaw[{extra}]'", argument="storage", got=got)
    if module == "pymysql" and not url.database:
        raise StorageError("must name a database, such as mysql://user@host/db", argument="storage", got=got)
    return url.set(drivername=drivername)


def check_sqlite_file(url: URL, *, create: bool) -> None:
    """Make sure that a URL names a file that is there, or can be made.

    Raises:
        StorageError: it does not.
    """
    got = str(url)
    if url.host is not None:
        right = f"sqlite:///{url.host}" + (f"/{url.database}" if url.database else "")
        raise StorageError(
            f"a path follows three slashes, and an absolute one four; {right}?", argument="storage", got=got
        )
    if not url.database or url.database == ":memory:":
        raise StorageError(
            "must name a file, which several processes can share, such as sqlite:///batchlaw.db",
            argument="storage", got=got,
        )  # fmt: skip
    file = Path(url.database)
    try:
        check_link(file)
    except BatchlawError as error:
        raise StorageError(error.message, argument="storage", got=got) from None
    if not create and not file.is_file():
        raise StorageError("there is no such database", argument="storage", got=got, remedy="Study.create")
    if not file.parent.is_dir():
        raise StorageError(f"the folder {file.parent} does not exist", argument="storage", got=got)


def _url_of(storage_url: str) -> URL:
    """SQLAlchemy's reading of a URL.

    It ends a password at the first @, and would take the rest of it for a host, a port or a database.

    Raises:
        ValueError: it is no URL, or an @ in it is not percent-encoded. SQLAlchemy's own message may hold a password.
    """
    _, separator, address = storage_url.partition("://")
    if separator and not storage_url.startswith("sqlite") and address.count("@") > 1:
        raise ValueError
    try:
        url = make_url(storage_url)
    except ArgumentError:
        raise ValueError from None
    if url.port is not None and not 0 < url.port < 65_536:
        raise ValueError
    return url


def _shown(url: URL) -> str:
    hidden = {key: "***" for key in url.query if any(word in key.lower() for word in _SECRETS)}
    return url.update_query_dict(hidden).render_as_string(hide_password=True).replace("=%2A%2A%2A", "=***")
