"""Means of seeds with their standard error or deviation and their number, as replicates."""

from dataclasses import replace

import numpy as np
import pandas as pd
from scipy import special

from batchlaw.stats.surface import Floats
from batchlaw.tables import names
from batchlaw.tables.columns import KnownColumns
from batchlaw.tables.spelling import typed

_DEVIATIONS = frozenset({"std", "sd", "stdev", "stddev", "sigma", "deviation"})
_COUNTS = ({"n", "seeds"}, {"n"}, {"num", "seeds"}, {"seeds"}, {"n", "runs"}, {"num", "runs"}, {"n", "replicates"},
           {"replicates"}, {"count"}, {"runs"}, {"number", "of", "seeds"}, {"n", "trials"})  # fmt: skip
_MOST = 16  # replicates that stand for a mean: with more of them the standard error is as well known
_FEWEST_KNOWN = 3  # where the number is not told (assumption: people average three seeds)


def replicates_of_means(
    table: pd.DataFrame, columns: KnownColumns
) -> tuple[pd.DataFrame, KnownColumns, list[str]] | None:
    """A row for each seed in place of one for their mean: with exactly the same mean and deviation, and unpaired.

    Example: 0.91 ± 0.02 (standard error) of 4 seeds becomes four scores with mean 0.91 and deviation 0.04. Where the
    number of seeds is not told, three stand for it.

    Returns:
        The rows, with the number of their mean as index, what their columns mean, and what was done; None where no
        column tells an error.
    """
    if len(columns.score) > 1:
        return None
    error, is_deviation = columns.error, False
    if error is None and (deviation := _deviation(table, columns)) is not None:
        error, is_deviation = deviation, True
    if error is None:
        return None
    errors = pd.to_numeric(pd.Series(typed(table[error])), errors="coerce").to_numpy(float)
    if not np.isfinite(errors).any():
        return None
    counts, told = _counts(table, columns)
    score = columns.score[0]
    of = "deviation" if is_deviation else "standard error"
    notes = [f"{score} is a mean of seeds with {error} as its {of}: replicates with that mean and error stand for it"]
    if not told:
        cautious = ", and the deviation counts as the standard error, which is on the safe side" if is_deviation else ""
        notes.append(f"how many seeds is not told (--seeds): {_FEWEST_KNOWN} are assumed{cautious}")
    usual = float(np.median(errors[np.isfinite(errors)]))
    if n := int((~np.isfinite(errors)).sum()):
        notes.append(f"{n} mean{'s have' if n > 1 else ' has'} no error: the median of the others stands for it")
    errors = np.where(np.isfinite(errors), errors, usual)
    if is_deviation and told:
        errors = errors / np.sqrt(counts)
    shown = np.clip(counts, 2, _MOST).astype(int)
    rows = np.repeat(np.arange(len(table)), shown)
    number = np.arange(len(rows)) - np.repeat(np.cumsum(shown) - shown, shown)
    means = table[score].to_numpy(float)
    off = np.array([_pattern(shown[row])[at] for row, at in zip(rows, number, strict=True)])
    with np.errstate(invalid="ignore"):
        scores = means[rows] + np.where(np.isfinite(means[rows]), off * (errors * np.sqrt(shown))[rows], 0.0)
    known = replace(columns, seed=None, error=None)
    return table.drop(columns=error).iloc[rows].assign(**{score: scores}).set_index(rows), known, notes


def means_of(table: pd.DataFrame, score: str) -> pd.DataFrame:
    """The rows that `replicates_of_means` made of means, a row for each mean again."""
    means = table[score].groupby(level=0).transform("mean")
    return table.assign(**{score: means})[~table.index.duplicated()]


def _deviation(table: pd.DataFrame, columns: KnownColumns) -> str | None:
    """The only column that is called the deviation of the score, such as `std` or `val_loss_std`."""
    found = []
    score = set(names.words_of(columns.score[0]))
    for name in map(str, table.columns):
        words = set(names.words_of(name))
        if words & _DEVIATIONS and not isinstance(table[name], pd.DataFrame) and words - _DEVIATIONS <= score:
            found.append(name)
    return found[0] if len(found) == 1 else None


def _counts(table: pd.DataFrame, columns: KnownColumns) -> tuple[Floats, bool]:
    """How many seeds each mean is of, (n_rows,), and whether that is told."""
    if isinstance(columns.n_seeds, int):
        return np.full(len(table), float(columns.n_seeds)), True
    named = [columns.n_seeds] if columns.n_seeds else []
    for name in named or list(map(str, table.columns)):
        if isinstance(table[name], pd.DataFrame) or not (named or set(names.words_of(name)) in _COUNTS):
            continue
        values = pd.to_numeric(pd.Series(typed(table[name])), errors="coerce").to_numpy(float)
        if np.isfinite(values).all() and (values >= 1).all() and (values == values.round()).all():
            return values, True
    return np.full(len(table), float(_FEWEST_KNOWN)), False


def _pattern(n: int) -> Floats:
    """n numbers with mean 0 and deviation 1, at the quantiles of a normal distribution."""
    values = special.ndtri((np.arange(n) + 0.5) / n)
    return np.asarray(values / values.std(ddof=1))
