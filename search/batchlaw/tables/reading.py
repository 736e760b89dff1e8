"""Results made elsewhere: a file or a DataFrame as runs whose scores are numbers, missing, or diverged."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from batchlaw.errors import BatchlawError, DataError
from batchlaw.expressions import Expression
from batchlaw.stats.surface import Floats
from batchlaw.tables import names
from batchlaw.tables.columns import UNTOLD, Columns, KnownColumns
from batchlaw.tables.epochs import one_row_a_run
from batchlaw.tables.exports import DIVERGED, FAILED, FINISHED, HAS_DIVERGED, STATE, UNFINISHED, YES
from batchlaw.tables.long import one_score_a_row
from batchlaw.tables.opening import Data, open_table
from batchlaw.tables.recognition import known_columns
from batchlaw.tables.run_names import with_parts_of_names
from batchlaw.tables.spelling import MISSING, REASONS, amount, by_distinct, is_product, number, plain, spread, typed

# Tools that store no infinity write the largest number of their type: MLflow 1.797e308, others float32's 3.4e38.
_LARGEST = float(np.finfo(np.float32).max)

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
            _check_column(table, title, argument, name)
    table = _with_plain_numbers(table, known)
    known, table, spreads = _with_spread(known, table)
    if columns.where is not None:
        table = table[columns.where.rows(_Typed(table, title), len(table))]
        if table.empty:
            raise DataError(f"no row of {title} is left", argument="where", got=columns.where.text)
    table, failed, notes = _without_unfinished(table, known)
    table, more = _with_places(table, title, known)
    failed = {name: rows[more.kept] for name, rows in failed.items()}
    scores = {name: _numbers(table, title, name).copy() for name in known.score}  # a view of the table else
    notes += [
        *opened.notes,
        *named,
        *left_out,
        *more.notes,
        *_reasons(table, known),
        *_name_diverged(scores, failed, table, title, known),
    ]
    runs = one_row_a_run(table, known, scores)
    of_runs = {known.lr: runs.lr} | {name: values[runs.rows] for name, values in scores.items()}
    table = table.iloc[runs.rows].assign(**of_runs)
    for argument in ("seed", "by", "average"):
        for name in wanted[argument]:
            _check_filled(table, title, argument, name)
            table = table.assign(**{name: typed(table[name])})
    for argument in ("tokens_per_example", "error", "seeds"):
        for name in known.named[argument]:
            values = _numbers(table, title, name)
            _check_positive(values, table, title, name, may_miss=argument != "tokens_per_example")
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
    raw = {columns.lr: _read(table[columns.lr]), columns.batch_size: _read(table[columns.batch_size], amount)}
    numbers, kept, notes = {}, np.ones(len(table), dtype=bool), list[str]()
    if not pd.api.types.is_numeric_dtype(table[columns.batch_size]):
        products = [text for text in table[columns.batch_size].drop_duplicates().astype(str) if is_product(text)]
        notes += [f"{columns.batch_size} is read as a product, such as {products[0]}"] if products else []
    for name, other in ((columns.lr, columns.batch_size), (columns.batch_size, columns.lr)):
        no_run = _no_number(raw[name]) & (
            (raw[other] != raw[other]) | _no_number(raw[other])
        )  # such as means, or notes
        if no_run.mean() > _FEW:
            no_run[:] = False
        wrong = _no_number(raw[name]) & ~no_run
        if wrong.any() and wrong.mean() <= _SOME:
            told = ", ".join(map(repr, dict.fromkeys(table[name][wrong].astype(str).tolist()[:_MOST_NAMED])))
            notes.append(f"{_rows(int(wrong.sum()))} left out: {name} is {told}, which is no number")
            kept &= ~wrong
            no_run = no_run | wrong
        numbers[name] = _checked(np.where(no_run, np.nan, raw[name]), table, title, name)
        unit = names.unit_of(name)
        if unit > 1 or (unit < 1 and np.nanmedian(numbers[name]) >= _SMALL):
            numbers[name] = unit * numbers[name]
            notes.append(f"the numbers of {name} are read in units of {unit:g}")
    for name, values in numbers.items():
        _check_positive(values, table, title, name, may_miss=True)
        if n := int((kept & np.isnan(values)).sum()):
            notes.append(f"{n} row{'' if n == 1 else 's'} without {name} {'is' if n == 1 else 'are'} left out")
        kept &= ~np.isnan(values)
    if not kept.any():
        raise DataError(f"no row of {title} has {columns.lr} and {columns.batch_size}", argument="data")
    return table.assign(**numbers)[kept], _Kept(kept, notes)


def _check_positive(values: Floats, table: pd.DataFrame, title: str, name: str, *, may_miss: bool) -> None:
    bad = ~(np.isfinite(values) & (values > 0))
    if may_miss:
        bad &= ~np.isnan(values)
    if bad.any():
        hint = f"; '10 ** {name}', if that is its logarithm" if (values[~np.isnan(values)] < 0).all() else ""
        raise DataError(f"column {name!r} of {title}: {_held(table, name, bad)}; must be above 0{hint}")


def _reasons(table: pd.DataFrame, columns: KnownColumns) -> list[str]:
    """What stands in place of scores that are missing."""
    counts: Counter[str] = Counter()
    for name in columns.score:
        if not pd.api.types.is_numeric_dtype(table[name]):
            told = by_distinct(table[name], lambda text: text if text.lower() in REASONS else "", "")
            counts.update(text for text in told.tolist() if text)
    if not counts:
        return []
    return ["in place of scores stand " + ", ".join(f"{text} ({n})" for text, n in counts.most_common()) + ": missing"]


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
        value = np.broadcast_to(np.asarray(expression.evaluate(_Typed(table, title))), (len(table),))
        if value.dtype != float:
            raise BatchlawError("must be a number", argument=argument, got=name)
        table = table.assign(**{name: value})
    return table


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
    return _checked(_read(table[name]), table, title, name)


def _read(column: "pd.Series[Any]", of: Callable[[str], float | None] = number) -> NDArray[Any]:
    """Floats, or objects where a cell that is no number is None."""
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_complex_dtype(column):
        return np.asarray(column.to_numpy(float, na_value=np.nan))
    return by_distinct(column, of, np.nan)


def _no_number(values: NDArray[Any]) -> NDArray[np.bool_]:
    return np.asarray(values == None, dtype=bool)  # noqa: E711  # elementwise


def _checked(values: NDArray[Any], table: pd.DataFrame, title: str, name: str) -> Floats:
    wrong = _no_number(values)
    if wrong.any():
        raise DataError(f"column {name!r} of {title}: {_held(table, name, wrong)}, not a number")
    return values.astype(float)


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
        if not distinct & FINISHED or not distinct <= FINISHED | UNFINISHED | FAILED | DIVERGED:
            continue  # a column of something else
        left_out = np.isin(state, [*UNFINISHED])
        notes = []
        if left_out.any():
            which = ", ".join(sorted({str(value) for value in table[name][left_out]}))
            notes = [f"{_rows(int(left_out.sum()))} left out: {name} is {which}"]
        return table[~left_out], {str(name): np.isin(state[~left_out], [*FAILED])}, notes
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
        told = {"": columns.diverged_where.rows(_Typed(table, title), len(table))}
    else:
        told = _told_diverged(table)
    for name, chosen in told.items():
        for values in scores.values():
            values[chosen] = np.inf
        if name and chosen.any():
            which = ", ".join(sorted({str(value) for value in table[name][chosen]}))
            notes.append(f"{int(chosen.sum())} of {len(table)} rows count as diverged: {name} is {which}")
    return notes


def _told_diverged(table: pd.DataFrame) -> dict[str, NDArray[np.bool_]]:
    """The rows of which a column of states, or one that is called so, says that the run diverged, by its name."""
    found = {}
    for name in table.columns:
        says = DIVERGED if str(name).lower() in STATE else YES if str(name).lower() in HAS_DIVERGED else ()
        if says and not isinstance(table[name], pd.DataFrame):
            texts = by_distinct(table[name], str.lower, "").astype(object)
            found[str(name)] = np.isin(texts, [*says])
    return found
