"""What single runs say about the whole surface: a Gaussian process (kriging) with the common effects of their seeds."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, stats

from batchlaw.stats.surface import Floats

# Octaves of the given and of the tuned factor over which scores stay alike (assumption; as `scattered` starts from).
_SCALES = (3.0, 2.0)
# Variance of a run beside the surface's of 1, of which the likeliest is taken; the seeds' common effects have as much.
_NOISES = (0.01, 0.03, 0.1, 0.3, 1.0)


@dataclass(frozen=True, eq=False)
class Kriged:
    """A process given runs, asked for what it says of other places, (n_places, 2) octaves."""

    points: Floats  # (n, 2) octaves
    noise: float  # of a run, and as much of a seed
    factor: Floats  # (n, n) of the runs' covariance, lower
    whitened: Floats  # (n,) scores

    def mean(self, places: Floats) -> Floats:
        """The surface, (n_places,), of mean 0 and variance 1."""
        return np.asarray(self._toward(places).T @ self.whitened)

    def covariance(self, places: Floats, pending: Floats) -> Floats:
        """Of the surface, (n_places, n_places), when the runs that are `pending` (n_pending, 2) have ended as foreseen.

        Ginsbourger, Le Riche & Carraro 2010, the kriging believer.
        """
        across, toward = self._toward(places), self._toward(pending)
        covariance = _kernel(places, places) - across.T @ across
        if len(pending):
            own = _kernel(pending, pending) - toward.T @ toward + 2 * self.noise * np.eye(len(pending))
            between = _kernel(pending, places) - toward.T @ across
            covariance = covariance - between.T @ linalg.solve(own, between, assume_a="pos")
        return np.asarray(covariance)

    def _toward(self, places: Floats) -> Floats:
        return np.asarray(linalg.solve_triangular(self.factor, _kernel(self.points, places), lower=True))


def krige(points: Floats, scores: Floats, seeds: NDArray[np.int64]) -> Kriged:
    """Fit a process to runs.

    The scores enter by their ranks, so that a cliff does not set their scale; the surface has the same ridge.

    Args:
        points: (n, 2) octaves, the given and the tuned factor of each run.
        scores: (n,), higher is better.
        seeds: (n,), runs with the same number share what their seeds do to a score.
    """
    ranks = stats.norm.ppf((stats.rankdata(scores) - 0.5) / len(scores))
    alike, beside = _kernel(points, points), (seeds[:, None] == seeds) + np.eye(len(points))
    found: list[tuple[float, Kriged]] = []
    for noise in _NOISES:
        factor = linalg.cholesky(alike + noise * beside, lower=True)
        whitened = linalg.solve_triangular(factor, ranks, lower=True)
        likelihood = -float(whitened @ whitened) / 2 - float(np.log(np.diag(factor)).sum())
        found.append((likelihood, Kriged(points, noise, factor, whitened)))
    return max(found, key=lambda each: each[0])[1]


def draw(mean: Floats, covariance: Floats, generator: np.random.Generator) -> Floats:
    """One surface of a posterior."""
    return np.asarray(generator.multivariate_normal(mean, covariance, method="eigh", check_valid="ignore"))


def _kernel(left: Floats, right: Floats) -> Floats:
    """Squared exponential, of variance 1."""
    distance = (left[:, None] - right[None]) / np.array(_SCALES)
    return np.asarray(np.exp(-(distance**2).sum(axis=2) / 2))
