"""The expected improvement over the best score so far."""

import numpy as np
from scipy.special import erfcx, ndtr

from batchlaw.stats.surface import Floats


def log_improvement(mean: Floats, deviation: Floats, best: float) -> Floats:
    """The logarithm of the expected improvement, (n,), also where the improvement itself would round to 0.

    Ament et al. 2023 (arXiv:2310.20708).

    Args:
        mean: (n,) of the surface.
        deviation: (n,) of the surface, its standard deviation.
        best: the score to improve on; higher is better.
    """
    z = (mean - best) / deviation
    high, low = np.maximum(z, -1.0), np.clip(z, -1e6, -1.0)
    near = np.log(np.exp(-(high**2) / 2) / np.sqrt(2 * np.pi) + high * ndtr(high))
    far = -(z**2) / 2 - np.log(2 * np.pi) / 2 + np.log1p(low * np.sqrt(np.pi / 2) * erfcx(-low / np.sqrt(2.0)))
    return np.asarray(np.where(z > -1, near, far) + np.log(deviation))
