"""A Gaussian process over the cube, small enough to be fitted anew for every trial."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, optimize
from scipy.special import erfcx, ndtr

Floats = NDArray[np.float64]

# The priors of log length scales, whose middle grows with √d (Hvarfner et al. 2024, arXiv:2402.02229), and of the log
# of the noise's variance beside the surface's: a hundredth, to within a factor of e (assumption).
_SCALE, _SCALE_SD = np.sqrt(2.0), np.sqrt(3.0)
_NOISE, _NOISE_SD = np.log(0.01), 1.0
_SCALE_BOUNDS, _NOISE_BOUNDS = (np.log(0.05), np.log(30.0)), (np.log(1e-5), np.log(3.0))
_ROOT5 = np.sqrt(5.0)
_JITTER = 1e-8
_ITERATIONS = 10


@dataclass(frozen=True, eq=False)
class Kernel:
    """Matérn's with ν = 5/2 and variance 1; two choices of a categorical lie 1 apart."""

    scales: Floats  # (d,) length scales
    noise: float  # variance
    categorical: NDArray[np.bool_]  # (d,)

    def between(self, left: Floats, right: Floats) -> Floats:
        """(n_left, n_right), without noise."""
        return _matern(np.tensordot(self.scales**-2, squares(left, right, self.categorical), axes=1))

    @classmethod
    def fitted(cls, points: Floats, scores: Floats, categorical: NDArray[np.bool_]) -> "Kernel":
        """The likeliest a posteriori. Scores have mean 0; their variance is integrated out, with one of 1 before."""
        d = points.shape[1]
        apart = squares(points, points, categorical)
        start = np.append(np.full(d, np.log(0.5)), _NOISE)
        found = optimize.minimize(
            penalty, start, args=(apart, scores), jac=True, method="L-BFGS-B",
            bounds=[_SCALE_BOUNDS] * d + [_NOISE_BOUNDS], options={"maxiter": _ITERATIONS},
        )  # fmt: skip
        return cls(np.exp(found.x[:d]), float(np.exp(found.x[d])), categorical)


def penalty(logs: Floats, apart: Floats, scores: Floats) -> tuple[float, Floats]:
    """The negative log posterior of a kernel, up to a constant, and its gradient.

    Args:
        logs: (d + 1,) of the length scales and the noise.
        apart: (d, n, n) squared distances on each side.
        scores: (n,)
    """
    d, n = apart.shape[:2]
    weights, noise = np.exp(-2 * logs[:d]), np.exp(logs[d])
    squared = np.tensordot(weights, apart, axes=1)
    far = _ROOT5 * np.sqrt(squared)
    fall = np.exp(-far)
    factor = linalg.cholesky(
        (1 + far + far**2 / 3) * fall + (noise + _JITTER) * np.eye(n), lower=True, check_finite=False
    )
    inverse = linalg.cho_solve((factor, True), np.eye(n), check_finite=False)
    solved = inverse @ scores
    variance = (scores @ solved + 1) / (n + 1)
    toward = (np.outer(solved, solved) / variance - inverse) / 2  # of the log likelihood, by the covariance
    by_squared = toward * (-5 / 6) * (1 + far) * fall
    slopes = np.append(
        2 * weights * np.tensordot(apart, by_squared, axes=((1, 2), (0, 1))), -float(np.trace(toward)) * noise
    )
    off = (logs - np.append(np.full(d, _SCALE + np.log(d) / 2), _NOISE)) / np.append(np.full(d, _SCALE_SD), _NOISE_SD)
    value = (n + 1) / 2 * np.log(variance) + np.log(np.diag(factor)).sum() + off @ off / 2
    return float(value), slopes + off / np.append(np.full(d, _SCALE_SD), _NOISE_SD)


@dataclass(frozen=True, eq=False)
class Process:
    """A kernel, and what it makes of scores (n,) at points (n, d)."""

    kernel: Kernel
    points: Floats
    factor: Floats
    solved: Floats
    level: float
    variance: float

    @classmethod
    def of(cls, kernel: Kernel, points: Floats, scores: Floats) -> "Process":
        """Given the scores."""
        level = float(scores.mean())
        covariance = kernel.between(points, points) + (kernel.noise + _JITTER) * np.eye(len(points))
        factor = linalg.cholesky(covariance, lower=True, check_finite=False)
        solved = linalg.cho_solve((factor, True), scores - level)
        return cls(kernel, points, factor, solved, level, float(((scores - level) @ solved + 1) / (len(points) + 1)))

    def mean(self, points: Floats) -> Floats:
        """Foreseen, (n,)."""
        return np.asarray(self.level + self.kernel.between(points, self.points) @ self.solved)

    def deviation(self, points: Floats) -> Floats:
        """The standard deviation of the surface, without the noise of a score, (n,)."""
        across = linalg.solve_triangular(
            self.factor, self.kernel.between(self.points, points), lower=True, check_finite=False
        )
        return np.asarray(np.sqrt(self.variance * np.maximum(1 - (across**2).sum(axis=0), 1e-10)))

    def fantasized(self, points: Floats) -> "Process":
        """As if the scores of points (n, d) had come as foreseen (Ginsbourger et al. 2010, the kriging believer)."""
        scores = self.kernel.between(self.points, self.points) @ self.solved + self.kernel.noise * self.solved
        known = np.append(scores, self.mean(points) - self.level)
        other = Process.of(self.kernel, np.concatenate([self.points, points]), known - known.mean())
        return Process(
            self.kernel, other.points, other.factor, linalg.cho_solve((other.factor, True), known), self.level,
            self.variance,
        )  # fmt: skip


def log_improvement(mean: Floats, deviation: Floats, best: float) -> Floats:
    """The logarithm of the expected improvement over `best`, exact far below it as well (Ament et al. 2023)."""
    z = (mean - best) / deviation
    high, low = np.maximum(z, -1.0), np.clip(z, -1e6, -1.0)
    near = np.log(np.exp(-(high**2) / 2) / np.sqrt(2 * np.pi) + high * ndtr(high))
    far = -(z**2) / 2 - np.log(2 * np.pi) / 2 + np.log1p(low * np.sqrt(np.pi / 2) * erfcx(-low / np.sqrt(2.0)))
    return np.asarray(np.where(z > -1, near, far) + np.log(deviation))


def squares(left: Floats, right: Floats, categorical: NDArray[np.bool_]) -> Floats:
    """Squared distances on each side, (d, n_left, n_right)."""
    apart: Floats = left.T[:, :, None] - right.T[:, None, :]
    apart[categorical] = apart[categorical] != 0
    return np.asarray(apart * apart)


def _matern(squared: Floats) -> Floats:
    far = _ROOT5 * np.sqrt(squared)
    return np.asarray((1 + far + far**2 / 3) * np.exp(-far))
