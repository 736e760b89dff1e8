"""Whether the rows of one cell are replicates of each other: runs that differ in their seed alone."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from batchlaw.errors import DataError
from batchlaw.spec.knobs import KNOBS
from batchlaw.stats.surface import Bools, Floats, Surface
from batchlaw.tables.columns import KnownColumns
from batchlaw.tables.exports import STATE
from batchlaw.tables.spelling import typed

Indices = NDArray[np.intp]

_SHARED = 0.5  # seeds are paired if a seed is in this share of the cells at least
_NEARLY_ALL = 0.9  # of the cells
_CROSSED = 0.8  # share of the cells that have the same levels of a factor that was varied in all of them (assumption)
_FEWEST_CELLS = 4  # to tell a pattern from chance
_MOST_COMPARED = 60  # replicates that are compared two by two
_FEW = 10  # levels of a column that is noted

_OF_INPUTS = re.compile(
    r"^(params|config|hparams|hp)[._/]|^params_"
)  # how MLflow, Ray, Lightning and Optuna name inputs
_SETTINGS = {knob.name for knob in KNOBS if knob.name not in ("batch_size", "base_lr")} | {
    "wd", "l2", "dropout", "depth", "width", "widths", "layers", "n_layers", "num_layers", "hidden_size", "hidden_dim",
    "warmup", "warmup_steps", "beta1", "beta2", "nesterov", "schedule", "scheduler", "lr_schedule", "lr_scheduler",
    "model", "model_name", "arch", "architecture", "network", "activation", "dataset", "data", "task", "augmentation",
    "label_smoothing", "grad_clip", "clip", "precision", "dtype",
}  # fmt: skip
_REPLICATE = re.compile(
    r"(^|[._/])(\w*seed\w*|random_state|rep|reps|replicate|replica|repeat|repetition|\w*fold|trial|run)$"
)
# What tells where, when and by whom a run was made.
_PROVENANCE = re.compile(
    r"(^|[._/])(unnamed.*|\w*id|index|number|name|run_name|host|hostname|node|machine|gpu|device|worker|user|entity|group|"
    r"sweep|job\w*|tags?([._/].*)?|notes?|commit|git\w*|created\w*|date\w*|time\w*|start\w*|end\w*|timestamp|duration|runtime)$"
)


class CopiesError(DataError):
    """Scores that should be those of several seeds are copies of one another."""


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of a table as arrays."""

    cell: Indices  # (n_rows,) the number of the cell
    seed: Indices | None  # (n_rows,) the number of the seed, if a column tells
    scores: Floats  # (n_rows, n_score_columns), higher is better; NaN is missing, the worst where a run diverged
    diverged: Bools  # (n_rows, n_score_columns)


def check_settings(table: pd.DataFrame, columns: KnownColumns, cell: Indices, where: Callable[[int], str]) -> list[str]:
    """Refuse rows of a cell that differ in a hyperparameter, and note other columns in which they differ.

    Args:
        table: the rows.
        columns: those that have a meaning already.
        cell: (n_rows,) the number of each row's cell.
        where: what a cell is called.

    Returns:
        Sentences on columns that might be hyperparameters.

    Raises:
        DataError: one is; names it.
    """
    found = within_cells(table, columns, cell)
    for name, (first, second) in found.settings.items():
        values = [str(table[name].iloc[place]) for place in (first, second)]
        raise DataError(
            f"rows of one cell, {where(first)}, differ in {name!r}, which is no seed: {' and '.join(values)}",
            remedy="by, average or where",
        )
    return [f"rows of one cell also differ in {' and '.join(found.noted)}"] if found.noted else []


@dataclass(frozen=True)
class Within:
    """The columns in which rows of one cell differ, besides seeds, labels and outcomes."""

    settings: dict[str, tuple[int, int]]  # hyperparameters, with the places of two rows that differ
    noted: tuple[str, ...]  # columns that might be hyperparameters


def within_cells(table: pd.DataFrame, columns: KnownColumns, cell: Indices) -> Within:
    """Find the columns in which rows of one cell differ.

    A column is a hyperparameter if it is called so, or if (nearly) all cells have the same levels of it: nobody gets
    the same outcomes, times or names in every cell. A number for each seed is another name of the seed.

    Args:
        table: the rows.
        columns: those that have a meaning already.
        cell: (n_rows,) the number of each row's cell.
    """
    order, n_rows = np.argsort(cell, kind="stable"), np.bincount(cell)
    n_rows = n_rows[n_rows > 0]
    if n_rows.max() == 1:
        return Within({}, ())
    common = int(np.bincount(n_rows)[2:].argmax()) + 2
    starts = (np.cumsum(n_rows) - n_rows)[n_rows == common]
    same_size = order[
        starts[:, None] + np.arange(common)
    ]  # (n_cells, common) rows of the cells of the most common size
    known = {name for names in columns.named.values() for name in names}
    seed = None if columns.seed is None else np.unique(table[columns.seed].to_numpy(), return_inverse=True)[1]
    settings: dict[str, tuple[int, int]] = {}
    noted = []
    for name in table.columns:
        text = str(name).lower()
        if name in known or isinstance(table[name], pd.DataFrame) or text in STATE or _PROVENANCE.search(text):
            continue
        values = typed(table[name])
        codes = _codes(values)
        n_levels = int(codes.max()) + 1
        differs = np.flatnonzero(np.diff(cell[order]) == 0)
        differs = differs[codes[order[differs]] != codes[order[differs + 1]]]
        if not len(differs):
            continue
        base = _OF_INPUTS.sub("", text)
        if _REPLICATE.search(base) or (seed is not None and _another_name(seed, codes) and base not in _SETTINGS):
            continue
        is_text, row = values.dtype == object, int(order[differs[0]])
        named = (base in _SETTINGS or base != text) and not (is_text and n_levels > len(codes) / 2)
        if named or _crossed(codes[same_size]):
            settings[str(name)] = (row, int(order[differs[0] + 1]))
        elif n_levels <= _FEW and len(np.unique(cell[codes == codes[row]])) > 1:
            noted.append(str(name))
    return Within(settings, tuple(noted))


def parts_of_seeds(table: pd.DataFrame, columns: KnownColumns, cell: Indices) -> tuple[str, ...]:
    """The columns that tell apart the rows of one cell and seed, such as the folds of a seed; empty without such rows.

    The unit of replication is the seed that is named, so that what is repeated within it is one replicate.

    Args:
        table: the rows.
        columns: what they mean.
        cell: (n_rows,) the number of each row's cell.
    """
    if columns.seed is None or columns.average:
        return ()
    key = pd.DataFrame({"cell": cell, "seed": table[columns.seed].to_numpy()})
    if not key.duplicated().any():
        return ()
    known = {name for names in columns.named.values() for name in names}
    for name in map(str, table.columns):
        if name in known or isinstance(table[name], pd.DataFrame) or not is_repeat(name):
            continue
        if not key.assign(part=table[name].astype(str).to_numpy()).duplicated().any():
            return (name,)
    return ()


def is_repeat(name: str) -> bool:
    """Whether a column is called as a seed, a fold, or another number of a repeated run."""
    return _REPLICATE.search(_OF_INPUTS.sub("", name.lower())) is not None


def is_setting(name: str) -> bool:
    """Whether a column is called as a hyperparameter, or as a tool calls its inputs."""
    text = name.lower()
    base = _OF_INPUTS.sub("", text)
    return not _REPLICATE.search(base) and (base in _SETTINGS or base != text)


def is_label(name: str) -> bool:
    """Whether a column is called as what tells where, when or by whom a run was made, how it ended, or its seed."""
    text = name.lower()
    return text in STATE or bool(_PROVENANCE.search(text) or _REPLICATE.search(_OF_INPUTS.sub("", text)))


def _codes(values: NDArray[np.generic]) -> Indices:
    """A number for each distinct value, (n,); floats are compared to three digits."""
    if values.dtype.kind == "f":
        values = np.array([f"{value:.3g}" for value in values.tolist()])
    return np.asarray(np.unique(values, return_inverse=True)[1], dtype=np.intp)


def _another_name(seed: Indices, codes: Indices) -> bool:
    """Whether every seed has one value, and every value one seed."""
    pairs = len(np.unique(np.stack([seed, codes]), axis=1).T)
    return pairs == len(np.unique(seed)) == len(np.unique(codes))


def _crossed(codes: Indices) -> bool:
    """Whether nearly all cells have the same levels, more than one of them; the codes are (n_cells, n_rows)."""
    if len(codes) < _FEWEST_CELLS:
        return False
    patterns, counts = np.unique(np.sort(codes, axis=1), axis=0, return_counts=True)
    common = patterns[counts.argmax()]
    return bool(common[0] != common[-1] and counts.max() >= _CROSSED * len(codes))


def averaged(rows: Rows, levels: Indices, where: Callable[[int], str]) -> Rows:
    """The mean over the levels of other factors, a row for each cell and seed.

    It is missing where a score is missing at one of the levels: cells with other levels are not compared.

    Args:
        rows: of all levels.
        levels: (n_rows,) the number of each row's combination of levels.
        where: what the cell of a row is called.

    Raises:
        DataError: rows have the same levels, and no seed tells them apart.
    """
    key = rows.cell if rows.seed is None else rows.cell * (int(rows.seed.max()) + 1) + rows.seed
    n_levels = int(levels.max()) + 1
    _, first, repeats = np.unique(key * n_levels + levels, return_index=True, return_counts=True)
    if repeats.max() > 1:
        row = int(first[repeats.argmax()])
        raise DataError(
            f"{repeats.max()} rows with {where(row)} have the same levels", argument="average", remedy="seed"
        )
    _, first, key = np.unique(key, return_index=True, return_inverse=True)
    total, diverged = np.zeros((len(first), rows.scores.shape[1])), np.zeros((len(first), rows.scores.shape[1]), bool)
    np.add.at(total, key, rows.scores)
    np.logical_or.at(diverged, key, rows.diverged)
    scores = np.where((np.bincount(key) == n_levels)[:, None], total / n_levels, np.nan)
    return Rows(rows.cell[first], None if rows.seed is None else rows.seed[first], scores, diverged & ~np.isnan(scores))


def numbered(
    rows: Rows, columns: KnownColumns, where: Callable[[int], str], *, uneven: bool = False
) -> tuple[Indices, bool, list[str]]:
    """The number of each row within its cell.

    Args:
        rows: of one surface.
        columns: which of them names the seed.
        where: what the cell of a row is called.
        uneven: take cells with different numbers of rows without a seed for as many independent runs.

    Returns:
        The numbers, (n_rows,); whether equal numbers are the same seed in every cell; and notes.

    Raises:
        DataError: the rows of a cell cannot be told apart, or their number differs from cell to cell without a seed.
    """
    cell, n_rows = rows.cell, np.bincount(rows.cell)
    n_rows = n_rows[n_rows > 0]
    # Within a cell by the score, so that the order of rows does not matter.
    order = np.lexsort((*rows.scores.T[::-1], cell))
    rank = np.empty(len(cell), dtype=np.intp)
    rank[order] = np.arange(len(cell)) - np.repeat(np.cumsum(n_rows) - n_rows, n_rows)
    if rows.seed is None:
        if n_rows.min() != n_rows.max() and uneven:
            return rank, False, [f"cells have {n_rows.min()} to {n_rows.max()} runs, and no column tells their seeds"]
        if n_rows.min() != n_rows.max():
            fewest = int(np.bincount(cell)[cell].argmin())
            raise DataError(
                f"cells have {n_rows.min()} to {n_rows.max()} rows, fewest at {where(fewest)}; a column of their seeds "
                "would tell which are missing",
                remedy="seed",
            )
        return rank, bool(n_rows.max() == 1), []
    n_seeds = len(np.unique(rows.seed))
    _, first, repeats = np.unique(cell * (int(rows.seed.max()) + 1) + rows.seed, return_index=True, return_counts=True)
    if repeats.max() > 1:
        raise DataError(
            f"does not tell the rows of a cell apart: {repeats.max()} have {where(int(first[repeats.argmax()]))} and "
            "the same seed",
            argument="seed", got=columns.seed,
        )  # fmt: skip
    if len(cell) < _SHARED * len(n_rows) * n_seeds:
        return rank, False, [f"the values of {columns.seed} differ from cell to cell, so that runs are not paired"]
    return rows.seed, True, []


def check_identical(surface: Surface, names: Sequence[str], name: str) -> None:
    """Refuse scores of which some are copies of others: a seed that was not used, or rows that were written twice.

    Args:
        surface: the scores.
        names: of the replicates, where they are the same in all cells.
        name: of the surface, with which messages begin.

    Raises:
        CopiesError: in nearly all cells all scores are equal, or those of two seeds are, or each stands there twice.
    """
    known = ~np.isnan(surface.scores) & ~surface.unstable
    scores = np.where(known, surface.scores, np.nan)
    several = known.sum(axis=2) > 1
    cells = scores[several]
    if len(cells) < _FEWEST_CELLS:
        return
    tolerance = 1e-9 * float(np.nanmax(np.abs(cells)))
    equal = np.nanmax(cells, axis=1) - np.nanmin(cells, axis=1) <= tolerance
    if equal.mean() >= _NEARLY_ALL:
        raise CopiesError(
            f"{name}all scores of a cell are the same in {equal.sum()} of {len(cells)} cells, so that they are no "
            "replicates: was the seed used?"
        )
    if surface.paired:
        n = min(surface.n_replicates, _MOST_COMPARED)
        for first, second in combinations(range(n), 2):
            both = known[:, :, first] & known[:, :, second]
            one, other = scores[both, first], scores[both, second]
            same = np.abs(one - other) <= tolerance
            # Coarse scores, such as the accuracy on ten examples, may well agree; many different ones do not.
            if len(same) >= _FEWEST_CELLS and same.mean() >= _NEARLY_ALL and len(np.unique(one[same])) > len(same) / 2:
                raise CopiesError(
                    f"{name}{names[first]} and {names[second]} have the same scores in {same.sum()} of {len(same)} "
                    "cells, so that they are no replicates"
                )
        return
    twice = [np.unique(cell[~np.isnan(cell)], return_counts=True)[1].min() > 1 for cell in cells]
    if np.mean(twice) >= _NEARLY_ALL:
        raise CopiesError(
            f"{name}every score of a cell stands there twice in {sum(twice)} of {len(twice)} cells, so that rows are "
            "copies of others"
        )
