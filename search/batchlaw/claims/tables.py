"""Results made elsewhere: from a table of runs to surfaces."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from numbers import Real
from os import PathLike
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from batchlaw.errors import BatchlawError, DataError, check_whole
from batchlaw.stats.surface import Surface


@dataclass(frozen=True, kw_only=True)
class Columns:
    """What the columns of a table mean; see `batchlaw.claims.claim.claim`."""

    lr: str
    batch_size: str
    score: tuple[str, ...]
    seed: str | None
    by: tuple[str, ...]
    maximize: bool

    @classmethod
    def of(
        cls, *, lr: str, batch_size: str, score: str | Sequence[str], seed: str | None,
        by: str | Sequence[str] | None, direction: str,
    ) -> Self:  # fmt: skip
        """From arguments; several columns are a sequence, or one text with commas.

        Raises:
            BatchlawError: the direction is none, or a name is no text.
        """
        for argument, name in {"lr": lr, "batch_size": batch_size, "seed": seed or ""}.items():
            if not isinstance(name, str):
                raise BatchlawError("must be the name of a column", argument=argument, got=name)
        if direction not in ("maximize", "minimize"):
            raise BatchlawError("must be maximize or minimize", argument="direction", got=direction)
        return cls(
            lr=lr, batch_size=batch_size, score=_names("score", score), seed=seed,
            by=_names("by", by or ()),
            maximize=direction == "maximize",
        )  # fmt: skip


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


def read_table(data: pd.DataFrame | str | Path, columns: Columns, where: str | None) -> pd.DataFrame:
    """Read a CSV or CSV.gz file, or take a DataFrame, and check its columns.

    Args:
        data: a DataFrame, which is not changed, or the path of a file.
        columns: the columns that are asked for.
        where: an expression of `DataFrame.query` that the rows to keep fulfil.

    Raises:
        DataError: it cannot be read, or a column is missing or holds something other than numbers; one line.
    """
    if not isinstance(data, pd.DataFrame | str | PathLike):
        raise DataError(f"must be a DataFrame or the path of a file, not {type(data).__name__}", argument="data")
    title, table = title_of(data), data if isinstance(data, pd.DataFrame) else _read_csv(Path(data))
    first = 0 if isinstance(data, pd.DataFrame) else 2  # a file's first row stands on its second line
    wanted = {"lr": (columns.lr,), "batch_size": (columns.batch_size,), "score": columns.score}
    wanted |= {"seed": (columns.seed,) if columns.seed else (), "by": columns.by}
    for argument, names in wanted.items():
        for name in names:
            if name not in table.columns:
                existing = list(map(str, table.columns))
                close = get_close_matches(name, existing, n=1)
                hint = f" (did you mean {close[0]!r}?)" if close else ""
                raise DataError(
                    f"{title} has no such column{hint}; it has {', '.join(existing)}", argument=argument, got=name
                )
            if isinstance(table[name], pd.DataFrame):
                raise DataError(f"{title} has several columns of this name", argument=argument, got=name)
    if where is not None:
        try:
            table = table.query(where, engine="python")
        except Exception as error:  # an expression of the user's may raise anything
            reason = " ".join(str(error).split()) or type(error).__name__
            raise DataError(reason, argument="where", got=where) from None
        if table.empty:
            raise DataError(f"no row of {title} is left", argument="where", got=where)
    for argument in ("seed", "by"):
        for name in wanted[argument]:
            if (empty := table[name].isna()).any():
                row = _row(table, empty, first)
                raise DataError(f"{row} of {title} has no value there", argument=argument, got=name)
    for name in (columns.lr, columns.batch_size, *columns.score):
        numbers = pd.to_numeric(table[name], errors="coerce")
        wrong = numbers.isna() & table[name].notna()
        if wrong.any():
            row = _row(table, wrong, first)
            raise DataError(f"column {name!r} of {title}: {row} holds {table[name][wrong].iloc[0]!r}, not a number")
        table = table.assign(**{name: numbers.astype(float)})
    for name in (columns.lr, columns.batch_size):
        bad = ~(np.isfinite(table[name]) & (table[name] > 0))
        if bad.any():
            row = _row(table, bad, first)
            raise DataError(f"column {name!r} of {title}: {row} holds {table[name][bad].iloc[0]}; must be above 0")
    return table


def _read_csv(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path)
    except OSError as error:
        raise DataError(str(error.strerror or error), argument="data", got=str(path)) from None
    except (ValueError, EOFError) as error:  # what pandas raises for text that is not a table
        raise DataError(f"not a CSV file: {' '.join(str(error).split())}", argument="data", got=str(path)) from None


def _row(table: pd.DataFrame, chosen: pd.Series, first: int) -> str:
    """The first chosen row, by its line in a file or by its index."""
    label = table.index[int(chosen.to_numpy().argmax())]
    return f"row {label + first if first else label}"


def surfaces(table: pd.DataFrame, columns: Columns) -> Iterator[tuple[dict[str, Any], Surface]]:
    """The surface of each group, or of the whole table under an empty name.

    Raises:
        DataError: a grid has one level only, has holes, or its cells have no or unequal replicates; one line.
    """
    if not columns.by:
        yield {}, surface_of(table, columns, "the table")
        return
    for levels, part in table.groupby(list(columns.by), sort=True):
        group = dict(zip(columns.by, levels, strict=True))
        yield group, surface_of(part, columns, "group " + ", ".join(f"{k}={v}" for k, v in group.items()))


def surface_of(table: pd.DataFrame, columns: Columns, name: str) -> Surface:
    """One surface. A run with a score of NaN or infinity diverged, and counts with the worst finite score.

    Several score columns, or rows told apart by the seed column, are the same seeds in every cell. Repeated rows
    without such a column are not paired.
    """
    lrs, batch_sizes = np.unique(table[columns.lr]), np.unique(table[columns.batch_size])
    for what, levels in ((columns.lr, lrs), (columns.batch_size, batch_sizes)):
        if len(levels) < 3:
            raise DataError(f"{name}: column {what!r} has too few levels, {len(levels)}; an optimum needs 3")
    keys = [columns.lr, columns.batch_size] + ([columns.seed] if columns.seed else [])
    cells = table.groupby([columns.lr, columns.batch_size]).size()
    if len(cells) < len(lrs) * len(batch_sizes):
        missing = next((e, b) for e in lrs for b in batch_sizes if (e, b) not in cells.index)
        hole = f"{columns.lr} = {missing[0]:g} and {columns.batch_size} = {missing[1]:g}"
        raise DataError(f"{name}: no row has {hole}; the grid must be full")
    repeats = int(cells.min())
    if cells.max() != repeats:
        odd = cells.idxmin()
        fewest = f"{columns.lr} = {odd[0]:g}, {columns.batch_size} = {odd[1]:g}"
        raise DataError(
            f"{name}: cells have {repeats} to {cells.max()} rows, fewest at {fewest}; every cell needs the same number"
        )
    if repeats * len(columns.score) < 2:
        raise DataError(
            f"{name}: one score a cell; replicates are needed: several score columns, or a row for each seed"
        )
    if columns.seed:
        seeds = table.groupby(columns.seed).size()
        if len(seeds) != repeats or table.duplicated(keys).any():
            raise DataError(
                f"the column does not tell the {repeats} rows of each cell apart", argument="seed", got=columns.seed
            )
    ordered = table.sort_values([*keys, *columns.score])  # so that the order of rows does not matter
    scores = ordered[list(columns.score)].to_numpy(float).reshape(len(lrs), len(batch_sizes), -1)
    finite = np.isfinite(scores)
    if not finite.any():
        raise DataError(f"{name}: no score is a finite number")
    signed = scores if columns.maximize else -scores
    signed = np.where(finite, signed, signed[finite].min())
    paired = repeats == 1 or columns.seed is not None
    return Surface(lrs, batch_sizes, signed, ~finite, paired=paired)
