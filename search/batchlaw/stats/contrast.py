"""Differences between settings that were run on the same seeds."""

from dataclasses import dataclass

import numpy as np
from scipy import special

from batchlaw.stats.surface import Floats, means_of_others


@dataclass(frozen=True)
class Contrast:
    """A mean difference of scores over seeds, with its interval and two-sided p-value (Student's paired t)."""

    difference: float
    ci_low: float
    ci_high: float
    p_value: float

    def __str__(self) -> str:
        """The difference and its interval, for people."""
        return f"{self.difference:+.4f} [{self.ci_low:+.4f}, {self.ci_high:+.4f}]"


def paired(first: Floats, second: Floats, alpha: float = 0.05) -> Contrast:
    """The mean of `first - second` over seeds, (n_seeds,) each."""
    from scipy import stats  # a third of a second to import

    gap = first - second
    if np.ptp(gap) <= 1e-9 * np.abs(gap).max():  # all seeds agree to rounding: there is no deviation to test with
        return Contrast(float(gap[0]), float(gap[0]), float(gap[0]), 1.0 if gap[0] == 0 else 0.0)
    test = stats.ttest_rel(first, second)
    low, high = test.confidence_interval(1 - alpha)
    return Contrast(float(gap.mean()), float(low), float(high), float(test.pvalue))


def beyond(first: Floats, second: Floats, margin: float) -> float:
    """The p-value of the claim that the mean of `first - second`, (n_seeds,) each, lies outside ± margin.

    It is twice the one-sided p-value, because the side is chosen after seeing the data.
    """
    outside = np.abs((first - second).mean()) - margin
    error = (first - second).std(ddof=1) / np.sqrt(len(first))
    if error == 0:
        return 0.0 if outside > 0 else 1.0
    return min(2 * float(special.stdtr(len(first) - 1, -(outside / error))), 1.0)


def tuned(scores: Floats) -> Floats:
    """The score of each seed in the cell that is best on the other seeds, (n_seeds,).

    No seed has a part in choosing the cell that it is scored in.

    Args:
        scores: (n_cells, n_seeds)
    """
    return np.asarray(scores[means_of_others(scores).argmax(axis=0), np.arange(scores.shape[1])])


def seed_deviation(scores: Floats) -> float:
    """The standard deviation over seeds, pooled over cells; scores are (n_cells, n_seeds)."""
    return float(np.sqrt(scores.var(axis=-1, ddof=1).mean()))
