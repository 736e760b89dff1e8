"""A Gaussian process over a few factors, small enough to be fitted anew for every trial.

This is the only one in batchlaw: the samplers and the smoothed ridges use it. Optuna's (`optuna._gp`, behind
`GPSampler`) is private and needs torch. scikit-learn's takes half a second to import and longer to fit, and has neither
priors, nor errors that runs of one seed share, nor pending runs. The tests take scikit-learn's as their reference.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy import linalg, optimize, special

from batchlaw.stats.surface import Bools, Floats

# From squared distances in length scales to correlations, and to their derivatives by the squared distance.
Correlation = Callable[[Floats], tuple[Floats, Floats]]

_JITTER = 1e-8  # added to the noise, so that a covariance can be factored


def matern(squared: Floats) -> tuple[Floats, Floats]:
    """The Matérn correlation with ν = 5/2 (Rasmussen & Williams 2006, equation 4.17), for surfaces with kinks."""
    distance = np.sqrt(5.0 * squared)
    fall = np.exp(-distance)
    return (1 + distance + distance**2 / 3) * fall, (-5 / 6) * (1 + distance) * fall


def squared_exponential(squared: Floats) -> tuple[Floats, Floats]:
    """The squared exponential correlation (the same, equation 4.9), for smooth surfaces."""
    fall = np.exp(-squared / 2)
    return fall, -fall / 2


@dataclass(frozen=True, eq=False)
class Prior:
    """What is known beforehand of the logarithms of d length scales and of the noise; each array is (d + 1,).

    Each is normal within its bounds. With an infinite `deviation` it is flat, and the fit is maximum likelihood.
    """

    middle: Floats
    deviation: Floats
    low: Floats
    high: Floats
    start: Floats  # where the search for the most probable values begins


@dataclass(frozen=True, eq=False)
class Kernel:
    """How alike the scores at two points are."""

    scales: Floats  # (d,) length scales, in units of the points
    noise: float  # variance of the error of a score, as a multiple of the surface's variance
    categorical: Bools  # (d,) factors without an order: two different values are 1 apart
    correlation: Correlation

    def between(self, left: Floats, right: Floats) -> Floats:
        """Correlation of the surface at points (n_left, d) and (n_right, d), (n_left, n_right)."""
        squared = squared_differences(left, right, self.categorical)
        return self.correlation(np.tensordot(self.scales**-2, squared, axes=1))[0]

    @classmethod
    def fitted(
        cls, points: Floats, scores: Floats, categorical: Bools, correlation: Correlation, prior: Prior, *, steps: int
    ) -> "Kernel":
        """The most probable kernel, given scores.

        Args:
            points: (n, d)
            scores: (n,), of mean 0.
            categorical: (d,)
            correlation: `matern` or `squared_exponential`.
            prior: of its parameters.
            steps: the most iterations of the search.
        """
        found = optimize.minimize(
            penalty, prior.start, args=(squared_differences(points, points, categorical), scores, correlation, prior),
            jac=True, method="L-BFGS-B", bounds=optimize.Bounds(prior.low, prior.high), options={"maxiter": steps},
        )  # fmt: skip
        return cls(np.exp(found.x[:-1]), float(np.exp(found.x[-1])), categorical, correlation)


def penalty(
    logs: Floats, squared: Floats, scores: Floats, correlation: Correlation, prior: Prior
) -> tuple[float, Floats]:
    """The negative log posterior density of a kernel, up to a constant, and its gradient (d + 1,).

    The variance of the surface is integrated out, with a prior that weighs as much as one score of variance 1.

    Args:
        logs: (d + 1,) logarithms of the length scales and of the noise.
        squared: (d, n, n) squared differences of the points in each factor.
        scores: (n,), of mean 0.
        correlation: the kernel's.
        prior: of `logs`.
    """
    n, noise, weights = len(scores), np.exp(logs[-1]), np.exp(-2 * logs[:-1])
    alike, by_squared = correlation(np.tensordot(weights, squared, axes=1))
    factor = linalg.cholesky(alike + (noise + _JITTER) * np.eye(n), lower=True, check_finite=False)
    inverse = linalg.cho_solve((factor, True), np.eye(n), check_finite=False)
    solved = inverse @ scores
    variance = _variance(scores, solved)
    by_covariance = (np.outer(solved, solved) / variance - inverse) / 2  # the derivative of the log likelihood
    by_scales = 2 * weights * np.tensordot(squared, by_covariance * by_squared, axes=((1, 2), (0, 1)))
    off = (logs - prior.middle) / prior.deviation
    value = (n + 1) / 2 * np.log(variance) + np.log(np.diag(factor)).sum() + off @ off / 2
    return float(value), np.append(by_scales, -np.trace(by_covariance) * noise) + off / prior.deviation


@dataclass(frozen=True, eq=False)
class Process:
    """A surface of mean 0, given the scores of some runs."""

    kernel: Kernel
    points: Floats  # (n, d) of the runs
    factor: Floats  # (n, n) lower Cholesky factor of the scores' covariance, as a multiple of `variance`
    solved: Floats  # (n,) the inverse of that covariance, times the scores
    variance: float  # of the surface

    @classmethod
    def of(
        cls, kernel: Kernel, points: Floats, scores: Floats, *, alike: Floats | None = None,
        variance: float | None = None,
    ) -> "Process":  # fmt: skip
        """The process given scores.

        Args:
            kernel: its kernel.
            points: (n, d)
            scores: (n,), of mean 0.
            alike: (n, n) correlations of the scores' errors; None if they are independent.
            variance: of the surface; None takes it from the scores, as the kernel's fit does.
        """
        errors = kernel.noise * (np.eye(len(points)) if alike is None else alike)
        covariance = kernel.between(points, points) + errors + _JITTER * np.eye(len(points))
        factor = linalg.cholesky(covariance, lower=True, check_finite=False)
        solved = linalg.cho_solve((factor, True), scores, check_finite=False)
        return cls(kernel, points, factor, solved, _variance(scores, solved) if variance is None else variance)

    @property
    def log_likelihood(self) -> float:
        """Of the scores, up to a constant."""
        whitened = self.factor.T @ self.solved
        spread = len(whitened) * np.log(self.variance) / 2 + np.log(np.diag(self.factor)).sum()
        return float(-whitened @ whitened / self.variance / 2 - spread)

    def predict(self, places: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the surface at places (n_places, d), both (n_places,).

        They are those of the surface itself, without the error of a run.
        """
        toward = self.kernel.between(self.points, places)
        share = (self._whitened(toward) ** 2).sum(axis=0)
        return toward.T @ self.solved, np.sqrt(self.variance * np.maximum(1 - share, 1e-10))

    def posterior(self, places: Floats) -> tuple[Floats, Floats]:
        """Mean (n_places,) and covariance (n_places, n_places) of the surface at places (n_places, d)."""
        toward = self.kernel.between(self.points, places)
        across = self._whitened(toward)
        return toward.T @ self.solved, self.variance * (self.kernel.between(places, places) - across.T @ across)

    def fantasized(self, pending: Floats) -> "Process":
        """The process as if runs at points (n_pending, d) had ended with the scores that it predicts.

        This leaves its mean as it is and narrows it there (the kriging believer; Ginsbourger, Le Riche & Carraro 2010).
        """
        n, n_pending = len(self.points), len(pending)
        across = self._whitened(self.kernel.between(self.points, pending))
        own = self.kernel.between(pending, pending) + (self.kernel.noise + _JITTER) * np.eye(n_pending)
        factor = np.zeros((n + n_pending, n + n_pending))
        factor[:n, :n], factor[n:, :n] = self.factor, across.T
        factor[n:, n:] = linalg.cholesky(own - across.T @ across, lower=True, check_finite=False)
        return replace(
            self,
            points=np.concatenate([self.points, pending]),
            factor=factor,
            solved=np.append(self.solved, np.zeros(n_pending)),
        )

    def _whitened(self, toward: Floats) -> Floats:
        return np.asarray(linalg.solve_triangular(self.factor, toward, lower=True, check_finite=False))


def squared_differences(left: Floats, right: Floats, categorical: Bools) -> Floats:
    """Squared differences of points (n_left, d) and (n_right, d) in each factor, (d, n_left, n_right)."""
    apart: Floats = left.T[:, :, None] - right.T[:, None, :]
    apart[categorical] = apart[categorical] != 0
    return np.asarray(apart * apart)


def normal_scores(scores: Floats) -> Floats:
    """The normal quantiles of the scores' ranks, (n,), so that neither a cliff nor the metric's scale sets a kernel.

    The order of the scores stays as it is; equal ones share their mean rank. The plotting positions are Hazen's,
    (rank - 1/2)/n.
    """
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (counts.cumsum() - (counts - 1) / 2)[place]  # as scipy.stats has them, which takes long to import
    return np.asarray(special.ndtri((ranks - 0.5) / len(scores)))


def _variance(scores: Floats, solved: Floats) -> float:
    return float((scores @ solved + 1) / (len(scores) + 1))
