"""What is known of a database itself, and bringing it up to date. Optuna's tables are left to Optuna."""

import time
from dataclasses import dataclass

from optuna.storages import RDBStorage
from sqlalchemy import literal_column, select

from batchlaw.storage.engine import with_retries
from batchlaw.storage.study_page import create_missing
from batchlaw.storage.tables import SCHEMA, create_tables, now, schema, schema_version

_SERVER = {"sqlite": "sqlite_version()", "postgresql": "current_setting('server_version')", "mysql": "version()"}


@dataclass(frozen=True, kw_only=True)
class Health:
    """The state of a database."""

    server: str  # with its version
    optuna_schema: str
    optuna_head: str  # what this Optuna wants
    tables: int  # version of ours; 0 where there are none
    tables_head: int
    round_trip_seconds: float  # of the fastest of five
    clock_skew_seconds: float  # the database's clock less this machine's; leases go by the database's alone
    writable: bool

    @property
    def current(self) -> bool:
        """Whether nothing needs an upgrade."""
        return self.optuna_schema == self.optuna_head and self.tables == self.tables_head


def health_of(storage: RDBStorage) -> Health:
    """Look at a database; writes nothing that stays."""
    engine, dialect = storage.engine, storage.engine.dialect.name
    with engine.connect() as connection:
        version = connection.scalar(select(literal_column(_SERVER[dialect])))
        trips = []
        for _ in range(5):
            began = time.perf_counter()
            clock = connection.scalar(select(now(engine)))
            trips.append(time.perf_counter() - began)
        skew = float(clock or 0.0) - time.time()
    return Health(
        server=f"{dialect} {version}",
        optuna_schema=storage.get_current_version(),
        optuna_head=storage.get_head_version(),
        tables=schema_version(engine),
        tables_head=SCHEMA,
        round_trip_seconds=min(trips),
        clock_skew_seconds=skew,
        writable=_is_writable(storage),
    )


def _is_writable(storage: RDBStorage) -> bool:
    """Whether a change of ours would be taken; it is rolled back. A database without our tables is not tried."""
    if not schema_version(storage.engine):
        return True
    try:
        with storage.engine.connect() as connection:
            connection.execute(schema.update().values(version=schema.c.version))
            connection.rollback()
    except Exception:  # whatever the driver says: it cannot be written
        return False
    return True


def upgrade(storage: RDBStorage) -> None:
    """Bring Optuna's tables to its head, by Optuna, and ours to this version."""
    with_retries(storage.upgrade)
    create_tables(storage.engine)
    create_missing(storage.engine)
    with storage.engine.begin() as connection:
        connection.execute(schema.update().values(version=SCHEMA))
