"""Several questions asked of the same data."""

import numpy as np

from batchlaw.stats.surface import Floats


def holm(p_values: Floats) -> Floats:
    """Holm's adjusted p-values (1979), in the order given.

    Not statsmodels' `multipletests`, which calls the garbage collector and so takes longer than all else here.
    """
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1.0)
    return adjusted
