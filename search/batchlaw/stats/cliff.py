"""How near the best batch size lies to the smallest stable one."""

import numpy as np

from batchlaw.stats.optimum import Ridge
from batchlaw.stats.surface import Floats, Surface


def cliffs(surface: Surface) -> Floats:
    """The smallest tuned level from which on every run is stable, at each given level; NaN where there is no cliff.

    Without an unstable run below it the cliff is outside the grid, and without a stable one above it as well.
    """
    shaky = np.any(surface.unstable, axis=2)
    found = np.full(len(surface.given), np.nan)
    for row, unstable in enumerate(shaky):
        last = np.flatnonzero(unstable)
        if len(last) and last[-1] + 1 < len(surface.tuned):
            found[row] = surface.tuned[last[-1] + 1]
    return found


def cliff_ratio(surface: Surface, ridge: Ridge) -> float | None:
    """The median of optimum over cliff, of identified levels with a cliff; near 1 instability sets the optimum."""
    ratios = 2**ridge.best / cliffs(surface)
    known = ratios[ridge.identified & np.isfinite(ratios)]
    return float(np.median(known)) if len(known) else None
