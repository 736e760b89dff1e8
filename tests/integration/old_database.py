"""A database of the version before, on every backend: see `tests/data/tables_2`."""

import gzip
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from batchlaw.storage.migrations.versions import v2
from optuna.storages import RDBStorage

FOLDER = Path(__file__).parents[1] / "data" / "tables_2"
STUDIES = ("old-search", "old-claim", "old-open")


def printed() -> dict[str, dict[str, Any]]:
    """What is printed of the database, by study and command; None where that is refused."""
    return json.loads(gzip.decompress((FOLDER / "printed.json.gz").read_bytes()))


def write_file(file: Path) -> str:
    """The URL of the database, as SQLite had it."""
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(gzip.decompress((FOLDER / "batchlaw.sql.gz").read_bytes()).decode())
    return f"sqlite:///{file}"


def load(url: str, folder: Path) -> None:
    """Fill an empty database with the same rows, in the tables that the version before would have made there."""
    if url.startswith("sqlite"):
        write_file(Path(sqlalchemy.make_url(url).database))
        return
    RDBStorage(url).engine.dispose()
    source, target = sqlalchemy.create_engine(write_file(folder / "old.db")), sqlalchemy.create_engine(url)
    v2.metadata.create_all(target)
    theirs, ours = sqlalchemy.MetaData(), sqlalchemy.MetaData()
    theirs.reflect(source)
    ours.reflect(target)
    with source.connect() as reading, target.begin() as writing:
        for table in theirs.sorted_tables:
            rows = [dict(row) for row in reading.execute(table.select()).mappings()]
            if rows and table.name not in ("alembic_version", "version_info"):
                writing.execute(ours.tables[table.name].insert(), rows)
                (key, *_) = table.primary_key
                if target.dialect.name == "postgresql" and not table.name.startswith("batchlaw"):
                    sequence = f"pg_get_serial_sequence('{table.name}', '{key.name}')"
                    writing.execute(sqlalchemy.text(f"SELECT setval({sequence}, max({key.name})) FROM {table.name}"))
    source.dispose()
    target.dispose()


def content(url: str) -> dict[str, list]:
    """All rows of all tables."""
    engine, found = sqlalchemy.create_engine(url), sqlalchemy.MetaData()
    found.reflect(engine)
    with engine.connect() as connection:
        rows = {name: sorted(map(str, connection.execute(table.select()))) for name, table in found.tables.items()}
    engine.dispose()
    return rows


def check_same(new: Any, old: Any, *, leave: tuple[str, ...] = ()) -> None:
    """Check that what is printed now has all that was printed by the version before; keys may have been added."""
    if isinstance(old, dict):
        for key in old.keys() - set(leave):
            check_same(new[key], old[key], leave=leave)
    elif isinstance(old, list):
        assert len(new) == len(old)
        for ours, theirs in zip(new, old, strict=True):
            check_same(ours, theirs, leave=leave)
    else:
        # Ends of intervals come from optimizers, whose last digits differ with the processor: seen, 3e-5.
        assert new == (pytest.approx(old, rel=1e-3) if isinstance(old, float) else old)
