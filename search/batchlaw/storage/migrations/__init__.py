"""Numbered migrations of batchlaw's tables, run by Alembic. Optuna migrates its own tables.

A migration is a file in `versions/`: its number is its revision, and the first line of its docstring says what it does.
A new database gets its tables from the same migrations. Alembic notes the number in a table of its own beside Optuna's;
`batchlaw_schema` has it as well, for what opens the database without Alembic, older versions of batchlaw included.

To change a table, add a file, change `tables.py` and raise `SCHEMA` there. Each step must be safe to repeat, because
MariaDB and MySQL commit after every statement that changes a table.
"""

from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine

from batchlaw.storage.one_transaction import exclusive
from batchlaw.storage.retries import with_retries
from batchlaw.storage.tables import SCHEMA, schema

if TYPE_CHECKING:
    from alembic.config import Config

VERSION_TABLE = "batchlaw_version"
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


def migrate(engine: Engine) -> None:
    """Run the migrations that a database lacks. Any number of processes may do this at once; one runs them."""

    def work() -> None:
        with exclusive(engine) as connection:
            run_migrations(connection)

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
