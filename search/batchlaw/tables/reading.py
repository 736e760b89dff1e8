"""Results made elsewhere: a file or a DataFrame as runs whose scores are numbers, missing, or diverged."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from batchlaw.errors import BatchlawError, DataError
from batchlaw.expressions import Expression
from batchlaw.stats.surface import Floats
from batchlaw.tables.columns import Columns, KnownColumns
from batchlaw.tables.recognition import known_columns
from batchlaw.tables.spelling import MISSING, by_distinct, number, typed

# Tools that store no infinity write the largest number of their type: MLflow 1.797e308, others float32's 3.4e38.
_LARGEST = float(np.finfo(np.float32).max)

# What Optuna, W&B, MLflow and Ray Tune write in their column `state` or `status`.
STATE = ("state", "status")
_POSITIVE = ("lr", "batch_size", "tokens_per_example", "error", "seeds")  # arguments whose columns are above 0 ...
_MAY_MISS = ("error", "seeds")  # ... or empty
_FINISHED = frozenset({"complete", "completed", "finished", "success", "succeeded", "terminated", "done"})
_UNFINISHED = frozenset({"pruned", "running", "waiting", "scheduled", "pending", "paused", "queued", "stopped"})
_EXPRESSION = re.compile(r"[-+*/()]|^[\d.]+(e[-+]?\d+)?$")  # what has signs, or is a number, is no name
_FAILED = frozenset({"fail", "failed", "crashed", "killed", "error"})


def title_of(data: pd.DataFrame | str | Path) -> str:
    """What messages and reports call a table."""
    return "the table" if isinstance(data, pd.DataFrame) else Path(data).name


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


def read_runs(data: pd.DataFrame | str | Path, columns: Columns) -> ReadTable:
    """Read a CSV or CSV.gz file, or take a DataFrame, and check its columns.

    Args:
        data: a DataFrame, which is not changed, or the path of a file.
        columns: what is asked for.

    Raises:
        DataError: it cannot be read, or a column is missing or holds something other than numbers; one line.
        BatchlawError: an expression does not fit the columns.
    """
    if not isinstance(data, pd.DataFrame | str | PathLike):
        raise DataError(f"must be a DataFrame or the path of a file, not {type(data).__name__}", argument="data")
    title, table = title_of(data), data if isinstance(data, pd.DataFrame) else _read_csv(Path(data))
    if table.empty:
        raise DataError(f"{title} has no rows", argument="data")
    known = known_columns(table, title, columns, None)
    table = _with_expressions(table, title, known)
    wanted = known.named
    for argument, names in wanted.items():
        for name in names:
            _check_column(table, title, argument, name)
    if columns.where is not None:
        table = table[columns.where.rows(_Typed(table, title), len(table))]
        if table.empty:
            raise DataError(f"no row of {title} is left", argument="where", got=columns.where.text)
    table, failed, notes = _without_unfinished(table, known)
    for argument in ("seed", "by", "average"):
        for name in wanted[argument]:
            _check_filled(table, title, argument, name)
            table = table.assign(**{name: typed(table[name])})
    numbers = {argument: _numbers(table, title, name) for argument in _POSITIVE for name in wanted[argument]}
    for argument, values in numbers.items():
        name = wanted[argument][0]
        bad = ~(np.isfinite(values) & (values > 0))
        if argument in _MAY_MISS:
            bad &= ~np.isnan(values)
        if bad.any():
            raise DataError(f"column {name!r} of {title}: {_held(table, name, bad)}; must be above 0")
    scores = {name: _numbers(table, title, name).copy() for name in known.score}  # a view of the table else
    notes += _name_diverged(scores, failed, table, title, known)
    table = table.assign(**{wanted[argument][0]: values for argument, values in numbers.items()}, **scores)
    if known.tokens_per_example is not None:
        tokens = known.tokens_per_example
        name = f"{known.batch_size} in tokens"
        table = table.assign(**{name: table[known.batch_size] * (table[tokens] if isinstance(tokens, str) else tokens)})
        known = replace(known, batch_size=name)
    return ReadTable(title, table, known, tuple(notes), known.error, known.n_seeds)


def _with_expressions(table: pd.DataFrame, title: str, columns: KnownColumns) -> pd.DataFrame:
    """With the value of each expression that was named in place of a column, under its text.

    Raises:
        BatchlawError: it does not fit the columns.
    """
    for argument, name in {"lr": columns.lr, "batch_size": columns.batch_size}.items():
        if name in table.columns or not _EXPRESSION.search(name):
            continue
        expression = Expression.parse(name, argument)
        value = np.broadcast_to(np.asarray(expression.evaluate(_Typed(table, title))), (len(table),))
        if value.dtype != float:
            raise BatchlawError("must be a number", argument=argument, got=name)
        table = table.assign(**{name: value})
    return table


def _read_csv(path: Path) -> pd.DataFrame:
    """The cells as text, so that their spelling tells what is missing; the index is the line of a row."""
    try:
        # The header is read as a row: pandas would rename columns that stand twice, and shift rows that are too long.
        cells = pd.read_csv(
            path, header=None, dtype=str, keep_default_na=False, skipinitialspace=True, skip_blank_lines=False
        )
    except OSError as error:
        raise DataError(str(error.strerror or error), argument="data", got=str(path)) from None
    except (ValueError, EOFError) as error:  # what pandas raises for text that is not a table
        raise DataError(f"not a CSV file: {' '.join(str(error).split())}", argument="data", got=str(path)) from None
    cells = cells.fillna("")  # what a short row lacks
    cells.index += 1
    cells.columns = pd.Index([str(name).strip() for name in cells.iloc[0]])
    filled = cells != ""
    return cells.iloc[1:][filled.iloc[1:].any(axis=1)]


def _check_column(table: pd.DataFrame, title: str, argument: str, name: str) -> None:
    if name not in table.columns:
        existing = list(map(str, table.columns))
        close = get_close_matches(name, existing, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close and close != [name] else ""
        raise DataError(f"{title} has no such column{hint}; it has {', '.join(existing)}", argument=argument, got=name)
    if isinstance(table[name], pd.DataFrame):
        raise DataError(f"{title} has several columns of this name", argument=argument, got=name)


def _check_filled(table: pd.DataFrame, title: str, argument: str, name: str) -> None:
    empty = table[name].isna().to_numpy()
    if not pd.api.types.is_numeric_dtype(table[name]):
        empty = empty | by_distinct(table[name], lambda text: text.lower() in MISSING, True).astype(bool)
    if empty.any():
        raise DataError(f"{_row(table, empty)} of {title} has no value there", argument=argument, got=name)


def _row(table: pd.DataFrame, chosen: NDArray[np.bool_]) -> str:
    """The first chosen row, by its line in a file or by its index."""
    return f"row {table.index[int(chosen.argmax())]}"


def _held(table: pd.DataFrame, name: str, chosen: NDArray[np.bool_]) -> str:
    """The first chosen row with its cell."""
    value = table[name].iloc[int(chosen.argmax())]
    return f"{_row(table, chosen)} holds {value.item() if isinstance(value, np.generic) else value!r}"


def _numbers(table: pd.DataFrame, title: str, name: str) -> Floats:
    """A column as floats: NaN where there is no value, infinity where a cell is not finite.

    Raises:
        DataError: a cell is something else than a number.
    """
    column = table[name]
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_complex_dtype(column):
        return np.asarray(column.to_numpy(float, na_value=np.nan))
    found = by_distinct(column, number, np.nan)
    wrong = found == None  # noqa: E711  # elementwise
    if wrong.any():
        raise DataError(f"column {name!r} of {title}: {_held(table, name, wrong)}, not a number")
    return found.astype(float)


class _Typed(Mapping[str, NDArray[Any]]):
    """The columns of a table, typed when an expression asks for them."""

    def __init__(self, table: pd.DataFrame, title: str) -> None:
        self._table, self._title = table, title

    def __getitem__(self, name: str) -> NDArray[Any]:
        _check_column(self._table, self._title, "column", name)
        return typed(self._table[name])

    def __contains__(self, name: object) -> bool:
        return name in self._table.columns

    def __iter__(self) -> Iterator[str]:
        return iter(map(str, self._table.columns))

    def __len__(self) -> int:
        return len(self._table.columns)


def _without_unfinished(
    table: pd.DataFrame, columns: Columns
) -> tuple[pd.DataFrame, dict[str, NDArray[np.bool_]], list[str]]:
    """Leave out the rows of runs that were pruned or have not ended, as a tool's column of states tells.

    Returns:
        The other rows; which of them failed, (n,), by the name of the column; and what was left out. An expression in
        `where` that names the column decides in place of this.
    """
    named = columns.where.columns if columns.where else ()
    for name in table.columns:
        if str(name).lower() not in STATE or name in named or isinstance(table[name], pd.DataFrame):
            continue
        state = by_distinct(table[name], str.lower, "").astype(object)
        distinct = set(state) - {""}
        if not distinct & _FINISHED or not distinct <= _FINISHED | _UNFINISHED | _FAILED:
            continue  # a column of something else
        left_out = np.isin(state, [*_UNFINISHED])
        notes = []
        if left_out.any():
            which = ", ".join(sorted({str(value) for value in table[name][left_out]}))
            notes = [f"{_rows(int(left_out.sum()))} left out: {name} is {which}"]
        return table[~left_out], {str(name): np.isin(state[~left_out], [*_FAILED])}, notes
    return table, {}, []


def _rows(n: int) -> str:
    return "1 row is" if n == 1 else f"{n} rows are"


def _name_diverged(
    scores: dict[str, Floats], failed: dict[str, NDArray[np.bool_]], table: pd.DataFrame, title: str, columns: Columns
) -> list[str]:
    """Make scores infinite that are those of runs that diverged, and NaN that are no final scores.

    Returns:
        What was done to finite scores that nobody named.
    """
    notes = []
    for values in scores.values():
        if columns.missing_diverged:
            values[np.isnan(values)] = np.inf
        if columns.diverged_above is not None:
            values[values > columns.diverged_above] = np.inf
        if columns.diverged_below is not None:
            values[values < columns.diverged_below] = np.inf
        values[np.abs(values) >= _LARGEST] = np.inf
    for name, rows in failed.items():
        blanked = rows & np.any([np.isfinite(values) for values in scores.values()], axis=0)
        for values in scores.values():
            values[rows & np.isfinite(values)] = np.nan
        if blanked.any():
            which = ", ".join(sorted({str(value) for value in table[name][blanked]}))
            count = int(blanked.sum())
            notes.append(
                f"the score of {count} row{'' if count == 1 else 's'} counts as missing: {name} is {which}, and the "
                "last report before that is no score"
            )
    if columns.diverged_where is not None:
        chosen = columns.diverged_where.rows(_Typed(table, title), len(table))
        for values in scores.values():
            values[chosen] = np.inf
    return notes
