"""Our tables beside Optuna's, their version, and the database's clock."""

import os
import socket
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
    column,
    func,
    inspect,
    literal_column,
    select,
    table,
    true,
)

SCHEMA = 2  # of the tables here; Optuna keeps the version of its own

metadata = MetaData()
schema = Table("batchlaw_schema", metadata, Column("version", Integer, primary_key=True, autoincrement=False))
slots = Table(
    "batchlaw_slots",
    metadata,
    Column("study_id", Integer, primary_key=True, autoincrement=False),
    Column("slot", Integer, primary_key=True, autoincrement=False),
    Column("state", String(8), nullable=False),  # open | held | done
    Column("trial_id", Integer),  # of the trial that runs or ran in it
    Column("attempts", Integer, nullable=False),  # claims that were not handed back
    Column("holder", String(32)),  # of this claim alone
    Column("process_space", String(255)),  # within which `pid` names one process
    Column("pid", Integer),
    Column("lease_until", Float(53)),  # seconds since 1970 by the database's clock
)
# With the slot in it the first open one is the first row, however many there are.
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
    Column("trial", Integer),  # the number of the one it runs
    Column("trials_done", Integer, nullable=False),
    Column("started", Float(53), nullable=False),  # seconds since 1970 by the database's clock
    Column("last_seen", Float(53), nullable=False),
)
Index("batchlaw_workers_by_study", workers.c.study_id)
pages = Table(
    "batchlaw_boards",
    metadata,
    Column("study_id", Integer, primary_key=True, autoincrement=False),
    Column("holder", String(32)),  # who draws at this moment
    Column("held_until", Float(53), nullable=False),  # seconds since 1970 by the database's clock
    Column("due", Float(53), nullable=False),  # when it may be drawn next
    Column("drawn", Integer, nullable=False),  # the number of trials of which the end was drawn; 0: of none
)

# Optuna's, where optuna-dashboard keeps figures and notes, in pieces.
study_attributes = table("study_system_attributes", column("study_id"), column("key"), column("value_json"))

# The database's clock, so that hosts need not agree on the time.
_NOW = {
    "sqlite": "(julianday('now') - 2440587.5) * 86400.0",
    "postgresql": "extract(epoch from clock_timestamp())",
    "mysql": "unix_timestamp(now(6))",
}


def now(engine: Engine) -> ColumnElement[float]:
    """Seconds since 1970 by the database's clock, as an expression."""
    return literal_column(_NOW[engine.dialect.name], Float)


def lazily(dialect: str) -> ColumnElement[bool]:
    """True; as a condition it keeps a transaction of PostgreSQL from waiting for its disk (5 ms, measured)."""
    return func.set_config("synchronous_commit", "off", True) == "off" if dialect == "postgresql" else true()


def create_tables(engine: Engine) -> None:
    """Make the tables that are missing, and note their version."""
    metadata.create_all(engine)
    with engine.begin() as connection:
        if connection.scalar(select(schema.c.version)) is None:
            connection.execute(schema.insert().values(version=SCHEMA))


def schema_version(engine: Engine) -> int:
    """Of our tables in a database; 0 where there are none."""
    if not inspect(engine).has_table(schema.name):
        return 0
    with engine.connect() as connection:
        return connection.scalar(select(schema.c.version)) or 0


def process_space() -> str:
    """Names the host, its boot and its PID namespace: equal only where a PID means the same process."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        namespace = str(Path("/proc/self/ns/pid").readlink())
    except OSError:  # not Linux: one boot and one namespace a host
        boot = namespace = ""
    return f"{socket.gethostname()[:150]} {boot} {namespace}"


def is_alive(pid: int) -> bool:
    """Whether a process of this process space exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
