"""The distance from the best batch size to the smallest stable one."""

import numpy as np

from batchlaw.stats.optimum import Ridge
from batchlaw.stats.surface import Floats, Surface


def cliffs(surface: Surface) -> Floats:
    """The smallest tuned level from which on every run is stable, at each given level, (n_given,).

    It is NaN where the cliff lies outside the grid: all runs of that given level are stable, or those of the highest
    tuned level that has any are not. Cells without a score are passed over.
    """
    found = np.full(len(surface.given), np.nan)
    unstable = np.any(surface.unstable, axis=2, keepdims=True)[:, :, 0]
    for row, there in enumerate(surface.counts > 0):
        cells = np.flatnonzero(there)
        last = np.flatnonzero(unstable[row, cells])
        if len(last) and last[-1] + 1 < len(cells):
            found[row] = surface.tuned[cells[last[-1] + 1]]
    return found


def cliff_ratio(surface: Surface, ridge: Ridge) -> float | None:
    """The median of optimum/cliff over the identified levels that have a cliff; None if there is none.

    A ratio near 1 says that instability limits the optimum.
    """
    ratios = 2**ridge.best / cliffs(surface)
    known = ratios[ridge.identified & np.isfinite(ratios)]
    return float(np.median(known)) if len(known) else None
