"""Numbered migrations of batchlaw's tables, run by Alembic. Optuna migrates its own tables.

A migration is a file in `versions/`: its number is its revision, and the first line of its docstring says what it does.
A new database gets its tables from the same migrations. Alembic notes the number in a table of its own beside Optuna's;
`batchlaw_schema` has it as well, for what opens the database without Alembic, older versions of batchlaw included.

To change a table, add a file, change `tables.py` and raise `SCHEMA` there. Each step must be safe to repeat, because
MariaDB and MySQL commit after every statement that changes a table.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine

from batchlaw.errors import StorageError
from batchlaw.storage.retries import with_retries
from batchlaw.storage.tables import SCHEMA, schema, schema_version

if TYPE_CHECKING:
    from alembic.config import Config

VERSION_TABLE = "batchlaw_version"
_LOCK = 0x62617463686C6177  # "batchlaw"; an advisory lock of PostgreSQL has a number
_LOCK_SECONDS = 50  # less than the driver's time limit for an answer
_alembic = Lock()  # Alembic's context belongs to the process


@dataclass(frozen=True, kw_only=True)
class Migration:
    """One step of batchlaw's tables."""

    number: int
    does: str  # a sentence


def missing(version: int) -> list[Migration]:
    """The migrations that tables of this version lack."""
    from alembic.script import ScriptDirectory

    steps = ScriptDirectory.from_config(_config()).walk_revisions()
    found = [Migration(number=int(step.revision), does=step.doc) for step in steps]
    return sorted((step for step in found if step.number > version), key=lambda step: step.number)


def create_tables(engine: Engine) -> None:
    """Create batchlaw's tables in a database that has none."""
    if schema_version(engine) == 0:
        migrate(engine)


def migrate(engine: Engine) -> None:
    """Run the migrations that a database lacks. Any number of processes may do this at once; one runs them."""

    def work() -> None:
        with _locked(engine) as connection:
            run_migrations(connection)
            connection.commit()

    with_retries(work)


def run_migrations(connection: Connection) -> None:
    """Run the migrations that a database lacks, in a transaction that keeps other processes from doing the same."""
    from alembic import command

    config = _config()
    config.attributes["connection"] = connection
    with _alembic:
        command.upgrade(config, "head")
    connection.execute(schema.delete())
    connection.execute(schema.insert().values(version=SCHEMA))


def _config() -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return config


@contextmanager
def _locked(engine: Engine) -> Iterator[Connection]:
    """A connection in a transaction, while no other process has one from here."""
    with engine.connect() as connection:
        match engine.dialect.name:
            case "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")  # else Python's driver begins at the first INSERT
                yield connection
            case "postgresql":
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
                yield connection
            case _:
                lock = "left(concat('batchlaw ', database()), 64)"  # names of locks are those of the server
                if connection.exec_driver_sql(f"SELECT get_lock({lock}, {_LOCK_SECONDS})").scalar() != 1:
                    raise StorageError("another process has been changing the tables for too long", argument="storage")
                try:
                    yield connection
                finally:
                    connection.exec_driver_sql(f"SELECT release_lock({lock})")
