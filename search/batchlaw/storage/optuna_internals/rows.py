"""Rows added to a trial by plain statements, one for each table, on the condition that the trial has not ended."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from optuna.trial import TrialState
from sqlalchemy import Connection, Insert, Table, bindparam, insert, or_, select

from batchlaw.storage.optuna_internals.trials import TRIALS
from batchlaw.storage.tables import asynchronous_commit

# Spelled out: a list of states as one parameter cannot be used in a statement that is executed for several rows.
UNFINISHED = or_(*(TRIALS.c.state == state for state in TrialState if not state.is_finished()))


@dataclass(frozen=True)
class Row:
    """A row of one of Optuna's tables that belongs to a trial.

    Attributes:
        table: such as `trial_user_attributes`.
        values: its columns, without its own key and the trial's.
        durable: the commit waits until PostgreSQL has written the row to its disk.
        fallback: writes the same through Optuna's own method.
    """

    table: Table
    values: dict[str, Any]
    durable: bool
    fallback: Callable[[], None]


class NotApplied(Exception):
    """A statement changed fewer rows than expected: the trial has ended or does not exist. Rolls a transaction back."""


def insert_rows(connection: Connection, trial_id: int, rows: Sequence[Row], *, durable: bool) -> None:
    """Add rows to a trial; `durable` is of the whole transaction.

    Raises:
        NotApplied: the trial has ended or does not exist.
        IntegrityError: a row with the same key exists.
    """
    by_table: defaultdict[Table, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        by_table[row.table].append(row.values | {"of": trial_id})
    for table, values in by_table.items():
        inserted = connection.execute(_insert_statement(table, connection.dialect.name, durable=durable), values)
        if inserted.rowcount != len(values):
            raise NotApplied


@cache
def _insert_statement(table: Table, dialect: str, *, durable: bool) -> Insert:
    """Insert a row for the trial `of`, if that has not ended."""
    columns = [column for column in table.c if not column.primary_key and column.name != "trial_id"]
    row = select(TRIALS.c.trial_id, *(bindparam(column.name, type_=column.type) for column in columns))
    row = row.where(TRIALS.c.trial_id == bindparam("of"), UNFINISHED)
    if not durable:
        row = row.where(asynchronous_commit(dialect))
    statement = insert(table).from_select(["trial_id", *(column.name for column in columns)], row)
    return statement.execution_options(preserve_rowcount=True)
