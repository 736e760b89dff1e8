"""Correction of p-values where several hypotheses are tested on the same data."""

import numpy as np

from batchlaw.stats.surface import Floats


def holm(p_values: Floats) -> Floats:
    """Holm's adjusted p-values (1979), (n,), in the order given.

    statsmodels' `multipletests` gives the same, but it runs the garbage collector at each call, which takes longer
    than the rest of a verdict.
    """
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1.0)
    return adjusted
