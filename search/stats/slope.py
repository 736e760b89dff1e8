"""The slope of a ridge on log₂ scales: how the optimum moves with the given factor."""

from dataclasses import dataclass

import numpy as np
from scipy import optimize, special, stats

from search.stats.optimum import Ridge
from search.stats.surface import Bools, Floats

FEWEST_IDENTIFIED = 4
FEWEST_OCTAVES = 3.0
FEWEST_TUNED_LEVELS, FEWEST_TUNED_OCTAVES = 5, 4.0  # so that an optimum can move and still be interior
_SMALLEST_ERROR = 0.02  # octaves; an optimum is not known better, however equal the seeds


@dataclass(frozen=True)
class Slope:
    """An estimate with its confidence interval; slopes are in octaves an octave."""

    slope: float
    ci_low: float
    ci_high: float
    standard_error: float
    degrees_of_freedom: float


def shortfall(ridge: Ridge) -> str | None:
    """What is missing for a slope, in words, or None."""
    octaves = float(np.ptp(np.log2(ridge.tuned)))
    if len(ridge.tuned) < FEWEST_TUNED_LEVELS or octaves < FEWEST_TUNED_OCTAVES - 1e-9:
        return (
            f"the tuned factor has {len(ridge.tuned)} levels over {octaves:.1f} octaves; "
            f"a slope needs {FEWEST_TUNED_LEVELS} over {FEWEST_TUNED_OCTAVES:g}"
        )
    n = int(ridge.identified.sum())
    if n < FEWEST_IDENTIFIED:
        return f"{n} of {len(ridge.given)} levels have an identified optimum; a slope needs {FEWEST_IDENTIFIED}"
    if ridge.octaves < FEWEST_OCTAVES - 1e-9:
        return f"the identified levels span {ridge.octaves:.1f} octaves; a slope needs {FEWEST_OCTAVES:g}"
    return None


def gated_least_squares(ridge: Ridge, alpha: float = 0.05) -> Slope:
    """Ordinary least squares through the identified optima, by their scatter around the line."""
    chosen = ridge.identified
    fit = stats.linregress(np.log2(ridge.given[chosen]), ridge.best[chosen])
    return _interval(fit.slope, fit.stderr, int(chosen.sum()) - 2, alpha)


def censored_slope(ridge: Ridge, alpha: float = 0.05) -> Slope:
    """Interval-censored maximum likelihood (Tobin 1958, with known sampling errors and a scatter τ about the line).

    An identified optimum enters as a normal observation with variance s² + τ², a censored one as the half line that its
    interval allows, an unidentified one not at all. The standard error has two parts: the seeds', from the same fit to
    every bootstrap, and the scatter's, from the information. Degrees of freedom are Satterthwaite's.
    """
    data = _Observations.of(ridge)
    start = gated_least_squares(ridge)
    passed = ridge.identified
    intercept = float(np.mean(ridge.best[passed] - start.slope * np.log2(ridge.given[passed])))
    found = optimize.minimize(
        lambda p: -data.log_likelihood(p[0], p[1], np.sqrt(data.error**2 + np.exp(2 * p[2]))),
        np.array([intercept, start.slope, np.log(0.2)]),
        method="L-BFGS-B",
        bounds=[(None, None), (None, None), (np.log(1e-3), np.log(8.0))],
    )
    scatter = float(np.exp(found.x[2]))
    spread = np.sqrt(data.error**2 + scatter**2)
    estimate = data.newton(found.x[:2], data.y[None], spread)[0, 1]
    resampled = data.newton(found.x[:2], ridge.resampled[:, data.rows], spread)[:, 1]
    n = ridge.degrees_of_freedom + 1
    seeds = float(resampled.var()) * n / (n - 1)
    with_scatter, without = data.variance(found.x[:2], spread), data.variance(found.x[:2], data.error)
    scattered = max(with_scatter - without, 0.0)
    error = np.sqrt(seeds + scattered)
    parts = seeds**2 / (n - 1) + scattered**2 / (int(passed.sum()) - 2)
    freedom = (seeds + scattered) ** 2 / parts if parts else n - 1.0
    return _interval(float(estimate), float(error), freedom, alpha)


def _interval(slope: float, error: float, freedom: float, alpha: float) -> Slope:
    reach = float(stats.t.ppf(1 - alpha / 2, freedom)) * error
    return Slope(float(slope), float(slope - reach), float(slope + reach), float(error), float(freedom))


@dataclass(frozen=True, eq=False)
class _Observations:
    rows: np.ndarray  # (n,) of the ridge
    x: Floats  # (n,) log₂ of the given factor
    y: Floats  # (n,) log₂ of the optimum, where it is exact
    exact: Bools  # (n,)
    low: Floats  # (n,) log₂; -inf where the optimum lies anywhere below `high`
    high: Floats
    error: Floats  # (n,) octaves

    @classmethod
    def of(cls, ridge: Ridge) -> "_Observations":
        status = np.array(ridge.status)
        rows = np.flatnonzero(status != "unidentified")
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

    def log_likelihood(self, intercept: float, slope: float, spread: Floats) -> float:
        mean = intercept + slope * self.x
        z = (self.y - mean) / spread
        inside = _log_probability((self.low - mean) / spread, (self.high - mean) / spread)
        return float(np.where(self.exact, -(z**2) / 2 - np.log(spread), inside).sum())

    def newton(self, start: Floats, y: Floats, spread: Floats) -> Floats:
        """Intercept and slope (n_resamples, 2) of greatest likelihood for each row of y, at given spreads."""
        design = np.stack([np.ones_like(self.x), self.x], axis=1)
        found = np.tile(start, (len(y), 1))
        for _ in range(12):
            score, weight = self._derivatives(y, found @ design.T, spread)
            information = np.einsum("rn,ni,nj->rij", weight, design, design)
            found = found + np.linalg.solve(information, (score @ design)[:, :, None])[:, :, 0]
        return found

    def variance(self, found: Floats, spread: Floats) -> float:
        """Of the slope, from the observed information."""
        design = np.stack([np.ones_like(self.x), self.x], axis=1)
        _, weight = self._derivatives(self.y[None], (design @ found)[None], spread)
        return float(np.linalg.inv((design.T * weight[0]) @ design)[1, 1])

    def _derivatives(self, y: Floats, mean: Floats, spread: Floats) -> tuple[Floats, Floats]:
        """Of the log likelihood in the predicted mean (n_resamples, n): the first, and minus the second."""
        low, high = (self.low - mean) / spread, (self.high - mean) / spread
        log_p = _log_probability(low, high)
        at_low, at_high = (np.exp(-(end**2) / 2 - log_p) / np.sqrt(2 * np.pi) for end in (low, high))
        score = at_low - at_high
        ends = np.where(np.isfinite(high), high, 0.0) * at_high - np.where(np.isfinite(low), low, 0.0) * at_low
        curvature = score**2 + ends
        score = np.where(self.exact, (y - mean) / spread, score) / spread
        return score, np.where(self.exact, 1.0, curvature) / spread**2


def _log_probability(low: Floats, high: Floats) -> Floats:
    """Of a standard normal variable between two bounds, taken in the tail where it is precise."""
    flip = low + high > 0
    low, high = np.where(flip, -high, low), np.where(flip, -low, high)
    share = np.minimum(special.log_ndtr(low) - special.log_ndtr(high), -1e-15)
    log_p: Floats = special.log_ndtr(high) + np.log1p(-np.exp(share))
    return log_p
