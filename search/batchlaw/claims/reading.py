"""Results made elsewhere: a file or a DataFrame as runs whose scores are numbers, missing, or diverged."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from numbers import Real
from os import PathLike
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from batchlaw.errors import BatchlawError, DataError, check_whole
from batchlaw.expressions import Expression
from batchlaw.stats.surface import Floats

# Spellings in a file, without blanks at the ends and in any case. A tool that writes NaN has computed it, so the run
# diverged; a tool that writes nothing has no score, whatever the reason.
_MISSING = frozenset({"", "na", "n/a", "#n/a", "<na>", "null", "none"})
_NOT_FINITE = re.compile(
    r"[+-]?(?:nan(?:\(\w*\))?|inf(?:inity)?|∞|1\.#(?:inf|qnan|snan|ind)\d*)", re.IGNORECASE
)  # 1.#INF and its like are what C programs print on Windows
# Tools that store no infinity write the largest number of their type: MLflow 1.797e308, others float32's 3.4e38.
_LARGEST = float(np.finfo(np.float32).max)

# What Optuna, W&B, MLflow and Ray Tune write in their column `state` or `status`.
STATE = ("state", "status")
_FINISHED = frozenset({"complete", "completed", "finished", "success", "succeeded", "terminated", "done"})
_UNFINISHED = frozenset({"pruned", "running", "waiting", "scheduled", "pending", "paused", "queued", "stopped"})
_FAILED = frozenset({"fail", "failed", "crashed", "killed", "error"})


@dataclass(frozen=True, kw_only=True)
class Columns:
    """What the columns of a table mean, which rows are kept, and which scores are those of runs that diverged.

    See `batchlaw.claims.claim.claim`.
    """

    lr: str
    batch_size: str
    score: tuple[str, ...]
    seed: str | None
    by: tuple[str, ...]
    average: tuple[str, ...]
    maximize: bool
    where: Expression | None
    missing_diverged: bool
    diverged_above: float | None
    diverged_below: float | None
    diverged_where: Expression | None

    @classmethod
    def of(
        cls, *, score: str | Sequence[str], lr: str = "lr", batch_size: str = "batch_size", seed: str | None = None,
        by: str | Sequence[str] | None = None, average: str | Sequence[str] | None = None,
        direction: str = "maximize", where: str | None = None, missing: str = "missing",
        diverged_above: float | None = None, diverged_below: float | None = None, diverged_where: str | None = None,
    ) -> Self:  # fmt: skip
        """From arguments; several columns are a sequence, or one text with commas.

        Raises:
            BatchlawError: the direction is none, a name is no text, or an expression is wrong.
        """
        for argument, name in {"lr": lr, "batch_size": batch_size, "seed": seed or ""}.items():
            if not isinstance(name, str):
                raise BatchlawError("must be the name of a column", argument=argument, got=name)
        if direction not in ("maximize", "minimize"):
            raise BatchlawError("must be maximize or minimize", argument="direction", got=direction)
        if missing not in ("missing", "diverged"):
            raise BatchlawError("must be missing or diverged", argument="missing", got=missing)
        bounds = {"diverged_above": ("minimize", diverged_above), "diverged_below": ("maximize", diverged_below)}
        for argument, (of, bound) in bounds.items():
            if bound is None:
                continue
            if isinstance(bound, bool) or not isinstance(bound, Real) or bound != bound:
                raise BatchlawError("must be a number", argument=argument, got=bound)
            if direction != of:  # it would name the best runs
                other = next(name for name in bounds if name != argument)
                raise BatchlawError(f"goes with a score to {of}", argument=argument, got=bound, remedy=other)
        found = cls(
            lr=lr, batch_size=batch_size, score=_names("score", score), seed=seed, by=_names("by", by or ()),
            average=_names("average", average or ()),
            maximize=direction == "maximize", where=None if where is None else Expression.parse(where, "where"),
            missing_diverged=missing == "diverged",
            diverged_above=None if diverged_above is None else float(diverged_above),
            diverged_below=None if diverged_below is None else float(diverged_below),
            diverged_where=None if diverged_where is None else Expression.parse(diverged_where, "diverged_where"),
        )  # fmt: skip
        meant: dict[str, str] = {}
        for argument, names in found.named.items():
            for name in names:
                if name in meant:
                    raise BatchlawError(f"is named by {meant[name]}, too", argument=argument, got=name)
                meant[name] = argument
        return found

    @property
    def named(self) -> dict[str, tuple[str, ...]]:
        """The columns that have a meaning, by argument."""
        return {
            "lr": (self.lr,), "batch_size": (self.batch_size,), "score": self.score,
            "seed": (self.seed,) if self.seed else (), "by": self.by, "average": self.average,
        }  # fmt: skip


def _names(argument: str, columns: str | Sequence[str]) -> tuple[str, ...]:
    if isinstance(columns, str):
        return tuple(name.strip() for name in columns.split(","))
    if not isinstance(columns, Sequence) or not all(isinstance(name, str) for name in columns):
        raise BatchlawError("must be the name of a column, or several names", argument=argument, got=columns)
    return tuple(columns)


def check_statistics(alpha: float, bootstrap_seed: int) -> None:
    """Refuse a level or a seed that cannot be used.

    Raises:
        BatchlawError: names the argument, its value and the bound.
    """
    if not isinstance(alpha, Real) or not 0 < alpha < 1:
        raise BatchlawError("must lie between 0 and 1", argument="alpha", got=alpha)
    check_whole(bootstrap_seed, "bootstrap_seed", at_least=0)


def title_of(data: pd.DataFrame | str | Path) -> str:
    """What messages and reports call a table."""
    return "the table" if isinstance(data, pd.DataFrame) else Path(data).name


@dataclass(frozen=True, eq=False)
class Runs:
    """The rows of a table that are kept.

    `table` has them with all their columns: learning rates and batch sizes as floats above 0, scores as floats, where
    NaN is a missing score and an infinite one is that of a run that diverged.
    """

    title: str
    table: pd.DataFrame
    notes: tuple[str, ...]  # what was left out, as sentences


def read_runs(data: pd.DataFrame | str | Path, columns: Columns) -> Runs:
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
    wanted = columns.named
    for argument, names in wanted.items():
        for name in names:
            _check_column(table, title, argument, name)
    if table.empty:
        raise DataError(f"{title} has no rows", argument="data")
    if columns.where is not None:
        table = table[columns.where.rows(_Typed(table, title), len(table))]
        if table.empty:
            raise DataError(f"no row of {title} is left", argument="where", got=columns.where.text)
    table, failed, notes = _without_unfinished(table, columns)
    for argument in ("seed", "by", "average"):
        for name in wanted[argument]:
            _check_filled(table, title, argument, name)
            table = table.assign(**{name: typed(table[name])})
    numbers = {name: _numbers(table, title, name) for name in (columns.lr, columns.batch_size)}
    for name, values in numbers.items():
        bad = ~(np.isfinite(values) & (values > 0))
        if bad.any():
            raise DataError(f"column {name!r} of {title}: {_held(table, name, bad)}; must be above 0")
    scores = {name: _numbers(table, title, name).copy() for name in columns.score}  # a view of the table else
    notes += _name_diverged(scores, failed, table, title, columns)
    return Runs(title, table.assign(**numbers, **scores), tuple(notes))


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
        empty = empty | _by_distinct(table[name], lambda text: text.lower() in _MISSING, True).astype(bool)
    if empty.any():
        raise DataError(f"{_row(table, empty)} of {title} has no value there", argument=argument, got=name)


def _row(table: pd.DataFrame, chosen: NDArray[np.bool_]) -> str:
    """The first chosen row, by its line in a file or by its index."""
    return f"row {table.index[int(chosen.argmax())]}"


def _held(table: pd.DataFrame, name: str, chosen: NDArray[np.bool_]) -> str:
    """The first chosen row with its cell."""
    value = table[name].iloc[int(chosen.argmax())]
    return f"{_row(table, chosen)} holds {value.item() if isinstance(value, np.generic) else value!r}"


def _by_distinct(column: "pd.Series[Any]", of: Callable[[str], Any], if_absent: Any) -> NDArray[Any]:
    """A function of the text of every cell, without blanks at its ends; it is called once for each distinct text."""
    codes, distinct = pd.factorize(column.map(str, na_action="ignore"))
    found = [of(text.strip()) for text in distinct]
    return np.asarray(np.array([*found, if_absent])[codes])  # the code of an absent value is -1


def _numbers(table: pd.DataFrame, title: str, name: str) -> Floats:
    """A column as floats: NaN where there is no value, infinity where a cell is not finite.

    Raises:
        DataError: a cell is something else than a number.
    """
    column = table[name]
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_complex_dtype(column):
        return np.asarray(column.to_numpy(float, na_value=np.nan))
    found = _by_distinct(column, _number, np.nan)
    wrong = found == None  # noqa: E711  # elementwise
    if wrong.any():
        raise DataError(f"column {name!r} of {title}: {_held(table, name, wrong)}, not a number")
    return found.astype(float)


def _number(text: str) -> float | None:
    """The number in a cell: NaN if it is missing, infinite if it is spelled as not finite, None if it is no number."""
    if text.lower() in _MISSING:
        return np.nan
    if _NOT_FINITE.fullmatch(text):
        return np.inf
    try:
        return float(text)
    except ValueError:
        return None


def typed(column: "pd.Series[Any]") -> NDArray[Any]:
    """A column as numbers if all its cells are, as truth values if all are true or false, else as text, (n,).

    A missing number is NaN, a missing text is empty.
    """
    if pd.api.types.is_bool_dtype(column) and not column.isna().any():
        return np.asarray(column.to_numpy(bool))
    if pd.api.types.is_integer_dtype(column) and not column.isna().any():
        return np.asarray(column.to_numpy())
    if pd.api.types.is_numeric_dtype(column):
        return np.asarray(column.to_numpy(float, na_value=np.nan))
    texts = _by_distinct(column, lambda text: text, "").astype(object)
    distinct = set(texts)
    if {text.lower() for text in distinct} <= {"true", "false"}:
        return np.asarray(_by_distinct(column, lambda text: text.lower() == "true", False), bool)
    if all(re.fullmatch(r"[+-]?\d{1,18}", text) for text in distinct):
        return _by_distinct(column, int, 0)
    known = [_number(text) for text in distinct]
    if None in known or all(value != value for value in known):
        return texts
    return _by_distinct(column, _number, np.nan).astype(float)


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
        state = _by_distinct(table[name], str.lower, "").astype(object)
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
