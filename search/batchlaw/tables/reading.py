"""Results made elsewhere: a file or a DataFrame as runs whose scores are numbers, missing, or diverged."""

import re
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from batchlaw.errors import BatchlawError, DataError
from batchlaw.expressions import Expression
from batchlaw.tables import names
from batchlaw.tables.columns import UNTOLD, Columns, KnownColumns
from batchlaw.tables.epochs import one_row_a_run
from batchlaw.tables.long import one_score_a_row
from batchlaw.tables.opening import Data, open_table
from batchlaw.tables.outcomes import name_diverged, reasons_of, without_unfinished
from batchlaw.tables.recognition import known_columns
from batchlaw.tables.run_names import with_parts_of_names
from batchlaw.tables.spelling import amount, by_distinct, is_product, plain, spread, typed
from batchlaw.tables.values import (
    TypedColumns,
    check_column,
    check_filled,
    check_positive,
    checked,
    no_number,
    numbers_of,
    read_column,
    rows_are,
)

_FEW = 0.2  # of the rows, at most, are text that is no run
_SOME, _MOST_NAMED = 0.34, 3  # of the rows, at most, have no one rate or batch size; and how many of these are named
_SMALL = 0.01  # a number below it is a rate and no multiple of a smaller unit (assumption)
_SEEDS = re.compile(
    r"\bn\s*=\s*(?P<behind>\d+)|(?P<n>\d+)\s*(?:seeds|runs|trials|repeats|repetitions)\b", re.IGNORECASE
)
_DEVIATION = re.compile(r"\b(?:std|sd|stdev|stddev|standard deviation|σ)\b", re.IGNORECASE)
_EXPRESSION = re.compile(r"[-+*/()]|^[\d.]+(e[-+]?\d+)?$")  # what has signs, or is a number, is no name


@dataclass(frozen=True, eq=False)
class ReadTable:
    """The rows of a table that are kept.

    `table` has them with all their columns: learning rates and batch sizes as floats above 0, scores as floats, where
    NaN is a missing score and an infinite one is that of a run that diverged.
    """

    title: str
    table: pd.DataFrame
    columns: KnownColumns  # what its columns mean; of an expression its text is the name of a column
    notes: tuple[str, ...]  # what was left out, as sentences
    error: str | None  # the column with the standard error of the score, floats
    n_seeds: str | int | None  # how many seeds a score is the mean of, or the column that says so


def read_runs(data: Data, columns: Columns) -> ReadTable:
    """Read a CSV or CSV.gz file, or take a DataFrame, and check its columns.

    Args:
        data: a DataFrame, which is not changed, or the path of a file.
        columns: what is asked for.

    Raises:
        DataError: it cannot be read, or a column is missing or holds something other than numbers; one line.
        BatchlawError: an expression does not fit the columns.
    """
    opened = open_table(data, columns)
    title, table = opened.title, opened.table
    if table.empty:
        raise DataError(f"{title} has no rows", argument="data")
    table, named = with_parts_of_names(table, columns)
    table, left_out = one_score_a_row(table, columns)
    known = known_columns(table, title, columns, opened.larger)
    if known.untold:
        table = table.assign(**{UNTOLD[known.untold]: 1.0})
    table = _with_expressions(table, title, known)
    wanted = known.named
    for argument, several in wanted.items():
        for name in several:
            check_column(table, title, argument, name)
    table = _with_plain_numbers(table, known)
    known, table, spreads = _with_spread(known, table)
    if columns.where is not None:
        table = table[columns.where.rows(TypedColumns(table, title), len(table))]
        if table.empty:
            raise DataError(f"no row of {title} is left", argument="where", got=columns.where.text)
    table, failed, notes = without_unfinished(table, known)
    table, more = _with_places(table, title, known)
    failed = {name: rows[more.kept] for name, rows in failed.items()}
    scores = {name: numbers_of(table, title, name).copy() for name in known.score}  # a view of the table else
    notes += [
        *opened.notes,
        *named,
        *left_out,
        *more.notes,
        *reasons_of(table, known),
        *name_diverged(scores, failed, table, title, known),
    ]
    runs = one_row_a_run(table, known, scores)
    of_runs = {known.lr: runs.lr} | {name: values[runs.rows] for name, values in scores.items()}
    table = table.iloc[runs.rows].assign(**of_runs)
    for argument in ("seed", "by", "average"):
        for name in wanted[argument]:
            check_filled(table, title, argument, name)
            table = table.assign(**{name: typed(table[name])})
    for argument in ("tokens_per_example", "error", "seeds"):
        for name in known.named[argument]:
            values = numbers_of(table, title, name)
            check_positive(values, table, title, name, may_miss=argument != "tokens_per_example")
            table = table.assign(**{name: values})
    if known.tokens_per_example is not None:
        tokens = known.tokens_per_example
        name = f"{known.batch_size} in tokens"
        table = table.assign(**{name: table[known.batch_size] * (table[tokens] if isinstance(tokens, str) else tokens)})
        known = replace(known, batch_size=name)
    return ReadTable(title, table, known, (*notes, *runs.notes, *spreads), known.error, known.n_seeds)


@dataclass(frozen=True, eq=False)
class _Kept:
    kept: NDArray[np.bool_]
    notes: list[str]


def _with_places(table: pd.DataFrame, title: str, columns: KnownColumns) -> tuple[pd.DataFrame, _Kept]:
    """The rows with a learning rate and a batch size, both as floats.

    Raises:
        DataError: one is not above 0, or no row has both.
    """
    sizes = table[columns.batch_size]
    raw = {columns.lr: read_column(table[columns.lr]), columns.batch_size: read_column(sizes, amount)}
    numbers, kept, notes = {}, np.ones(len(table), dtype=bool), list[str]()
    if not pd.api.types.is_numeric_dtype(sizes):
        products = [text for text in sizes.drop_duplicates().astype(str) if is_product(text)]
        notes += [f"{columns.batch_size} is read as a product, such as {products[0]}"] if products else []
    for name, other in ((columns.lr, columns.batch_size), (columns.batch_size, columns.lr)):
        no_run = no_number(raw[name]) & ((raw[other] != raw[other]) | no_number(raw[other]))  # such as means, or notes
        if no_run.mean() > _FEW:
            no_run[:] = False
        wrong = no_number(raw[name]) & ~no_run
        if wrong.any() and wrong.mean() <= _SOME:
            told = ", ".join(map(repr, dict.fromkeys(table[name][wrong].astype(str).tolist()[:_MOST_NAMED])))
            notes.append(f"{rows_are(int(wrong.sum()))} left out: {name} is {told}, which is no number")
            kept &= ~wrong
            no_run = no_run | wrong
        numbers[name] = checked(np.where(no_run, np.nan, raw[name]), table, title, name)
        unit = names.unit_of(name)
        if unit > 1 or (unit < 1 and np.nanmedian(numbers[name]) >= _SMALL):
            numbers[name] = unit * numbers[name]
            notes.append(f"the numbers of {name} are read in units of {unit:g}")
    for name, values in numbers.items():
        check_positive(values, table, title, name, may_miss=True)
        if n := int((kept & np.isnan(values)).sum()):
            notes.append(f"{n} row{'' if n == 1 else 's'} without {name} {'is' if n == 1 else 'are'} left out")
        kept &= ~np.isnan(values)
    if not kept.any():
        raise DataError(f"no row of {title} has {columns.lr} and {columns.batch_size}", argument="data")
    return table.assign(**numbers)[kept], _Kept(kept, notes)


def _with_plain_numbers(table: pd.DataFrame, columns: KnownColumns) -> pd.DataFrame:
    """With the columns of scores, rates and batch sizes as floats that hold nothing but plain numbers."""
    found = {name: plain(table[name]) for name in (columns.lr, columns.batch_size, *columns.score)}
    return table.assign(**{name: values for name, values in found.items() if values is not None})


def _with_spread(columns: KnownColumns, table: pd.DataFrame) -> tuple[KnownColumns, pd.DataFrame, list[str]]:
    """With what stands behind ± in the cells of the score in a column of its own, and how many seeds it is of.

    It is a standard error unless the name of the score says that it is a deviation: `acc (mean ± std, 3 seeds)`.
    """
    score, *others = columns.score
    if columns.error is not None or others or pd.api.types.is_numeric_dtype(table[score]):
        return columns, table, []
    written = by_distinct(table[score], spread, np.nan).astype(float)
    if not np.isfinite(written).any():
        return columns, table, []
    if columns.n_seeds is None and (told := _SEEDS.search(score)):
        columns = replace(columns, n_seeds=int(told["n"] or told["behind"]))
    if _DEVIATION.search(score):
        name = f"{score} std"
        return columns, table.assign(**{name: written}), ["what stands behind ± is taken as the deviation of seeds"]
    name = f"± of {score}"
    note = "what stands behind ± is taken as the standard error of a mean"
    return replace(columns, error=name), table.assign(**{name: written}), [note]


def _with_expressions(table: pd.DataFrame, title: str, columns: KnownColumns) -> pd.DataFrame:
    """With the value of each expression that was named in place of a column, under its text.

    Raises:
        BatchlawError: it does not fit the columns.
    """
    for argument, name in {"lr": columns.lr, "batch_size": columns.batch_size}.items():
        if name in table.columns or not _EXPRESSION.search(name):
            continue
        expression = Expression.parse(name, argument)
        value = np.broadcast_to(np.asarray(expression.evaluate(TypedColumns(table, title))), (len(table),))
        if value.dtype != float:
            raise BatchlawError("must be a number", argument=argument, got=name)
        table = table.assign(**{name: value})
    return table
