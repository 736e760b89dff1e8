"""Lines that meet sets."""

import numpy as np

from batchlaw.stats.surface import Floats

_STEEPEST = 8.0  # octaves an octave: slopes beyond are not sought


def values_of_lines(x: Floats, sets: Floats, at: float) -> tuple[float, float]:
    """The lowest and the highest value, at one place, of a line that meets every set.

    Each two sets bound it, since by them a line is bounded between and beyond; the tightest bounds hold.

    Args:
        x: (n,) places, ascending.
        sets: (n, 2) their ends; infinite where open.
        at: the place.
    """
    first, second = np.triu_indices(len(x), 1)
    share = (x[second] - at) / (x[second] - x[first])  # of the value at the first of two places

    def bound(upper: bool) -> Floats:
        total = np.zeros(len(first))
        for rows, weight in ((first, share), (second, 1 - share)):
            end = np.where((weight > 0) == upper, sets[rows, 1], sets[rows, 0])
            total += np.where(weight == 0, 0.0, weight * np.where(weight == 0, 0.0, end))
        return total

    return float(bound(upper=False).max()), float(bound(upper=True).min())


def slopes_of_lines(x: Floats, sets: Floats) -> tuple[float, float]:
    """The lowest and the highest slope of a line that meets every set.

    A line meets all sets if it can meet each two of them: they are convex, and parallel to one another.

    Args:
        x: (n,) places.
        sets: (n, 2) their ends; infinite where open.
    """
    low, high = sets.T
    apart = x[None] - x[:, None]
    later = apart > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        least = np.where(later, (low[None] - high[:, None]) / apart, -np.inf)
        most = np.where(later, (high[None] - low[:, None]) / apart, np.inf)
    return max(float(np.nanmax(least)), -_STEEPEST), min(float(np.nanmin(most)), _STEEPEST)
