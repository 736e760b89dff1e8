"""Results made elsewhere: from a CSV file to surfaces."""

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from batchlaw.errors import DataError
from batchlaw.stats.surface import Surface


@dataclass(frozen=True, kw_only=True)
class Columns:
    """What the columns of a table mean."""

    lr: str
    batch_size: str
    scores: tuple[str, ...]
    replicate: str | None
    group: tuple[str, ...]
    maximize: bool


def read_table(path: Path, columns: Columns, where: str | None) -> pd.DataFrame:
    """Read a CSV or CSV.gz file and check it.

    Raises:
        DataError: it cannot be read, or a column is missing or holds something other than numbers; one line.
    """
    try:
        table = pd.read_csv(path)
    except OSError as error:
        raise DataError(f"--csv {path}: {error.strerror or error}") from None
    except (ValueError, EOFError) as error:  # what pandas raises for text that is no table
        raise DataError(f"--csv {path}: not a CSV file: {' '.join(str(error).split())}") from None
    wanted = {"--lr": (columns.lr,), "--batch-size": (columns.batch_size,), "--score": columns.scores}
    wanted |= {"--replicate": (columns.replicate,) if columns.replicate else (), "--group": columns.group}
    for option, names in wanted.items():
        for name in names:
            if name not in table.columns:
                close = get_close_matches(name, list(map(str, table.columns)), n=1)
                hint = f" (did you mean {close[0]!r}?)" if close else ""
                raise DataError(f"{option}: {path} has no column {name!r}{hint}; it has {', '.join(table.columns)}")
    if where is not None:
        try:
            table = table.query(where, engine="python")
        except Exception as error:  # whatever an expression of the user's trips over
            raise DataError(f"--where {where!r}: {' '.join(str(error).split()) or type(error).__name__}") from None
        if table.empty:
            raise DataError(f"--where {where!r}: no row of {path} is left")
    for name in (columns.lr, columns.batch_size, *columns.scores):
        numbers = pd.to_numeric(table[name], errors="coerce")
        wrong = numbers.isna() & table[name].notna()
        if wrong.any():
            row = int(wrong.to_numpy().argmax())
            got = f"row {table.index[row] + 2} holds {table[name].iloc[row]!r}"
            raise DataError(f"column {name!r} of {path}: {got}, not a number")
        table = table.assign(**{name: numbers.astype(float)})
    for name in (columns.lr, columns.batch_size):
        bad = ~(np.isfinite(table[name]) & (table[name] > 0))
        if bad.any():
            row = int(bad.to_numpy().argmax())
            got = f"row {table.index[row] + 2} holds {table[name].iloc[row]}"
            raise DataError(f"column {name!r} of {path}: {got}; must be above 0")
    return table


def surfaces(table: pd.DataFrame, columns: Columns) -> Iterator[tuple[dict[str, Any], Surface]]:
    """The surface of each group, or of the whole table under an empty name.

    Raises:
        DataError: a grid has one level only, has holes, or its cells have no or unequal replicates; one line.
    """
    if not columns.group:
        yield {}, surface_of(table, columns, "the table")
        return
    for levels, part in table.groupby(list(columns.group), sort=True):
        group = dict(zip(columns.group, levels, strict=True))
        yield group, surface_of(part, columns, "group " + ", ".join(f"{k}={v}" for k, v in group.items()))


def surface_of(table: pd.DataFrame, columns: Columns, name: str) -> Surface:
    """One surface. NaN and infinite scores are runs that diverged, and count with its worst finite score.

    Several score columns, or rows told apart by the replicate column, are the same seeds in every cell. Repeated rows
    without such a column are not paired.
    """
    lrs, batch_sizes = np.unique(table[columns.lr]), np.unique(table[columns.batch_size])
    for what, levels in ((columns.lr, lrs), (columns.batch_size, batch_sizes)):
        if len(levels) < 3:
            raise DataError(f"{name}: column {what!r} has too few levels, {len(levels)}; an optimum needs 3")
    keys = [columns.lr, columns.batch_size] + ([columns.replicate] if columns.replicate else [])
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
    if repeats * len(columns.scores) < 2:
        raise DataError(
            f"{name}: one score a cell; judging needs replicates: several --score columns, or repeated rows"
        )
    if columns.replicate:
        seeds = table.groupby(columns.replicate).size()
        if len(seeds) != repeats or table.duplicated(keys).any():
            raise DataError(
                f"--replicate: column {columns.replicate!r} does not tell the {repeats} rows of each cell apart"
            )
    ordered = table.sort_values([*keys, *columns.scores])  # so that the order of rows does not matter
    scores = ordered[list(columns.scores)].to_numpy(float).reshape(len(lrs), len(batch_sizes), -1)
    finite = np.isfinite(scores)
    if not finite.any():
        raise DataError(f"{name}: no score is a finite number")
    signed = scores if columns.maximize else -scores
    signed = np.where(finite, signed, signed[finite].min())
    paired = repeats == 1 or columns.replicate is not None
    return Surface(lrs, batch_sizes, signed, ~finite, paired=paired)
