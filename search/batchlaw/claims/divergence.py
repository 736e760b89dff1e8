"""Runs that look diverged though their score is finite and nobody named them."""

from dataclasses import dataclass

import numpy as np

from batchlaw.stats.surface import Bools, Floats, Surface, mean

_SAME = 0.02  # a plateau is as flat as this, in the logarithm of a loss and as a share of the range of all scores
_FEWEST_CELLS = 3  # of a plateau
_FEWEST_AT_ONE_SIZE = 2  # cells: on a smooth surface the higher of two rates is worse, by more than that below


@dataclass(frozen=True)
class Suspects:
    """Runs with a score beyond a bound."""

    n: int
    bound: float  # in the unit of the score, in few digits


def suspects(surface: Surface, maximize: bool) -> Suspects | None:
    """Find runs that look diverged: above the best rate of their batch size, much worse, and all alike.

    A run is looked at if its rate lies above the best one of its batch size and its score is worse than there by more
    than half of the range of all scores. Such runs look diverged where they are the worst of all and

    - lie apart: the gap to the next better run is as wide as the range of all better runs, and as that of their own;
    - or lie on a plateau: three cells or more have the worst mean score, as networks have that guess;

    and two of their cells have the same batch size, since a smooth wall rises on from one rate to the next. Losses are
    compared by their logarithm, in which a wall or a heavy tail has no gaps.

    Args:
        surface: the learning rate given, the batch size tuned.
        maximize: whether the score was to be maximized; else it was turned around.

    Returns:
        How many there are and a bound between them and all others; None if there are none.
    """
    known = ~np.isnan(surface.scores) & ~surface.unstable
    losses = np.where(known, -surface.scores, np.nan)
    logarithmic = float(np.nanmin(losses)) > 0
    scaled = np.log(losses) if logarithmic else losses
    lowest, highest = float(np.nanmin(scaled)), float(np.nanmax(scaled))
    means = mean(scaled, axis=2)
    cells = _suspected(means, (highest - lowest) / 2)
    runs = cells[:, :, None] & known
    same = _SAME * min(highest - lowest, 1.0 if logarithmic else np.inf)
    start = _gap(scaled, runs)
    if start is None:
        start = _plateau(means, cells, same)
    if start is None:
        return None
    chosen = runs & (scaled >= start)
    others = scaled[known & (scaled < start)]
    beside = int(chosen.any(axis=2).sum(axis=0).max())
    if beside < _FEWEST_AT_ONE_SIZE or not len(others) or (known & (scaled >= start) & ~runs).any():
        return None
    ends = np.array([others.max(), scaled[chosen].min()])
    ends = np.exp(ends) if logarithmic else ends
    low, high = sorted((-ends if maximize else ends).tolist())
    return Suspects(int(chosen.sum()), _between(low, high))


def _suspected(means: Floats, worse: float) -> Bools:
    """Cells whose rate lies above the best one of their batch size, and that are worse than it, (n_given, n_tuned)."""
    found = np.zeros(means.shape, dtype=bool)
    for column, losses in enumerate(means.T):
        if np.isfinite(losses).any():
            best = int(np.nanargmin(losses))
            found[best + 1 :, column] = losses[best + 1 :] > losses[best] + worse
    return found


def _gap(scaled: Floats, runs: Bools) -> float | None:
    """The least of the runs that lie apart, all of them among `runs`."""
    ordered = np.sort(scaled[~np.isnan(scaled)])
    gaps = np.diff(ordered)
    gaps[: len(ordered) // 2] = 0  # the worse half at most
    at = int(gaps.argmax())
    if gaps[at] < ordered[at] - ordered[0] or gaps[at] < ordered[-1] - ordered[at + 1] or gaps[at] <= 0:
        return None
    return float(ordered[at + 1]) if (scaled[runs] >= ordered[at + 1]).any() else None


def _plateau(means: Floats, cells: Bools, same: float) -> float | None:
    """The lower end of a plateau of the worst cells, all of them among `cells`."""
    start = float(np.nanmax(means)) - same
    there = np.nan_to_num(means, nan=-np.inf) >= start
    if (there & ~cells).any() or there.sum() < _FEWEST_CELLS or there.sum(axis=0).max() < _FEWEST_AT_ONE_SIZE:
        return None
    return start


def _between(low: float, high: float) -> float:
    """The number with the fewest digits between two."""
    middle = (low + high) / 2
    return next((value for digits in range(1, 17) if low < (value := float(f"{middle:.{digits}g}")) < high), middle)
