"""The health of a database, and its upgrade. Optuna upgrades its own tables."""

import time
from dataclasses import dataclass

from optuna.storages import RDBStorage
from sqlalchemy import literal_column, select

from batchlaw.errors import StorageError
from batchlaw.storage.migrations import Migration, migrate, missing
from batchlaw.storage.retries import with_retries
from batchlaw.storage.tables import SCHEMA, check_known, now, schema, schema_version
from batchlaw.storage.workers import check_idle

_SERVER = {"sqlite": "sqlite_version()", "postgresql": "current_setting('server_version')", "mysql": "version()"}


@dataclass(frozen=True, kw_only=True)
class Health:
    """The state of a database."""

    server: str  # name and version, such as "sqlite 3.45.1"
    optuna_schema: str  # version of Optuna's tables
    optuna_head: str  # the version that this Optuna needs
    tables: int  # version of batchlaw's tables; 0: none
    tables_head: int  # the version that this batchlaw needs
    missing: list[Migration]  # what an upgrade will do with batchlaw's tables
    round_trip_seconds: float  # the fastest of five queries
    clock_skew_seconds: float  # the database's clock minus this machine's; leases use the database's only
    writable: bool

    @property
    def current(self) -> bool:
        """Whether no upgrade is needed."""
        return self.optuna_schema == self.optuna_head and self.tables == self.tables_head


def health_of(storage: RDBStorage) -> Health:
    """Check a database. Changes nothing: the one write is rolled back."""
    engine, dialect = storage.engine, storage.engine.dialect.name
    with engine.connect() as connection:
        version = connection.scalar(select(literal_column(_SERVER[dialect])))
        trips = []
        for _ in range(5):
            began = time.perf_counter()
            clock = connection.scalar(select(now(engine)))
            trips.append(time.perf_counter() - began)
        skew = float(clock or 0.0) - time.time()
    tables = schema_version(engine)
    return Health(
        server=f"{dialect} {version}",
        optuna_schema=storage.get_current_version(),
        optuna_head=storage.get_head_version(),
        tables=tables,
        tables_head=SCHEMA,
        missing=missing(tables),
        round_trip_seconds=min(trips),
        clock_skew_seconds=skew,
        writable=_is_writable(storage),
    )


def _is_writable(storage: RDBStorage) -> bool:
    """Whether the database accepts a write; True, untested, without batchlaw's tables."""
    if not schema_version(storage.engine):
        return True
    try:
        with storage.engine.connect() as connection:
            connection.execute(schema.update().values(version=schema.c.version))
            connection.rollback()
    except Exception:  # drivers have different errors for this
        return False
    return True


def upgrade(storage: RDBStorage, *, force: bool = False) -> None:
    """Upgrade Optuna's tables to the version of this Optuna, and batchlaw's to the version of this batchlaw.

    Raises:
        StorageError: workers are live and it is not forced, or the tables are of a newer version.
    """
    check_known(schema_version(storage.engine))
    if storage.get_current_version() not in storage.get_all_versions():
        raise StorageError(
            "the database holds Optuna's tables of a version that this Optuna does not know",
            argument="storage", got=storage.get_current_version(),
        )  # fmt: skip
    if not force:
        check_idle(storage.engine)
    if storage.get_current_version() != storage.get_head_version():
        with_retries(storage.upgrade)
    migrate(storage.engine)
