"""Steps to a target against batch size, and the critical batch size at which they bend.

With S updates and E = S·B examples to a target, (S/S_min - 1)(E/E_min - 1) = 1 (McCandlish et al. 2018,
arXiv:1812.06162), which is

    S = S_min · (1 + B_crit/B),    B_crit = E_min/S_min.

Small batches need E_min examples whatever their size (perfect scaling), large ones S_min updates.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import special

from batchlaw.stats.surface import Bools, Floats

FEWEST = 3  # batch sizes that reach the target
_BEYOND = 10.0  # octaves beyond the batch sizes that are searched: there the curve is one of its limits
_SPACING = 0.02  # octaves, of the profile
_ROUNDS = 20  # of expectation and maximisation, with batch sizes that do not reach the target
_LEAST_DEVIATION = 1e-4  # natural logarithm, of steps: counts are whole numbers


@dataclass(frozen=True)
class Bounded:
    """An estimate with its interval; an end is None where the data leave that side open.

    The estimate is None where the data fit best at a limit of the curve, so that only a bound is known.
    """

    value: float | None
    low: float | None
    high: float | None

    def __str__(self) -> str:
        if self.low is None and self.high is None:
            return "not determined"
        if self.low is None or self.high is None:
            bound = f"at least {self.low:.4g}" if self.high is None else f"at most {self.high:.4g}"
            return bound if self.value is None else f"{self.value:.4g}, {bound}"
        return f"{self.value:.4g} [{self.low:.4g}, {self.high:.4g}]"


@dataclass(frozen=True, eq=False)
class Hyperbola:
    """A fitted hyperbola, with profile intervals."""

    critical: Bounded  # B_crit
    steps_min: Bounded  # S_min
    examples_min: Bounded  # E_min = S_min · B_crit
    deviation: float  # of log steps at a batch size, natural logarithm
    degrees_of_freedom: int
    lack_of_fit: float | None  # p-value, where the noise of the steps is known from replicates

    def overhead(self, share: float, start: float) -> Bounded:
        """The batch size at which steps exceed perfect scaling from a batch size `start` by a share.

        Of the hyperbola it is (1 + share)·start + share·B_crit (arXiv:2410.21676 has 20 % from 256).
        """

        def moved(value: float | None) -> float | None:
            return None if value is None else (1 + share) * start + share * value

        found = self.critical
        return Bounded(moved(found.value), moved(found.low), moved(found.high))

    def steps(self, batch_size: Floats) -> Floats | None:
        """Fitted steps at batch sizes (n,); None where only bounds are known."""
        if self.critical.value is None or self.steps_min.value is None:
            return None
        return np.asarray(self.steps_min.value * (1 + self.critical.value / batch_size))


def fit_hyperbola(
    batch_size: Floats, steps: Floats, reached: Bools | None = None, variance: Floats | None = None,
    degrees_of_freedom: int = 0, *, alpha: float = 0.05,
) -> Hyperbola | None:  # fmt: skip
    """Fit the hyperbola to the logarithms of steps, each batch size with the same weight.

    The deviation about the curve is that of the residuals, lack of fit included, or that of the replicates where this
    is larger. An interval has the values whose profile exceeds its minimum by less than the square of Student's t.

    Args:
        batch_size: (n,), above 0, each once.
        steps: (n,) to the target; where it is not `reached`, the steps that were run.
        reached: (n,); None where all reach it.
        variance: (n,) of the logarithm of `steps`, where replicates tell it.
        degrees_of_freedom: of that variance, over all batch sizes.
        alpha: one less the confidence of an interval.

    Returns:
        None where fewer than three batch sizes reach the target.
    """
    reached = np.ones(len(steps), dtype=bool) if reached is None else reached
    if reached.sum() < FEWEST:
        return None
    profile = _Profile(np.log(batch_size), np.log(steps), reached)
    freedom = int(reached.sum()) - 2
    residual = profile.solve(freedom)
    p_value = None
    if variance is not None and degrees_of_freedom > 0 and (pure := float(variance[reached].mean())) > 0:
        p_value = float(special.fdtrc(freedom, degrees_of_freedom, residual / pure))
        if pure > residual:
            residual, freedom = profile.with_variance(pure), degrees_of_freedom
    limit = float(special.stdtrit(freedom, 1 - alpha / 2)) ** 2
    return Hyperbola(
        critical=profile.interval(profile.log_c, np.zeros_like(profile.log_c), limit),
        steps_min=profile.interval(profile.level, profile.error, limit),
        examples_min=profile.interval(profile.level + profile.log_c, profile.error, limit),
        deviation=float(np.sqrt(residual)), degrees_of_freedom=freedom, lack_of_fit=p_value,
    )  # fmt: skip


class _Profile:
    """Misfit of the curve against log B_crit, its level (log S_min) chosen at each."""

    def __init__(self, log_size: Floats, log_steps: Floats, reached: Bools) -> None:
        reach = _BEYOND * np.log(2)
        n = int((np.ptp(log_size) + 2 * reach) / (_SPACING * np.log(2)))
        self.log_c = np.linspace(log_size.min() - reach, log_size.max() + reach, n)  # (n_places,)
        self._shape = np.logaddexp(0.0, self.log_c[:, None] - log_size)  # (n_places, n)
        self._y, self._reached = log_steps, reached
        self._variance = 0.0

    def solve(self, freedom: int) -> float:
        """Choose levels and the variance about the curve; returns the variance."""
        seen = self._shape[:, self._reached]
        level = (self._y[self._reached] - seen).mean(axis=1)
        for _ in range(1 if self._reached.all() else 4):
            left = ((self._y[self._reached] - seen - level[:, None]) ** 2).sum(axis=1)
            at = int(left.argmin()) if self._reached.all() else int(self._misfit(level, left).argmin())
            self._variance = max(float(left[at]) / freedom, _LEAST_DEVIATION**2)
            level = self._levels(level)
        self.level = level
        return self._variance

    def with_variance(self, variance: float) -> float:
        """Take a variance that is known; returns it."""
        self._variance = variance
        self.level = self._levels(self.level)
        return variance

    @property
    def error(self) -> Floats:
        """The standard error of a level by itself, (n_places,)."""
        return np.full(len(self.log_c), np.sqrt(self._variance / self._reached.sum()))

    @cached_property
    def misfit(self) -> Floats:
        """Twice the negative log-likelihood, but for a constant, (n_places,)."""
        left = (self._y[self._reached] - self._shape[:, self._reached] - self.level[:, None]) ** 2
        return self._misfit(self.level, left.sum(axis=1))

    def interval(self, value: Floats, error: Floats, limit: float) -> Bounded:
        """The exponential of a quantity and its interval.

        Args:
            value: (n_places,) of the quantity, at each place of the profile.
            error: (n_places,) standard error of it by itself, there.
            limit: above the least misfit, of what is not excluded.
        """
        above = self.misfit - self.misfit.min()
        allowed = above <= limit
        spare = error * np.sqrt(np.maximum(limit - above, 0.0))
        ends = float((value - spare)[allowed].min()), float((value + spare)[allowed].max())
        # At either end of the places the curve is one of its limits; what moves on beyond it is open there.
        slope = np.gradient(value)
        opens = [allowed[end] and abs(slope[end]) > 0.1 * abs(self.log_c[1] - self.log_c[0]) for end in (0, -1)]
        below, over = (opens[0], opens[1]) if value[-1] >= value[0] else (opens[1], opens[0])
        best = int(self.misfit.argmin())
        at_limit = best in (0, len(value) - 1) and opens[0 if best == 0 else 1]
        return Bounded(
            None if at_limit else float(np.exp(self._between(value, best))),
            None if below else float(np.exp(ends[0])),
            None if over else float(np.exp(ends[1])),
        )

    def _between(self, value: Floats, best: int) -> float:
        """A quantity where a parabola through the misfit at a place and its neighbours is least."""
        if not 0 < best < len(value) - 1:
            return float(value[best])
        before, at, after = self.misfit[best - 1 : best + 2]
        step = float((before - after) / (2 * (before - 2 * at + after))) if before + after > 2 * at else 0.0
        return float(value[best] + step * (value[best + 1] - value[best - 1]) / 2)

    def _levels(self, level: Floats) -> Floats:
        """Levels of the greatest likelihood, by expectation and maximisation (Dempster et al. 1977)."""
        if self._reached.all():
            return level
        deviation, run = np.sqrt(self._variance), self._y[~self._reached]
        for _ in range(_ROUNDS):
            mean = level[:, None] + self._shape
            off = (run - mean[:, ~self._reached]) / deviation
            expected = np.tile(self._y, (len(level), 1))
            expected[:, ~self._reached] = mean[:, ~self._reached] + deviation * mean_above(off)
            level = (expected - self._shape).mean(axis=1)
        return level

    def _misfit(self, level: Floats, squares: Floats) -> Floats:
        if self._reached.all():
            return squares / self._variance
        variance = self._variance or 1.0
        beyond = (level[:, None] + self._shape - self._y)[:, ~self._reached] / np.sqrt(variance)
        return np.asarray(squares / variance - 2 * special.log_ndtr(beyond).sum(axis=1))


def mean_above(z: Floats) -> Floats:
    """The mean of a standard normal variable above z, (…)."""
    return np.asarray(np.exp(-0.5 * z**2 - 0.5 * np.log(2 * np.pi) - special.log_ndtr(-z)))
