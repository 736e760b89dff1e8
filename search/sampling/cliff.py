"""Which levels lie over a cliff beside the best: too far below it to be the side of the same hill."""

import numpy as np
from numpy.typing import NDArray

from search.stats.optimum import WINDOW_OCTAVES
from search.stats.surface import Bools, Floats

_NEAR = WINDOW_OCTAVES + 1.0  # octaves from the best level
# Times what the other side falls by: a parabola twice as far from its top falls by four times as much.
_STEEPEST = 4.0


def over_cliff(given: NDArray[np.intp], places: Floats, scores: Floats) -> Bools:
    """Which of some runs are of a level that has fallen off, (n,).

    That is by more than four times the fall on the other side of the best level, and than four standard deviations of
    runs of the same level, in the median over levels.

    Args:
        given: (n,) index of the given level of each run.
        places: (n,) octaves of its tuned level.
        scores: (n,), higher is better.
    """
    keys, cell = np.unique(np.stack([given, places], axis=1), axis=0, return_inverse=True)
    runs = np.bincount(cell)
    means = np.bincount(cell, scores) / runs
    squares = np.bincount(cell, (scores - means[cell]) ** 2)[runs > 1]
    spread = float(np.median(np.sqrt(squares / (runs[runs > 1] - 1)))) if len(squares) else 0.0
    fallen = np.zeros(len(keys), dtype=bool)
    for level in np.unique(keys[:, 0]):
        own = np.flatnonzero(keys[:, 0] == level)
        top = own[means[own].argmax()]
        own = own[np.abs(keys[own, 1] - keys[top, 1]) <= _NEAR + 1e-9]
        fall, below, above = means[top] - means[own], keys[own, 1] < keys[top, 1], keys[own, 1] > keys[top, 1]
        if below.any() and above.any():
            fallen[own] = fall > _STEEPEST * max(min(fall[below].max(), fall[above].max()), spread)
    return np.asarray(fallen[cell])
