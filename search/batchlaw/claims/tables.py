"""From the runs of a table to surfaces, with what a reader must know about them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from batchlaw.claims.divergence import suspects
from batchlaw.claims.replicates import Rows, averaged, check_identical, check_settings, numbered, parts_of_seeds
from batchlaw.errors import DataError
from batchlaw.stats.surface import Bools, Floats, Surface
from batchlaw.tables.columns import Columns, KnownColumns
from batchlaw.tables.reading import ReadTable, read_runs

_FEWEST_LEVELS = 3
_SAME_RATE = 0.02  # a sweep writes .00391 and .00390625; no sweep has steps as small as this
_SAME_SIZE = 1e-6
_NOTED = 1e-6  # levels that differ by less are one number, written in two ways
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
    return surfaces_of(read_runs(data, columns))


def surfaces_of(runs: ReadTable) -> tuple[list[tuple[Group, Surface]], tuple[str, ...]]:
    """The surfaces of a table that was read, and notes, as `surfaces`."""
    columns = runs.columns
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
        surface, more = surface_of(part, columns, f"{name}: ")
        found.append((group, surface))
        notes += more
    return found, counted(found, columns, notes)


def counted(found: Sequence[tuple[Group, Surface]], columns: KnownColumns, notes: Sequence[str]) -> tuple[str, ...]:
    """Notes on what is missing or diverged in surfaces, before other notes."""
    return tuple(dict.fromkeys([*_counts(found, columns), *_suspected(found, columns), *notes]))


def cells_of(table: pd.DataFrame, columns: KnownColumns) -> NDArray[np.intp]:
    """The number of each row's cell, (n_rows,)."""
    rates, sizes = _levels_of(table, columns)
    return np.asarray(rates.index * len(sizes.values) + sizes.index)


def _levels_of(table: pd.DataFrame, columns: KnownColumns) -> "tuple[_Levels, _Levels]":
    return _Levels.of(table[columns.lr], _SAME_RATE), _Levels.of(table[columns.batch_size], _SAME_SIZE)


def surface_of(
    table: pd.DataFrame, columns: KnownColumns, name: str, *, uneven: bool = False
) -> tuple[Surface, list[str]]:
    """One surface, and notes. A run that diverged counts with the worst finite score; a missing score is NaN.

    Several score columns, or rows told apart by the seed column, are the same seeds in every cell. Repeated rows
    without such a column are not paired.

    Args:
        table: the rows.
        columns: what they mean.
        name: of the table or group, with which messages begin.
        uneven: as for `replicates.numbered`.

    Raises:
        DataError: why it has no replicates, or too few levels; one line.
    """
    rates, sizes = _levels_of(table, columns)
    scores = table[list(columns.score)].to_numpy(float)  # (n_rows, n_score_columns)
    if not np.isfinite(scores).any():
        raise DataError(f"{name}no score is a finite number")
    for what, levels in ((columns.lr, rates), (columns.batch_size, sizes)):
        n = len(np.unique(levels.index[~np.isnan(scores).all(axis=1)]))
        if n < _FEWEST_LEVELS:
            raise DataError(f"{name}column {what!r} has too few levels, {n}; an optimum needs {_FEWEST_LEVELS}")

    def where(row: int) -> str:
        rate, size = (levels.values[levels.index[row]] for levels in (rates, sizes))
        return f"{columns.lr} = {rate:g} and {columns.batch_size} = {size:g}"

    cell = rates.index * len(sizes.values) + sizes.index
    notes = [*rates.notes("learning rates"), *check_settings(table, columns, cell, where)]
    diverged, signed = np.isinf(scores), scores if columns.maximize else -scores
    seeds, seed = None, None
    if columns.seed is not None:
        seeds, seed = np.unique(table[columns.seed].to_numpy(), return_inverse=True)
    rows = Rows(cell, seed, np.where(diverged, signed[np.isfinite(signed)].min(), signed), diverged)
    within = parts_of_seeds(table, columns, cell)
    if average := columns.average or within:
        combination = table.groupby(list(average), sort=False).ngroup().to_numpy()
        rows = averaged(rows, combination, where)
        levels_of = " and ".join(f"{table[column].nunique()} of {column}" for column in average)
        one = f"; those of one {columns.seed} are one replicate" if within else ""
        notes.append(f"a score is the mean over {combination.max() + 1} combinations of levels: {levels_of}{one}")
    replicate, paired, more = numbered(rows, columns, where, uneven=uneven)
    shape = (len(rates.values), len(sizes.values), int(replicate.max()) + 1, len(columns.score))
    filled, unstable = np.full(shape, np.nan), np.zeros(shape, dtype=bool)
    at = rows.cell // shape[1], rows.cell % shape[1], replicate
    filled[at], unstable[at] = rows.scores, rows.diverged
    grid = (*shape[:2], -1)
    filled, has_row = filled.reshape(grid), np.zeros(shape[:2], dtype=bool)
    has_row[rates.index, sizes.index] = True
    lost = has_row & np.isnan(filled).all(axis=2)
    surface = Surface(rates.values, sizes.values, filled, unstable.reshape(grid), paired, lost)
    if surface.counts.max() < 2:
        raise DataError(f"{name}one score a cell; replicates are needed: several score columns, or a row for each seed")
    of_seeds = [""] if seeds is None else [f"{columns.seed} {value}" for value in seeds.tolist()]
    names = [" of ".join(filter(None, (score, of_seed))) for of_seed in of_seeds for score in columns.score]
    check_identical(surface, names, name)
    return surface, notes + more


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

    def notes(self, what: str) -> list[str]:
        """That different numbers are taken as one level."""
        if not self.merged:
            return []
        example = " and ".join(f"{value:g}" for value in self.merged[0])
        return [f"{what} that agree to {_SAME_RATE:.0%} are one level, such as {example}"]


def _counts(parts: Sequence[tuple[Group, Surface]], columns: KnownColumns) -> list[str]:
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


def _suspected(parts: Sequence[tuple[Group, Surface]], columns: KnownColumns) -> list[str]:
    """That runs look diverged which nobody named, and what would name them."""
    if columns.average:  # means over runs, of which some may have diverged
        return []
    found = {place: some for place, (_, surface) in enumerate(parts) if (some := suspects(surface, columns.maximize))}
    if not found:
        return []
    n, first = sum(some.n for some in found.values()), next(iter(found))
    side, bound = "below" if columns.maximize else "above", f"{found[first].bound:g}"
    if len(parts) == 1:
        return [f"{n} runs with a score {side} {bound} look diverged; --diverged-{side} {bound} names them so"]
    group = ", ".join(f"{key} = {value}" for key, value in parts[first][0].items())
    return [
        f"{n} runs look diverged, in {len(found)} of {len(parts)} groups; --diverged-{side} {bound} names those of "
        f"{group} so"
    ]


def _place(parts: Sequence[tuple[Group, Surface]], masks: Sequence[Bools], columns: KnownColumns) -> str:
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
