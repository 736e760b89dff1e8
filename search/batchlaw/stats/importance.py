"""How much of the variation over a full factorial each factor explains by itself."""

import numpy as np

from batchlaw.stats.surface import Floats


def main_effects(means: Floats) -> Floats:
    """The share of the variance of cell means that is each axis's main effect (functional ANOVA, Hutter et al. 2014).

    On a full factorial the marginal means are exact, so no surrogate model stands in between.
    """
    total = means.var()
    shares = [
        means.mean(axis=tuple(other for other in range(means.ndim) if other != axis)).var() / total
        for axis in range(means.ndim)
    ]
    return np.array(shares)


def first_ranked(scores: Floats, generator: np.random.Generator, n_resamples: int = 1000) -> Floats:
    """The share of bootstraps over seeds, the last axis, in which each factor has the largest main effect."""
    n = scores.shape[-1]
    wins = np.zeros(scores.ndim - 1)
    for _ in range(n_resamples):
        wins[main_effects(scores[..., generator.integers(0, n, n)].mean(axis=-1)).argmax()] += 1
    return wins / n_resamples
