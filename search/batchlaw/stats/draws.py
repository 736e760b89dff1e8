"""Random draws."""

import numpy as np

from batchlaw.stats.surface import Floats


def normal_draws(mean: Floats, covariance: Floats, size: int, generator: np.random.Generator) -> Floats:
    """Draws of a multivariate normal distribution, (size, n).

    Args:
        mean: (n,)
        covariance: (n, n); it may be singular, or by rounding have eigenvalues a little below 0.
        size: the number of draws.
        generator: of the draws.
    """
    return np.asarray(generator.multivariate_normal(mean, covariance, size, method="eigh", check_valid="ignore"))
