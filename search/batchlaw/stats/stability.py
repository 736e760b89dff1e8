"""What makes a run unstable."""

import numpy as np
from scipy import special

from batchlaw.stats.slope import Slope
from batchlaw.stats.surface import Bools, Floats


def instability(
    factors: Floats, unstable: Bools, generator: np.random.Generator, *, alpha: float = 0.05
) -> list[Slope] | None:
    """The coefficient of each factor (n_cells, n_factors) in a logistic regression of instability.

    A weak ridge penalty keeps them finite where a line separates stable from unstable runs, as it nearly does on a
    grid. Intervals are Student's on bootstraps over seeds, the columns of `unstable` (n_cells, n_seeds); where seeds
    hardly differ, on one level of each factor either way. None where no run or every run was unstable.
    """
    from sklearn.linear_model import LogisticRegression  # a fifth of a second, which other claims do without

    if not unstable.any() or unstable.all():
        return None
    design = factors
    center, scale = design.mean(axis=0), design.std(axis=0)
    standard = (design - center) / scale
    n = unstable.shape[1]

    def coefficients(share: np.ndarray) -> np.ndarray:
        """Each cell counts twice: as unstable by its share, and as stable by the rest."""
        rows, labels = np.concatenate([standard, standard]), np.repeat([1, 0], len(standard))
        weights = np.concatenate([share, 1 - share]) * n
        fit = LogisticRegression(C=100.0, max_iter=1000).fit(rows, labels, sample_weight=weights)
        return np.asarray(fit.coef_[0] / scale)

    shares = unstable.astype(float)
    estimate = coefficients(shares.mean(axis=1))
    resampled = np.array([coefficients(shares[:, generator.integers(0, n, n)].mean(axis=1)) for _ in range(200)])
    levels = np.array([len(np.unique(column)) for column in design.T])
    error = np.maximum(resampled.std(axis=0) * np.sqrt(n / (n - 1)), np.abs(estimate) / levels)
    reach = special.stdtrit(n - 1, 1 - alpha / 2) * error
    return [
        Slope(float(b), float(b - r), float(b + r), float(e), n - 1)
        for b, r, e in zip(estimate, reach, error, strict=True)
    ]
