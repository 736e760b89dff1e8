"""The factors that make runs unstable."""

import numpy as np

from batchlaw.stats.slope import Slope
from batchlaw.stats.surface import Bools, Floats


def instability(
    factors: Floats, unstable: Bools, generator: np.random.Generator, *, alpha: float = 0.05
) -> list[Slope] | None:
    """The coefficient of each factor in a logistic regression of instability, in log odds per unit of the factor.

    A weak ridge penalty keeps coefficients finite where a line separates stable from unstable runs, which on a grid it
    nearly does. The intervals are Student's, with standard errors from bootstraps over seeds. Where the seeds hardly
    differ, the standard error is the coefficient over the number of levels: a grid tells a border to one level.

    Args:
        factors: (n_cells, n_factors)
        unstable: (n_cells, n_seeds)
        generator: of the bootstraps.
        alpha: 1 minus the confidence of the intervals.

    Returns:
        One coefficient for each factor; None if no run or every run was unstable.
    """
    from sklearn.linear_model import LogisticRegression  # a fifth of a second, which other claims do without

    if not unstable.any() or unstable.all():
        return None
    scale = factors.std(axis=0)
    standard = (factors - factors.mean(axis=0)) / scale
    n = unstable.shape[1]

    def coefficients(share: np.ndarray) -> np.ndarray:
        # Each cell enters twice: as unstable with the weight of its unstable share, and as stable with the rest.
        rows, labels = np.concatenate([standard, standard]), np.repeat([1, 0], len(standard))
        weights = np.concatenate([share, 1 - share]) * n
        fit = LogisticRegression(C=100.0, max_iter=1000).fit(rows, labels, sample_weight=weights)
        return np.asarray(fit.coef_[0] / scale)

    shares = unstable.astype(float)
    estimate = coefficients(shares.mean(axis=1))
    resampled = np.array([coefficients(shares[:, generator.integers(0, n, n)].mean(axis=1)) for _ in range(200)])
    levels = np.array([len(np.unique(column)) for column in factors.T])
    error = np.maximum(resampled.std(axis=0) * np.sqrt(n / (n - 1)), np.abs(estimate) / levels)
    return [Slope.of(each, its_error, n - 1, alpha) for each, its_error in zip(estimate, error, strict=True)]
