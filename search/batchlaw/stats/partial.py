"""The rank correlation of two quantities with a third held fixed."""

import numpy as np
from scipy import special

from batchlaw.stats.slope import Slope
from batchlaw.stats.surface import Floats


def partial_spearman(x: Floats, y: Floats, given: Floats) -> float:
    """Spearman's partial correlation of x and y given a third quantity, (n,) each."""
    from scipy import stats  # a third of a second to import

    (_, xy, xg), (_, _, yg), _ = np.corrcoef([stats.rankdata(values) for values in (x, y, given)])
    return float((xy - xg * yg) / np.sqrt((1 - xg**2) * (1 - yg**2)))


def partial_spearman_over_seeds(
    x: Floats, y: Floats, given: Floats, generator: np.random.Generator, *, alpha: float = 0.05
) -> Slope:
    """The partial correlation over cells of x and the mean of y over seeds.

    The interval is Student's on Fisher's z scale, and so is the standard error, which is from bootstraps over seeds.

    Args:
        x: (n_cells,)
        y: (n_cells, n_seeds)
        given: (n_cells,)
        generator: of the bootstraps.
        alpha: 1 minus the confidence of the interval.
    """
    n = y.shape[1]
    estimate = partial_spearman(x, y.mean(axis=1), given)
    resampled = [partial_spearman(x, y[:, generator.integers(0, n, n)].mean(axis=1), given) for _ in range(400)]
    z = np.arctanh(np.clip([estimate, *resampled], -1 + 1e-9, 1 - 1e-9))
    error = float(z[1:].std() * np.sqrt(n / (n - 1)))
    reach = float(special.stdtrit(n - 1, 1 - alpha / 2)) * error
    return Slope(estimate, float(np.tanh(z[0] - reach)), float(np.tanh(z[0] + reach)), error, n - 1)
