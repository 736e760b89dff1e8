"""Studies copied from one database to another, row by row.

Optuna's own `copy_study` gives trials new times. Here the rows are copied as they are; the other database gives them
new ids, in the same order. The tables are as the databases describe them, so that a column that is added to one of them
is copied as well.
"""

import re
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from optuna.storages import RDBStorage
from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Float,
    MetaData,
    Numeric,
    RowMapping,
    Table,
    Text,
    delete,
    func,
    insert,
    select,
)
from sqlalchemy.exc import IntegrityError

from batchlaw.errors import StorageError, StudyError
from batchlaw.storage.connections import connected
from batchlaw.storage.engine import open_storage
from batchlaw.storage.retries import with_retries
from batchlaw.storage.studies import check_tables
from batchlaw.storage.tables import pages, slots, workers
from batchlaw.storage.workers import check_idle

Tick = Callable[[int, int], None]
_OWN = (slots.name, pages.name, workers.name)
_ROWS = 1000  # written at once
_TEXT_BYTES = 65_535  # of a text in MySQL and MariaDB
# Keys of optuna-dashboard among the attributes of a study that have the id of a trial in them.
_OF_A_TRIAL = re.compile(r"(dashboard:(?:artifacts:)?)(\d+)(:.*)", re.DOTALL)


def copy_studies(source: RDBStorage, target: str, names: Sequence[str] | None, *, force: bool, tick: Tick) -> list[str]:
    """Copy studies in one transaction, and return their names.

    Args:
        source: the database that has them.
        target: URL of the database that gets them; tables are made if they are missing.
        names: of the studies; None copies all.
        force: even while workers are at work; their trials in progress are run again in the copy.
        tick: called now and then, with the number of rows copied and of all.

    Raises:
        StudyError: a study is unknown, or the other database has one of its name.
        StorageError: the tables are of another version, workers are live, or a text is too long for MySQL.
        WorkFailed: a database failed permanently, or for too long.
    """
    check_tables(source)
    theirs = study_tables(source.engine)
    studies = with_retries(lambda: _studies(source.engine, theirs["studies"], names))
    if not force:
        for study in studies:
            check_idle(source.engine, study["study_id"])
    there = open_storage(target, create=True)  # after all that may be refused without it
    check_tables(there)
    ours = study_tables(there.engine)

    def work() -> None:
        with _snapshot(source.engine) as reading, there.engine.begin() as writing:
            copies = [_Copy(reading, writing, theirs, ours, study["study_id"]) for study in studies]
            done, total = 0, sum(copy.n_rows() for copy in copies)
            for copy, study in zip(copies, studies, strict=True):
                for rows in copy.run(dict(study)):
                    done += rows
                    tick(done, total)

    with_retries(work)
    return [study["study_name"] for study in studies]


def _studies(engine: Engine, table: Table, names: Sequence[str] | None) -> list[RowMapping]:
    with engine.connect() as connection:
        found = connection.execute(select(table).order_by(table.c.study_id)).mappings().all()
    known = {study["study_name"]: study for study in found}
    for name in names or ():
        if name not in known:
            holds = ", ".join(sorted(known)) or "none"
            raise StudyError(f"there is no study {name!r} in the database; it holds {holds}")
    return [study for name, study in known.items() if names is None or name in names]


@dataclass
class _Copy:
    """One study on its way."""

    reading: Connection
    writing: Connection
    theirs: dict[str, Table]
    ours: dict[str, Table]
    study_id: int
    new_id: int = 0
    trials: dict[int, int] = field(default_factory=dict)  # new ids by old ids

    def n_rows(self) -> int:
        """The number of rows to copy."""
        return sum(
            self.reading.scalar(select(func.count()).select_from(table).where(self._mine(table))) or 0
            for table in self._parts()
        )

    def run(self, study: dict[str, Any]) -> Iterator[int]:
        """Copy the study; the number of rows copied, a batch at a time."""
        studies, trials = self.ours["studies"], self.ours["trials"]
        name = study["study_name"]
        del study["study_id"]
        refused = StudyError(f"study {name!r} is there already, in the database to copy to")
        if self.writing.scalar(select(studies.c.study_id).where(studies.c.study_name == name)) is not None:
            raise refused
        try:
            key = self.writing.execute(insert(studies).values(study)).inserted_primary_key
        except IntegrityError:  # another process was faster
            raise refused from None
        assert key is not None
        self.new_id = key[0]
        for own in _OWN:  # Optuna may give the id of a deleted study again
            self.writing.execute(delete(self.ours[own]).where(self.ours[own].c.study_id == self.new_id))
        for table in self._parts():
            yield from self._rows(table)
            if table.name == "trials":
                old = select(table.c.trial_id).where(self._mine(table)).order_by(table.c.trial_id)
                new = select(trials.c.trial_id).where(trials.c.study_id == self.new_id).order_by(trials.c.trial_id)
                self.trials = dict(zip(self.reading.scalars(old), self.writing.scalars(new), strict=True))

    def _parts(self) -> list[Table]:
        """The tables with rows of a study, each after those that it refers to."""
        return [table for name, table in self.theirs.items() if name != "studies"]

    def _mine(self, table: Table) -> ColumnElement[bool]:
        return rows_of(self.theirs, table, self.study_id)

    def _rows(self, table: Table) -> Iterator[int]:
        query = select(table).where(self._mine(table)).order_by(*table.primary_key)
        found = self.reading.execute(query.execution_options(yield_per=_ROWS)).mappings()
        for rows in found.partitions():
            self.writing.execute(insert(self.ours[table.name]), [self._row(table, dict(row)) for row in rows])
            yield len(rows)

    def _row(self, table: Table, row: dict[str, Any]) -> dict[str, Any]:
        """A row as the other database gets it."""
        if table.name not in _OWN:
            for column in table.primary_key:
                del row[column.name]
        if "study_id" in row:
            row["study_id"] = self.new_id
        if row.get("trial_id") is not None:
            row["trial_id"] = self.trials[row["trial_id"]]
        if table.name == workers.name:  # whoever works on the original does not work on the copy
            row |= {"worker": uuid.uuid4().hex, "state": "ended"}
        if table.name == "study_system_attributes" and (found := _OF_A_TRIAL.fullmatch(row["key"])):
            trial_id = self.trials.get(int(found[2]), found[2])
            row["key"] = f"{found[1]}{trial_id}{found[3]}"
        if self.writing.dialect.name == "mysql":
            _check_texts(self.ours[table.name], row)
        return row


def _check_texts(table: Table, row: dict[str, Any]) -> None:
    for column in table.c:
        text = row.get(column.name)
        if isinstance(column.type, Text) and isinstance(text, str) and len(text.encode()) > _TEXT_BYTES:
            raise StorageError(
                f"{table.name} has a text of {len(text.encode()):,} bytes, {row.get('key', column.name)!r}; "
                f"MySQL and MariaDB take {_TEXT_BYTES:,}"
            )


def rows_of(tables: dict[str, Table], table: Table, study_id: int) -> ColumnElement[bool]:
    """The condition of the rows of a study in one of its tables."""
    if "study_id" in table.c:
        return table.c.study_id == study_id
    trials = tables["trials"]
    return table.c.trial_id.in_(select(trials.c.trial_id).where(trials.c.study_id == study_id))


def study_tables(engine: Engine) -> dict[str, Table]:
    """The tables with rows of studies, Optuna's and batchlaw's, each after those that it refers to."""
    found = MetaData()
    found.reflect(engine)
    for column in (column for table in found.tables.values() for column in table.c):
        if isinstance(column.type, Numeric | Float):
            column.type = Float(53)  # MySQL's would be read as decimals of ten digits

    def is_part(table: Table) -> bool:
        parents = {key.column.table.name for key in table.foreign_keys}
        return table.name in ("studies", "trials", *_OWN) or bool(parents & {"studies", "trials"})

    tables = [table for table in found.sorted_tables if is_part(table)]
    # Trials before all that may name one.
    tables.sort(key=lambda table: (table.name in _OWN, table.name not in ("studies", "trials")))
    return {table.name: table for table in tables}


def _snapshot(engine: Engine) -> Connection:
    """A connection that sees the database as it is now, whatever others write."""
    if engine.dialect.name == "sqlite":
        connection = engine.connect()
        connection.exec_driver_sql("BEGIN")  # Python's driver begins no transaction to read
        return connection
    return connected(engine, "REPEATABLE READ")
