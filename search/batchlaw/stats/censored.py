"""Curves through optima of which some are estimated and some only bounded on one side (censored)."""

from dataclasses import dataclass

import numpy as np
from scipy import optimize, special

from batchlaw.stats.curves import Curve
from batchlaw.stats.optimum import Ridge
from batchlaw.stats.surface import Bools, Floats

_SMALLEST_ERROR = 0.02  # octaves: no optimum is known better, even if its seeds agree (assumption)
_START_SCATTER, _START_STEP = 0.2, 0.25  # octaves: the first scatter, and the grid of first bends
_NEWTON_STEPS = 15  # at most
_SETTLED = 1e-9  # octaves, or units of slope: Newton's method converges quadratically, so the next step is negligible
_LONGEST_STEP = 2.0  # octaves, or units of slope: more than the distance of a resampled fit from the fit
_TINY = 1e-9  # added to the information, which is singular for a curve that bends far from all observations


@dataclass(frozen=True, eq=False)
class Fit:
    """A curve fitted to a ridge.

    The covariance of the parameters has two parts. That of the seeds is from the same fit to every draw of the optima,
    or from the Fisher information where only sets of them are known; that of their scatter about the curve is from the
    Fisher information.
    """

    curve: Curve
    observations: "Observations"
    parameters: Floats  # (2,)
    scatter: float  # τ, the standard deviation of optima about the curve, octaves
    seeds: Floats  # (2, 2) covariance
    scattered: Floats  # (2, 2) covariance
    seeds_freedom: float  # degrees of freedom of `seeds`
    scatter_freedom: float  # degrees of freedom of `scattered`

    def mean(self, x: Floats) -> Floats:
        """The curve at log₂ given levels x (n,): log₂ of the tuned level, (n,)."""
        return np.asarray(self.curve.mean(self.parameters[None], x)[0])

    def variance(self, x: Floats) -> tuple[Floats, Floats]:
        """The variance of the curve at x (n,), octaves², and Satterthwaite's degrees of freedom (1946), (n,) each."""
        jacobian = self.curve.jacobian(self.parameters[None], x)[0]
        parts = [np.einsum("ni,ij,nj->n", jacobian, part, jacobian) for part in (self.seeds, self.scattered)]
        return parts[0] + parts[1], self._freedom(*parts)

    def interval(self, x: Floats, alpha: float = 0.05) -> tuple[Floats, Floats]:
        """The prediction interval of a new optimum at x (n,), with its scatter: low and high, log₂, (n,) each."""
        jacobian = self.curve.jacobian(self.parameters[None], x)[0]
        seeds, scattered = (np.einsum("ni,ij,nj->n", jacobian, p, jacobian) for p in (self.seeds, self.scattered))
        scattered = scattered + self.scatter**2
        reach = special.stdtrit(self._freedom(seeds, scattered), 1 - alpha / 2) * np.sqrt(seeds + scattered)
        return self.mean(x) - reach, self.mean(x) + reach

    def second(self) -> tuple[float, float]:
        """The variance of the second parameter, the slope or the bend, and its degrees of freedom."""
        seeds, scattered = self.seeds[1, 1], self.scattered[1, 1]
        return float(seeds + scattered), float(self._freedom(seeds, scattered))

    def _freedom(self, seeds: Floats, scattered: Floats) -> Floats:
        parts = seeds**2 / self.seeds_freedom + scattered**2 / self.scatter_freedom
        return np.divide((seeds + scattered) ** 2, parts, out=np.full_like(parts, self.seeds_freedom), where=parts > 0)


def fit(ridge: Ridge, curve: Curve) -> Fit:
    """Interval-censored maximum likelihood, as in Tobin 1958, with known sampling errors and a scatter τ.

    An optimum that is estimated is a normal observation with variance s² + τ². Of any other its set says where it lies.

    Args:
        ridge: whose `lack_of_law` is None.
        curve: to fit.
    """
    data = Observations.of(ridge)
    estimate, scatter = data.estimate(curve)
    spread = np.sqrt(data.error**2 + scatter**2)
    n, known = ridge.degrees_of_freedom + 1, data.covariance(curve, estimate, data.error)
    if data.exact.any():
        resampled = data.newton(curve, estimate, ridge.resampled[:, data.rows], spread)
        known = np.cov(resampled.T, bias=True) * n / (n - 1)
    more = data.covariance(curve, estimate, spread) - data.covariance(curve, estimate, data.error)
    values, vectors = np.linalg.eigh(more)
    return Fit(
        curve=curve,
        observations=data,
        parameters=estimate,
        scatter=scatter,
        seeds=known,
        scattered=(vectors * np.maximum(values, 0.0)) @ vectors.T,
        seeds_freedom=float(n - 1),
        scatter_freedom=float(max(ridge.identified.sum() - 2, 1)),
    )


@dataclass(frozen=True, eq=False)
class Observations:
    """The levels of a ridge that are identified or censored."""

    rows: np.ndarray  # (n,) their indices in the ridge
    x: Floats  # (n,) log₂ of the given level
    # (n,) log₂ of the best level tried. An alignment knows more of it, but takes the optima as a line and each as known
    # by all levels: it can judge neither a curve nor a prediction.
    y: Floats
    exact: Bools  # (n,) `y` is an estimate; else only its bounds are known
    low: Floats  # (n,) log₂; -inf if the optimum lies anywhere below `high`
    high: Floats  # (n,) log₂; inf if it lies anywhere above `low`
    error: Floats  # (n,) standard error, octaves

    @classmethod
    def of(cls, ridge: Ridge) -> "Observations":
        """All levels with a bound. Of an undecided one that is the set that holds together with the others."""
        status = np.array(ridge.status)
        low = np.where(status == "left_censored", -np.inf, ridge.low)
        high = np.where(status == "right_censored", np.inf, ridge.high)
        wide = np.isin(status, ("undecided", "diverged", "missing"))
        low[wide], high[wide] = (-np.inf, np.inf) if ridge.joint is None else ridge.joint[wide].T
        rows = np.flatnonzero(np.isfinite(low) | np.isfinite(high))
        status = status[rows]
        own = np.maximum(ridge.standard_error[rows], _SMALLEST_ERROR)
        # Each standard error is from a few seeds, and a small one would get too much weight. So each variance is
        # moved halfway to their mean (assumption).
        pooled = float(np.mean(own[status == "identified"] ** 2)) if (status == "identified").any() else 0.0
        return cls(
            rows=rows,
            x=np.log2(ridge.given[rows]),
            y=ridge.best[rows],
            exact=(status == "identified") & ridge.exact[rows],
            low=low[rows],
            high=high[rows],
            error=np.sqrt((own**2 + pooled) / 2),
        )

    def estimate(self, curve: Curve) -> tuple[Floats, float]:
        """The most likely parameters (2,), and the scatter τ in octaves."""
        found = self.maximize(curve, self.start(curve))
        scatter = float(np.exp(found.x[2]))
        return self.newton(curve, found.x[:2], self.y[None], np.sqrt(self.error**2 + scatter**2))[0], scatter

    def start(self, curve: Curve) -> Floats:
        """The parameters (2,) where the search begins: the least-squares line, or the best of a grid of bends."""
        known = np.isfinite(self.low) & np.isfinite(self.high)
        if not curve.bends:
            told = known if known.sum() > 1 else np.ones_like(known)
            return np.polyfit(self.x[told], self.y[told], 1)[::-1]
        bends = np.arange(*curve.bounds(self.x), _START_STEP)
        shapes = curve.shape(bends, self.x)
        shifts = (self.y - shapes)[:, known].mean(axis=1)
        likelihoods = self.log_likelihood(shifts[:, None] + shapes, np.sqrt(self.error**2 + _START_SCATTER**2))
        best = likelihoods.argmax()
        return np.array([shifts[best], bends[best]])

    def maximize(self, curve: Curve, start: Floats) -> optimize.OptimizeResult:
        """The most likely parameters and log τ, as `x` (3,); `fun` is the negative log likelihood."""

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
        """The log likelihood of predicted means (n_fits, n), up to a constant, (n_fits,); `spread` is (n,)."""
        each = -(((self.y - mean) / spread) ** 2) / 2 - np.log(spread)
        each[:, ~self.exact] = _log_probability(*self._bounds(mean, spread))
        return np.asarray(each.sum(axis=1))

    def newton(self, curve: Curve, start: Floats, y: Floats, spread: Floats) -> Floats:
        """The most likely parameters for each row of y (n_resamples, n) at known spreads (n,), (n_resamples, 2)."""
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
        """The covariance (2, 2) of the parameters (2,), from the observed information."""
        jacobian = curve.jacobian(parameters[None], self.x)[0]
        _, weight, _ = self.derivatives(self.y[None], curve.mean(parameters[None], self.x), spread)
        return np.asarray(np.linalg.inv((jacobian.T * weight[0]) @ jacobian + _TINY * np.eye(2)))

    def derivatives(self, y: Floats, mean: Floats, spread: Floats) -> tuple[Floats, Floats, Floats]:
        """Derivatives of the log likelihood, (n_fits, n) each.

        They are the first by the mean, minus the second by the mean, and the first by the spread.

        Args:
            y: (n_fits, n) log₂ of optima.
            mean: (n_fits, n), predicted.
            spread: (n,) standard deviations, octaves.
        """
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
        """The bounds of optima that are not exact, (n_fits, n_inexact) each, in spreads from the predicted means."""
        inexact = ~self.exact
        low, high = ((end - mean)[:, inexact] / spread[inexact] for end in (self.low, self.high))
        return low, high


def _log_probability(low: Floats, high: Floats) -> Floats:
    """The log probability of a standard normal variable between two bounds, computed in the tail that is precise."""
    flip = low + high > 0
    low, high = np.where(flip, -high, low), np.where(flip, -low, high)
    share = np.minimum(special.log_ndtr(low) - special.log_ndtr(high), -1e-15)
    log_p: Floats = special.log_ndtr(high) + np.log1p(-np.exp(share))
    return log_p
