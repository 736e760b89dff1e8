"""The comparison of two measured means."""

from collections.abc import Sequence
from math import erfc, isfinite, sqrt


def welch_p_value(mean_a: float, error_a: float, n_a: int, mean_b: float, error_b: float, n_b: int) -> float:
    """Two-sided p-value of the hypothesis that two means are equal (Welch 1947).

    Args:
        mean_a: the first mean.
        error_a: its standard error.
        n_a: the number of values behind that error; 1 if the error is known and not estimated.
        mean_b: the second mean.
        error_b: its standard error.
        n_b: the same for it. If both are 1, the normal distribution takes the place of Student's t.
    """
    variance = error_a**2 + error_b**2
    if not variance > 0 or not isfinite(variance):
        return 1.0 if mean_a == mean_b else 0.0
    statistic = abs(mean_a - mean_b) / sqrt(variance)
    terms = [error**4 / (n - 1) for error, n in ((error_a, n_a), (error_b, n_b)) if n > 1]
    if not sum(terms):
        return erfc(statistic / sqrt(2))
    from scipy import special  # a third of a second to import, which studies of single replicates do without

    return float(2 * special.stdtr(variance**2 / sum(terms), -statistic))


def mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard error of independent values, of which there are two or more."""
    n = len(values)
    mean = sum(values) / n
    return mean, sqrt(sum((value - mean) ** 2 for value in values) / (n - 1) / n)
