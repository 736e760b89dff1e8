"""batchlaw's tables beside Optuna's, their version, and the database's clock."""

import os
import socket
import subprocess
import uuid
from functools import cache
from pathlib import Path

from sqlalchemy import (
    Column,
    ColumnElement,
    Engine,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    func,
    inspect,
    literal_column,
    select,
    true,
)

from batchlaw.errors import StorageError

UNKNOWN_BOOT = "unknown"  # in a process space
SCHEMA = 3  # version of the tables in this file: the latest of `migrations/`. Optuna has its own for its tables

metadata = MetaData()
schema = Table("batchlaw_schema", metadata, Column("version", Integer, primary_key=True, autoincrement=False))
slots = Table(
    "batchlaw_slots",
    metadata,
    Column("study_id", Integer, primary_key=True, autoincrement=False),
    Column("slot", Integer, primary_key=True, autoincrement=False),
    Column("state", String(8), nullable=False),  # open | held | done
    Column("trial_id", Integer),  # the trial that runs or ran in the slot
    Column("attempts", Integer, nullable=False),  # leases that were neither handed back nor lost
    Column("holder", String(32)),  # a random id of the lease
    Column("process_space", String(255)),  # see `process_space`
    Column("pid", Integer),
    Column("lease_until", Float(53)),  # seconds since 1970 by the database's clock
)
# The slot is in the index, so that the first open slot is found by reading one row.
Index("batchlaw_slots_by_state", slots.c.study_id, slots.c.state, slots.c.slot)
workers = Table(
    "batchlaw_workers",
    metadata,
    Column("worker", String(32), primary_key=True),
    Column("study_id", Integer, nullable=False),
    Column("host", String(255), nullable=False),
    Column("process_space", String(255), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("device", String(255), nullable=False),
    Column("threads", Integer, nullable=False),
    Column("state", String(8), nullable=False),  # idle | training | ended
    Column("trial", Integer),  # number of the trial it runs
    Column("trials_done", Integer, nullable=False),
    Column("started", Float(53), nullable=False),  # seconds since 1970 by the database's clock
    Column("last_seen", Float(53), nullable=False),
    Column("stop", String(8)),  # now | finish: the worker was asked to leave
)
Index("batchlaw_workers_by_study", workers.c.study_id)
pages = Table(
    "batchlaw_pages",
    metadata,
    Column("study_id", Integer, primary_key=True, autoincrement=False),
    Column("holder", String(32)),  # a random id of the process that draws now
    Column("held_until", Float(53), nullable=False),  # seconds since 1970 by the database's clock
    Column("due", Float(53), nullable=False),  # time of the next drawing
    Column("drawn", Integer, nullable=False),  # trials at the last drawing of a finished study; 0: none
)

# All times are those of the database, so that the clocks of the hosts may differ.
_NOW = {
    "sqlite": "(julianday('now') - 2440587.5) * 86400.0",
    "postgresql": "extract(epoch from clock_timestamp())",
    "mysql": "unix_timestamp(now(6))",
}


def now(engine: Engine) -> ColumnElement[float]:
    """An SQL expression: seconds since 1970 by the database's clock."""
    return literal_column(_NOW[engine.dialect.name], Float)


def asynchronous_commit(dialect: str) -> ColumnElement[bool]:
    """An SQL condition that is always true. On PostgreSQL its transaction commits without waiting for the disk.

    This saves 5 ms (measured). A crash of the server may lose the transaction, but leaves no half of it.
    """
    return func.set_config("synchronous_commit", "off", True) == "off" if dialect == "postgresql" else true()


def schema_version(engine: Engine) -> int:
    """The version of batchlaw's tables in a database; 0 if there are none."""
    if not inspect(engine).has_table(schema.name):
        return 0
    with engine.connect() as connection:
        return connection.scalar(select(schema.c.version)) or 0


def check_known(version: int) -> None:
    """Refuse tables of a newer version.

    Raises:
        StorageError: names both versions.
    """
    if version > SCHEMA:
        raise StorageError(f"the database holds batchlaw's tables of version {version}; this batchlaw knows {SCHEMA}")


@cache
def process_space() -> str:
    """The host, its boot and its PID namespace: where two are equal, a PID means the same process.

    Where the system does not tell its boot, as several hosts may have one name, it is this process alone: the others
    are known to have died when their leases run out.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        namespace = str(Path("/proc/self/ns/pid").readlink())
    except OSError:  # not Linux
        boot, namespace = _boot_session() or f"{UNKNOWN_BOOT} {uuid.uuid4().hex}", ""
    return f"{socket.gethostname()[:150]} {boot} {namespace}"


def _boot_session() -> str:
    """The id that macOS gives each boot; it has no PID namespaces. Empty elsewhere."""
    command = ["sysctl", "-n", "kern.bootsessionuuid"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def is_alive(pid: int) -> bool:
    """Whether a process of this process space exists."""
    try:
        os.kill(pid, 0)
    except (OverflowError, ProcessLookupError, TypeError):  # of a number that no process can have
        return False
    except PermissionError:
        pass
    return True
