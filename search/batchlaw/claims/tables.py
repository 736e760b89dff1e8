"""From the runs of a table to surfaces, with what a reader must know about them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from batchlaw.claims.reading import Columns, read_runs
from batchlaw.errors import DataError
from batchlaw.stats.surface import Bools, Floats, Surface

_FEWEST_LEVELS = 3
_SAME_RATE = 0.02  # a sweep writes .00391 and .00390625; no sweep has steps as small as this
_SAME_SIZE = 1e-6
_NOTED = 1e-6  # levels that differ by less are one number, written in two ways
_SHARED = 0.5  # seeds are paired if a seed is in this share of the cells at least
_ONE_SIDED = 0.25  # share of the levels that are free of what lies on one side, at least (assumption)

Group = dict[str, Any]  # the levels of the columns that part a table


def surfaces(data: pd.DataFrame | str | Path, columns: Columns) -> tuple[list[tuple[Group, Surface]], tuple[str, ...]]:
    """The surface of each group of a table, or of the whole table under an empty name, and notes.

    Args:
        data: a DataFrame, which is not changed, or the path of a CSV or CSV.gz file.
        columns: what is asked for.

    Returns:
        The surfaces, the learning rate given and the batch size tuned; and sentences on what is missing, diverged, left
        out or merged.

    Raises:
        DataError: the table cannot be read; a grid has too few levels, or no replicates; one line.
        BatchlawError: an expression does not fit the columns.
    """
    runs = read_runs(data, columns)
    if columns.by:
        parts = [
            (dict(zip(columns.by, levels, strict=True)), part)
            for levels, part in runs.table.groupby(list(columns.by), sort=True)
        ]
    else:
        parts = [({}, runs.table)]
    notes = list(runs.notes)
    found: list[tuple[Group, Surface]] = []
    for group, part in parts:
        name = "group " + ", ".join(f"{key}={value}" for key, value in group.items()) if group else "the table"
        surface, more = _surface_of(part, columns, name)
        found.append((group, surface))
        notes += more
    return found, tuple(dict.fromkeys([*_counts(found, columns), *notes]))


def _surface_of(table: pd.DataFrame, columns: Columns, name: str) -> tuple[Surface, list[str]]:
    """One surface. A run that diverged counts with the worst finite score; a score that is missing is NaN.

    Several score columns, or rows told apart by the seed column, are the same seeds in every cell. Repeated rows
    without such a column are not paired.
    """
    rates, sizes = (_Levels.of(table[key], tolerance) for key, tolerance in (
        (columns.lr, _SAME_RATE), (columns.batch_size, _SAME_SIZE)
    ))  # fmt: skip
    scores = table[list(columns.score)].to_numpy(float)  # (n_rows, n_score_columns)
    if not np.isfinite(scores).any():
        raise DataError(f"{name}: no score is a finite number")
    signed = scores if columns.maximize else -scores
    worst = signed[np.isfinite(signed)].min()
    known = ~np.isnan(scores).all(axis=1)
    for what, levels in ((columns.lr, rates), (columns.batch_size, sizes)):
        n = len(np.unique(levels.index[known]))
        if n < _FEWEST_LEVELS:
            raise DataError(f"{name}: column {what!r} has too few levels, {n}; an optimum needs {_FEWEST_LEVELS}")
    replicate, paired, notes = _replicates(table, columns, rates, sizes, signed, name)
    shape = (len(rates.values), len(sizes.values), int(replicate.max()) + 1, len(columns.score))
    filled, unstable = np.full(shape, np.nan), np.zeros(shape, dtype=bool)
    at = rates.index, sizes.index, replicate
    diverged = np.isinf(scores)
    filled[at], unstable[at] = np.where(diverged, worst, signed), diverged
    grid = (*shape[:2], -1)
    filled, has_row = filled.reshape(grid), np.zeros(shape[:2], dtype=bool)
    has_row[rates.index, sizes.index] = True
    lost = has_row & np.isnan(filled).all(axis=2)
    surface = Surface(rates.values, sizes.values, filled, unstable.reshape(grid), paired, lost)
    if surface.counts.max() < 2:
        raise DataError(
            f"{name}: one score a cell; replicates are needed: several score columns, or a row for each seed"
        )
    return surface, [*rates.notes("learning rates"), *notes]


def _replicates(
    table: pd.DataFrame, columns: Columns, rates: "_Levels", sizes: "_Levels", signed: Floats, name: str
) -> tuple[NDArray[np.intp], bool, list[str]]:
    """The number of each row within its cell, (n_rows,), and whether equal numbers are the same seed in every cell.

    Raises:
        DataError: the rows of a cell cannot be told apart, or their number differs from cell to cell without a seed.
    """
    cell = rates.index * len(sizes.values) + sizes.index
    n_rows = np.bincount(cell)
    n_rows = n_rows[n_rows > 0]

    def where(row: int) -> str:
        return f"{columns.lr} = {rates.of_row(row):g}, {columns.batch_size} = {sizes.of_row(row):g}"

    # Within a cell by the score, so that the order of rows does not matter.
    order = np.lexsort((*signed.T[::-1], cell))
    rank = np.empty(len(cell), dtype=np.intp)
    rank[order] = np.arange(len(cell)) - np.repeat(np.cumsum(n_rows) - n_rows, n_rows)
    if columns.seed is None:
        if n_rows.min() != n_rows.max():
            fewest = int((np.bincount(cell)[cell]).argmin())
            raise DataError(
                f"{name}: cells have {n_rows.min()} to {n_rows.max()} rows, fewest at {where(fewest)}; a column of "
                "their seeds would tell which are missing; see seed"
            )
        return rank, bool(n_rows.max() == 1), []
    seeds, seed = np.unique(table[columns.seed].to_numpy(), return_inverse=True)
    _, first, repeats = np.unique(cell * len(seeds) + seed, return_index=True, return_counts=True)
    if repeats.max() > 1:
        row = int(first[repeats.argmax()])
        value = table[columns.seed].iloc[row]
        raise DataError(
            f"{name}: {repeats.max()} rows have {where(row)} and {columns.seed} = {value}; the column does not tell "
            "the rows of a cell apart",
            argument="seed", got=columns.seed,
        )  # fmt: skip
    if len(cell) < _SHARED * len(n_rows) * len(seeds):
        return rank, False, [f"the values of {columns.seed} differ from cell to cell, so that runs are not paired"]
    return seed.astype(np.intp), True, []


@dataclass(frozen=True, eq=False)
class _Levels:
    """The distinct levels of a factor; numbers that agree to a tolerance are one level."""

    values: Floats  # (n_levels,) ascending
    index: NDArray[np.intp]  # (n_rows,) the level of each row
    merged: tuple[tuple[float, ...], ...]  # the different numbers that are one level, for people

    @classmethod
    def of(cls, column: "pd.Series[float]", tolerance: float) -> "_Levels":
        """A level has its most frequent number, and of several the one that is written with the fewest digits."""
        distinct, index, counts = np.unique(column.to_numpy(float), return_inverse=True, return_counts=True)
        level, start = np.zeros(len(distinct), dtype=np.intp), distinct[0]
        for place, value in enumerate(distinct[1:], start=1):
            new = value > start * (1 + tolerance)
            level[place], start = level[place - 1] + new, value if new else start
        values, merged = [], []
        for number in range(level[-1] + 1):
            members = np.flatnonzero(level == number)
            best = max(members, key=lambda place: (counts[place], -len(repr(float(distinct[place])))))
            values.append(distinct[best])
            if distinct[members[-1]] > distinct[members[0]] * (1 + _NOTED):
                merged.append(tuple(distinct[members].tolist()))
        return cls(np.array(values), level[index], tuple(merged))

    def of_row(self, row: int) -> float:
        """The level of a row."""
        return float(self.values[self.index[row]])

    def notes(self, what: str) -> list[str]:
        """That different numbers are taken as one level."""
        if not self.merged:
            return []
        example = " and ".join(f"{value:g}" for value in self.merged[0])
        return [f"{what} that agree to {_SAME_RATE:.0%} are one level, such as {example}"]


def _counts(parts: Sequence[tuple[Group, Surface]], columns: Columns) -> list[str]:
    """How many scores are missing and how many runs diverged, and where, if they lie on one side."""
    total = sum(surface.scores.size for _, surface in parts)
    missing = [np.isnan(surface.scores) for _, surface in parts]
    diverged = [surface.unstable for _, surface in parts]
    notes = []
    if n := int(sum(mask.sum() for mask in missing)):
        notes.append(f"{n} of {total} scores {'is' if n == 1 else 'are'} missing{_place(parts, missing, columns)}")
    if n := int(sum(mask.sum() for mask in diverged)):
        notes.append(f"{n} of {total} runs diverged{_place(parts, diverged, columns)}")
    return notes


def _place(parts: Sequence[tuple[Group, Surface]], masks: Sequence[Bools], columns: Columns) -> str:
    """Where all marked scores lie, if that is a group, or one side of the levels of a factor; else nothing."""
    marked = [(group, surface, mask) for (group, surface), mask in zip(parts, masks, strict=True) if mask.any()]
    told = []
    for name in columns.by:
        values = {group[name] for group, _, _ in marked}
        if len(values) == 1 < len({group[name] for group, _ in parts}):
            told.append(f"{name} = {values.pop()}")
    for axis, name in enumerate((columns.batch_size, columns.lr)):
        everywhere = np.unique(np.concatenate([(s.tuned, s.given)[axis] for _, s in parts]))
        levels = np.unique(
            np.concatenate([(s.tuned, s.given)[axis][mask.any(axis=(axis, 2))] for _, s, mask in marked])
        )
        below, above = (everywhere < levels[0]).mean(), (everywhere > levels[-1]).mean()
        if len(levels) == 1 < len(everywhere):
            told.append(f"{name} = {levels[0]:g}")
        elif above < _ONE_SIDED <= below:
            told.append(f"{name} >= {levels[0]:g}")
        elif below < _ONE_SIDED <= above:
            told.append(f"{name} <= {levels[-1]:g}")
    if not told:
        return ""
    return (
        f" (all with {' and '.join(told)})"
        if sum(int(mask.sum()) for mask in masks) > 1
        else f" ({' and '.join(told)})"
    )
