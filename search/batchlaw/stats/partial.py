"""The rank correlation of two quantities with a third held fixed."""

import numpy as np
from scipy import special

from batchlaw.stats.slope import Slope
from batchlaw.stats.surface import Floats


def partial_spearman(x: Floats, y: Floats, given: Floats) -> float:
    """Spearman's partial correlation of x and y given a third quantity, (n,) each."""
    return float(_partial_spearmans(x, y[None], given)[0])


def _partial_spearmans(x: Floats, ys: Floats, given: Floats) -> Floats:
    """The partial correlation of x, (n,), with each row of ys, (n_rows, n)."""
    from scipy import stats  # a third of a second to import

    ranks = stats.rankdata([x, given, *ys], axis=1)
    ranks -= ranks.mean(axis=1, keepdims=True)
    ranks /= np.linalg.norm(ranks, axis=1, keepdims=True)
    (xs, gs), ys = ranks[:2], ranks[2:]
    xg, xy, yg = xs @ gs, ys @ xs, ys @ gs
    return np.asarray((xy - xg * yg) / np.sqrt((1 - xg**2) * (1 - yg**2)))


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
    resampled = [y[:, generator.integers(0, n, n)].mean(axis=1) for _ in range(400)]
    correlations = _partial_spearmans(x, np.array([y.mean(axis=1), *resampled]), given)
    z = np.arctanh(np.clip(correlations, -1 + 1e-9, 1 - 1e-9))
    error = float(z[1:].std() * np.sqrt(n / (n - 1)))
    reach = float(special.stdtrit(n - 1, 1 - alpha / 2)) * error
    return Slope(float(correlations[0]), float(np.tanh(z[0] - reach)), float(np.tanh(z[0] + reach)), error, n - 1)
