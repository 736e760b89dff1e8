"""Other columns of a table: which move with the learning rate or the batch size, and which factor had no effect."""

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import special

from batchlaw.claims.replicates import is_label, is_setting
from batchlaw.stats.scattered import Scattered
from batchlaw.stats.surface import Floats
from batchlaw.tables import names
from batchlaw.tables.spelling import typed

_TOGETHER = 0.9  # rank correlation from which two columns move together (assumption)
_FEWEST = 3  # levels of a column, for a correlation
_MOST_TOLD = 6  # columns
_DECADES = 2.0  # over which a factor with no effect asks whether it was applied (assumption)
_ROUGH = 1.4  # von Neumann's ratio: 2 of noise, near 0 of a smooth curve
_FEWEST_OF_A_CURVE = 4  # levels
_FEWEST_DIFFERENCES = 9
_BY_CHANCE = 0.1  # p of levels that do not differ
_OUTCOMES = frozenset({
    "time", "times", "sec", "secs", "second", "seconds", "min", "mins", "minutes", "hour", "hours", "duration", "speed",
    "throughput", "runtime", "memory", "mem", "converged", "diverged", "spike", "spikes", "flops", "mfu",
    "std", "sem", "stderr", "stdev", "ci", "rank",
})  # fmt: skip


def moving(table: pd.DataFrame, runs: Scattered, known: Sequence[str]) -> list[str]:
    """Sentences on columns that move with the learning rate or the batch size, so that nothing tells them apart.

    Args:
        table: a row a run.
        runs: the same rows, with the learning rate and the batch size.
        known: columns that have a meaning already.
    """
    factors = {"learning rate": np.log2(runs.lr), "batch size": np.log2(runs.batch_size)}
    told: dict[str, list[str]] = {}
    for name in map(str, table.columns):
        if name in known or isinstance(table[name], pd.DataFrame) or is_outcome(name):
            continue
        values = typed(table[name])
        moved = [factor for factor, levels in factors.items() if _moves_with(values, levels)]
        if moved:
            told.setdefault(" and the ".join(moved), []).append(name)
    sentences = [
        f"{_listed(columns)} {'moves' if len(columns) == 1 else 'move'} with the {moved}: what looks like an effect of "
        "one may be that of another"
        for moved, columns in told.items()
    ]
    cells = np.unique(np.stack([*factors.values()], axis=1), axis=0)
    swept = len(cells) > max(_FEWEST, len(np.unique(cells[:, 1])))  # several rates at a batch size
    if swept and abs(_rank_correlation(cells[:, 0], cells[:, 1])) >= _TOGETHER:
        sentences.insert(0, "the learning rate was moved with the batch size, so their effects are not told apart")
    return sentences


def is_outcome(name: str) -> bool:
    """Whether a column is called as what a run brought, or as what tells where and when it was made."""
    if is_setting(name):
        return False
    words = set(names.words_of(name))
    brought = bool(words & _OUTCOMES) or {"grad", "norm"} <= words or {"best", "epoch"} <= words
    return is_label(name) or names.metric_of(name) is not None or brought


def _moves_with(values: np.ndarray, levels: Floats) -> bool:
    """Whether a column is told by the levels of a factor, or is nearly in their order."""
    if values.dtype.kind == "f":
        there = np.isfinite(values)
        values, levels = values[there], levels[there]
    if len(values) < _FEWEST:
        return False
    own, at = (np.unique(each, return_inverse=True)[1] for each in (values, levels))
    n_own, n_levels = int(own.max()) + 1, int(at.max()) + 1
    if n_own < 2 or n_levels < 2 or n_own == len(values):
        return False
    if values.dtype == object:
        if len({re.sub(r"[\d.]+", "", str(value)) for value in values.tolist()}) == 1:
            return False  # a name that has the numbers in it
        return len(np.unique(np.stack([own, at]), axis=1).T) == n_own == n_levels
    pairs = np.unique(np.stack([own, at], axis=1), axis=0)
    if len(pairs) == n_levels and n_own > 1 and n_levels > 1:
        return True  # each level has one value
    return min(n_own, n_levels) >= _FEWEST and abs(_rank_correlation(own, at)) >= _TOGETHER


def _rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's."""
    ranks = [pd.Series(each).rank().to_numpy() for each in (one, other)]
    if any(np.ptp(rank) == 0 for rank in ranks):
        return 0.0
    return float(np.corrcoef(*ranks)[0, 1])


def _listed(columns: Sequence[str]) -> str:
    shown = [*columns[:_MOST_TOLD], *([f"{len(columns) - _MOST_TOLD} more"] if len(columns) > _MOST_TOLD else [])]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def without_effect(runs: Scattered) -> list[str]:
    """Sentences on a factor over decades whose levels the scores do not tell: was it applied?"""
    told = []
    for name, factor, other in (
        ("learning rate", runs.lr, runs.batch_size),
        ("batch size", runs.batch_size, runs.lr),
    ):
        decades = float(np.log10(factor.max() / factor.min()))
        if decades >= _DECADES and _is_rough(factor, other, runs):
            told.append(f"the {name} has no effect that shows over {decades:.1f} decades: was it applied?")
    return told


def _is_rough(factor: Floats, other: Floats, runs: Scattered) -> bool:
    """Whether scores along a factor scatter like noise.

    They do if they go up and down from level to level (von Neumann's ratio, over all levels of the other factor), and
    if no level is better than others at all of these (an F-test). Either alone errs: a cliff between two plains goes
    up and down rarely, but it is no noise; an optimum that moves leaves no level better than others.
    """
    if runs.diverged.any():
        return False
    curves = []
    for level in np.unique(other):
        own = (other == level) & np.isfinite(runs.scores)
        values, at = np.unique(factor[own], return_inverse=True)
        if len(values) >= _FEWEST_OF_A_CURVE:
            curves.append((values, np.bincount(at, runs.scores[own]) / np.bincount(at)))
    if sum(len(means) - 1 for _, means in curves) < _FEWEST_DIFFERENCES:
        return False
    centred = [means - means.mean() for _, means in curves]
    weights = [len(means) / (len(means) - 1) for means in centred]
    squares = sum(weight * float((means**2).sum()) for weight, means in zip(weights, centred, strict=True))
    differences = sum(
        weight * float((np.diff(means) ** 2).sum()) for weight, means in zip(weights, centred, strict=True)
    )
    if squares == 0.0:
        return True
    if differences / squares < _ROUGH:
        return False
    at = np.unique(np.concatenate([values for values, _ in curves]), return_inverse=True)[1]
    scores, n = np.concatenate(centred), np.bincount(at)
    means = np.bincount(at, scores) / n
    left = float(((scores - means[at]) ** 2).sum())
    freedom = len(n) - 1, len(scores) - len(curves) - len(n) + 1
    between = float((n * means**2).sum())
    return freedom[1] > 0 and special.fdtrc(*freedom, between / freedom[0] / (left / freedom[1])) > _BY_CHANCE
