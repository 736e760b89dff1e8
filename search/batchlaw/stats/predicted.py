"""Predictions of one new setting, as mixtures of normal distributions."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy import stats

from batchlaw.stats.surface import Floats

_STEPS = 60  # of bisection: an interval is known to 2^-60 of its first bounds
_FAR = 10.0  # standard deviations from a part's mean, beyond which it has no mass


@dataclass(frozen=True, eq=False)
class Predicted:
    """Predictions in log₂: with each weight those of one choice of the deviations between groups.

    The deviations are not known, and the spread of the parts tells this. So the quantiles are those of the mixture: a
    Student's t with its variance would count the same doubt twice.
    """

    weights: Floats  # (n_parts,), with sum 1
    means: Floats  # (n_parts, n)
    deviations: Floats  # (n_parts, n)

    @classmethod
    def of(cls, weights: Floats, means: Floats, variances: Floats) -> Self:
        """From variances."""
        return cls(weights, means, np.sqrt(variances))

    @property
    def mean(self) -> Floats:
        """(n,)"""
        return np.asarray(self.weights @ self.means)

    @property
    def deviation(self) -> Floats:
        """(n,)"""
        return np.sqrt(self.weights @ (self.deviations**2 + (self.means - self.mean) ** 2))

    def interval(self, alpha: float) -> tuple[Floats, Floats]:
        """The ends of the prediction intervals, (n,) each."""
        return self._quantile(alpha / 2), self._quantile(1 - alpha / 2)

    def draws(self, n_draws: int, generator: np.random.Generator) -> Floats:
        """Of the first prediction, (n_draws,)."""
        part = generator.choice(len(self.weights), n_draws, p=self.weights)
        return np.asarray(generator.normal(self.means[part, 0], self.deviations[part, 0]))

    def _quantile(self, probability: float) -> Floats:
        low = (self.means - _FAR * self.deviations).min(axis=0)
        high = (self.means + _FAR * self.deviations).max(axis=0)
        for _ in range(_STEPS):
            middle = (low + high) / 2
            below = self.weights @ stats.norm.cdf((middle - self.means) / self.deviations) < probability
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return np.asarray((low + high) / 2)
