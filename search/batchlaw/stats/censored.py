"""Curves through optima of which some are known exactly, some only to lie on one side of a bound."""

from dataclasses import dataclass

import numpy as np
from scipy import optimize, special

from batchlaw.stats.curves import Curve
from batchlaw.stats.optimum import Ridge
from batchlaw.stats.surface import Bools, Floats

_SMALLEST_ERROR = 0.02  # octaves; an optimum is not known better, however equal the seeds
_START_SCATTER, _START_STEP = 0.2, 0.25  # octaves, where a search begins
_NEWTON_STEPS = 15  # at most
_SETTLED = 1e-9  # octaves, or units of slope; the next step would be smaller by many orders
_LONGEST_STEP = 2.0  # octaves, or units of slope: further than a resampled fit lies from the fit
_TINY = 1e-9  # added to an information that is singular where a curve bends far from all that was seen


@dataclass(frozen=True, eq=False)
class Fit:
    """A curve fitted to a ridge.

    The covariance of the parameters has two parts: the seeds', from the same fit to every bootstrap, and the scatter's
    about the curve, from the information.
    """

    curve: Curve
    observations: "Observations"
    parameters: Floats  # (2,)
    scatter: float  # τ, octaves
    seeds: Floats  # (2, 2)
    scattered: Floats  # (2, 2)
    seeds_freedom: float
    scatter_freedom: float

    def mean(self, x: Floats) -> Floats:
        """The curve at x (n,), octaves."""
        return np.asarray(self.curve.mean(self.parameters[None], x)[0])

    def variance(self, x: Floats) -> tuple[Floats, Floats]:
        """Of the curve at x (n,), octaves², with Satterthwaite's degrees of freedom."""
        jacobian = self.curve.jacobian(self.parameters[None], x)[0]
        parts = [np.einsum("ni,ij,nj->n", jacobian, part, jacobian) for part in (self.seeds, self.scattered)]
        return parts[0] + parts[1], self._freedom(*parts)

    def interval(self, x: Floats, alpha: float = 0.05) -> tuple[Floats, Floats]:
        """Where a single optimum at x (n,) lies, one that was not among those fitted: with its scatter."""
        jacobian = self.curve.jacobian(self.parameters[None], x)[0]
        seeds, scattered = (np.einsum("ni,ij,nj->n", jacobian, p, jacobian) for p in (self.seeds, self.scattered))
        scattered = scattered + self.scatter**2
        reach = special.stdtrit(self._freedom(seeds, scattered), 1 - alpha / 2) * np.sqrt(seeds + scattered)
        return self.mean(x) - reach, self.mean(x) + reach

    def second(self) -> tuple[float, float]:
        """The variance of the slope or bend, and its degrees of freedom."""
        seeds, scattered = self.seeds[1, 1], self.scattered[1, 1]
        return float(seeds + scattered), float(self._freedom(seeds, scattered))

    def _freedom(self, seeds: Floats, scattered: Floats) -> Floats:
        parts = seeds**2 / self.seeds_freedom + scattered**2 / self.scatter_freedom
        return np.divide((seeds + scattered) ** 2, parts, out=np.full_like(parts, self.seeds_freedom), where=parts > 0)


def fit(ridge: Ridge, curve: Curve) -> Fit:
    """Interval-censored maximum likelihood (Tobin 1958, with known sampling errors and a scatter τ about the curve).

    An identified optimum enters as a normal observation with variance s² + τ², a censored one as the half line that its
    interval allows, an undecided one not at all. Three identified ones or more are needed.
    """
    data = Observations.of(ridge)
    estimate, scatter = data.estimate(curve)
    spread = np.sqrt(data.error**2 + scatter**2)
    resampled = data.newton(curve, estimate, ridge.resampled[:, data.rows], spread)
    n = ridge.degrees_of_freedom + 1
    more = data.covariance(curve, estimate, spread) - data.covariance(curve, estimate, data.error)
    values, vectors = np.linalg.eigh(more)
    return Fit(
        curve=curve,
        observations=data,
        parameters=estimate,
        scatter=scatter,
        seeds=np.cov(resampled.T, bias=True) * n / (n - 1),
        scattered=(vectors * np.maximum(values, 0.0)) @ vectors.T,
        seeds_freedom=float(n - 1),
        scatter_freedom=float(max(ridge.identified.sum() - 2, 1)),
    )


@dataclass(frozen=True, eq=False)
class Observations:
    """The levels of a ridge that say something about its optimum."""

    rows: np.ndarray  # (n,) of the ridge
    x: Floats  # (n,) log₂ of the given factor
    y: Floats  # (n,) log₂ of the optimum, where it is exact
    exact: Bools  # (n,)
    low: Floats  # (n,) log₂; -inf where the optimum lies anywhere below `high`
    high: Floats
    error: Floats  # (n,) octaves

    @classmethod
    def of(cls, ridge: Ridge) -> "Observations":
        """All but the undecided ones."""
        status = np.array(ridge.status)
        rows = np.flatnonzero(status != "undecided")
        status = status[rows]
        own = np.maximum(ridge.standard_error[rows], _SMALLEST_ERROR)
        # Halfway to their mean: each rests on a few seeds, and would be trusted too much where it came out small.
        pooled = float(np.mean(own[status == "identified"] ** 2))
        return cls(
            rows=rows,
            x=np.log2(ridge.given[rows]),
            y=ridge.best[rows],
            exact=(status == "identified") & ridge.exact[rows],
            low=np.where(status == "left_censored", -np.inf, ridge.low[rows]),
            high=np.where(status == "right_censored", np.inf, ridge.high[rows]),
            error=np.sqrt((own**2 + pooled) / 2),
        )

    def estimate(self, curve: Curve) -> tuple[Floats, float]:
        """The parameters (2,) of greatest likelihood, and the scatter τ, octaves."""
        found = self.maximize(curve, self.start(curve))
        scatter = float(np.exp(found.x[2]))
        return self.newton(curve, found.x[:2], self.y[None], np.sqrt(self.error**2 + scatter**2))[0], scatter

    def start(self, curve: Curve) -> Floats:
        """Where to begin the search: the least-squares line, or the best of bends all over."""
        known = np.isfinite(self.low) & np.isfinite(self.high)
        if not curve.bends:
            return np.polyfit(self.x[known], self.y[known], 1)[::-1]
        bends = np.arange(*curve.bounds(self.x), _START_STEP)
        shapes = curve.shape(bends, self.x)
        shifts = (self.y - shapes)[:, known].mean(axis=1)
        likelihoods = self.log_likelihood(shifts[:, None] + shapes, np.sqrt(self.error**2 + _START_SCATTER**2))
        best = likelihoods.argmax()
        return np.array([shifts[best], bends[best]])

    def maximize(self, curve: Curve, start: Floats) -> optimize.OptimizeResult:
        """The parameters and log τ of greatest likelihood, as `x`; `fun` is minus its logarithm."""

        def negative(p: Floats) -> tuple[float, Floats]:
            variance = np.exp(2 * p[2])
            spread = np.sqrt(self.error**2 + variance)
            mean = curve.mean(p[None, :2], self.x)
            score, _, by_spread = self.derivatives(self.y[None], mean, spread)
            gradient = [*(score[0] @ curve.jacobian(p[None, :2], self.x)[0]), (by_spread[0] * variance / spread).sum()]
            return -float(self.log_likelihood(mean, spread)[0]), -np.array(gradient)

        bounds = [(None, None), curve.bounds(self.x), (np.log(1e-3), np.log(8.0))]
        return optimize.minimize(
            negative, np.array([*start, np.log(_START_SCATTER)]), jac=True, method="L-BFGS-B", bounds=bounds
        )

    def log_likelihood(self, mean: Floats, spread: Floats) -> Floats:
        """Of predicted means (n_fits, n), each."""
        each = -(((self.y - mean) / spread) ** 2) / 2 - np.log(spread)
        each[:, ~self.exact] = _log_probability(*self._bounds(mean, spread))
        return np.asarray(each.sum(axis=1))

    def newton(self, curve: Curve, start: Floats, y: Floats, spread: Floats) -> Floats:
        """The parameters (n_resamples, 2) of greatest likelihood for each row of y, at given spreads."""
        found = np.tile(start, (len(y), 1))
        low, high = curve.bounds(self.x)
        for _ in range(_NEWTON_STEPS):
            score, weight, _ = self.derivatives(y, curve.mean(found, self.x), spread)
            jacobian = curve.jacobian(found, self.x)
            information = (weight[:, :, None] * jacobian).transpose(0, 2, 1) @ jacobian + _TINY * np.eye(2)
            step = np.linalg.solve(information, np.einsum("rn,rni->ri", score, jacobian)[:, :, None])[:, :, 0]
            before = found
            found = found + np.clip(step, -_LONGEST_STEP, _LONGEST_STEP)
            found[:, 1] = np.clip(found[:, 1], low, high)
            if np.abs(found - before).max() < _SETTLED:
                break
        return found

    def covariance(self, curve: Curve, parameters: Floats, spread: Floats) -> Floats:
        """Of the parameters (2,), from the observed information."""
        jacobian = curve.jacobian(parameters[None], self.x)[0]
        _, weight, _ = self.derivatives(self.y[None], curve.mean(parameters[None], self.x), spread)
        return np.asarray(np.linalg.inv((jacobian.T * weight[0]) @ jacobian + _TINY * np.eye(2)))

    def derivatives(self, y: Floats, mean: Floats, spread: Floats) -> tuple[Floats, Floats, Floats]:
        """Of the log likelihood: the first and minus the second in the mean (n_fits, n), the first in the spread."""
        z = (y - mean) / spread
        first, second, by_spread = z, np.ones_like(z), z**2 - 1
        low, high = self._bounds(mean, spread)
        log_p = _log_probability(low, high)
        at_low, at_high = (np.exp(-(end**2) / 2 - log_p) / np.sqrt(2 * np.pi) for end in (low, high))
        ends = np.where(np.isfinite(high), high, 0.0) * at_high - np.where(np.isfinite(low), low, 0.0) * at_low
        score, inexact = at_low - at_high, ~self.exact
        first[:, inexact], second[:, inexact], by_spread[:, inexact] = score, score**2 + ends, -ends
        return first / spread, second / spread**2, by_spread / spread

    def _bounds(self, mean: Floats, spread: Floats) -> tuple[Floats, Floats]:
        """Of the optima that are not exact (n_fits, n_inexact), in spreads from the predicted means."""
        inexact = ~self.exact
        low, high = ((end - mean)[:, inexact] / spread[inexact] for end in (self.low, self.high))
        return low, high


def _log_probability(low: Floats, high: Floats) -> Floats:
    """Of a standard normal variable between two bounds, taken in the tail where it is precise."""
    flip = low + high > 0
    low, high = np.where(flip, -high, low), np.where(flip, -low, high)
    share = np.minimum(special.log_ndtr(low) - special.log_ndtr(high), -1e-15)
    log_p: Floats = special.log_ndtr(high) + np.log1p(-np.exp(share))
    return log_p
