"""Lines that meet sets."""

import numpy as np

from batchlaw.stats.surface import Floats


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
