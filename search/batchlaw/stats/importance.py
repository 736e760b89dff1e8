"""The importance of each factor of a full factorial."""

import numpy as np

from batchlaw.stats.surface import Floats

_BOOTSTRAPS = 1000


def main_effects(means: Floats) -> Floats:
    """The share of the variance of cell means that each factor explains by itself, (n_factors,).

    These are the main effects of functional ANOVA (Hutter et al. 2014). A full factorial gives the marginal means
    directly, so no surrogate model is needed.

    Args:
        means: cell means, with one axis for each factor.
    """
    total = means.var()
    shares = [
        means.mean(axis=tuple(other for other in range(means.ndim) if other != axis)).var() / total
        for axis in range(means.ndim)
    ]
    return np.array(shares)


def first_ranked(scores: Floats, generator: np.random.Generator) -> Floats:
    """The share of bootstraps over seeds in which each factor has the largest main effect, (n_factors,).

    Args:
        scores: one axis for each factor, and the seeds as the last axis.
        generator: of the bootstraps.
    """
    n = scores.shape[-1]
    wins = np.zeros(scores.ndim - 1)
    for _ in range(_BOOTSTRAPS):
        wins[main_effects(scores[..., generator.integers(0, n, n)].mean(axis=-1)).argmax()] += 1
    return wins / _BOOTSTRAPS
