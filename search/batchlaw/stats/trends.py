"""How slopes of groups move with factors of these groups: a meta-regression with random effects."""

from collections.abc import Sequence

import numpy as np
from scipy import optimize

from batchlaw.stats.slope import Slope
from batchlaw.stats.surface import Floats


def trends(slopes: Floats, standard_errors: Floats, at: Floats, alpha: float = 0.05) -> list[Slope] | None:
    """How a slope changes with each factor, the others held fixed.

    Weighted least squares of slopes on an intercept and the factors. The variance between groups solves the equation of
    Paule and Mandel (1982), Q = n - p, and standard errors are scaled as by Knapp and Hartung (2003), never below those
    that the groups' own errors allow.

    Args:
        slopes: (n_groups,)
        standard_errors: (n_groups,), above 0.
        at: (n_groups, n_factors), such as log₂ of a horizon.
        alpha: 1 minus the confidence of every interval.

    Returns:
        A trend for each factor, in slope a unit of it; None with fewer than two degrees of freedom, or factors that do
        not vary apart.
    """
    design = np.column_stack([np.ones(len(slopes)), at])
    freedom = len(slopes) - design.shape[1]
    if freedom < 2 or np.linalg.matrix_rank(design) < design.shape[1]:
        return None

    def fit(between: float) -> tuple[Floats, Floats, float]:
        weight = 1 / (standard_errors**2 + between)
        covariance = np.asarray(np.linalg.inv(design.T @ (weight[:, None] * design)), dtype=float)
        found = covariance @ design.T @ (weight * slopes)
        return found, covariance, float((weight * (slopes - design @ found) ** 2).sum())

    between, most = 0.0, float(np.var(slopes) + np.max(standard_errors) ** 2) * 4
    if fit(0.0)[2] > freedom:
        between = optimize.brentq(lambda variance: fit(variance)[2] - freedom, 0.0, most)
    found, covariance, misfit = fit(between)
    errors = np.sqrt(np.diag(covariance) * max(misfit / freedom, 1.0))
    pairs: Sequence[tuple[float, float]] = list(zip(found[1:].tolist(), errors[1:].tolist(), strict=True))
    return [Slope.of(trend, error, float(freedom), alpha) for trend, error in pairs]
