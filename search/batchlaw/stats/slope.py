"""The slope of a ridge: how the optimum moves with the given factor."""

from dataclasses import dataclass

import numpy as np
from scipy import special

from batchlaw.stats.censored import Fit, fit
from batchlaw.stats.curves import LINE
from batchlaw.stats.optimum import Ridge

# What a slope needs (assumption, fixed before the runs).
FEWEST_IDENTIFIED = 4  # levels
FEWEST_OCTAVES = 3.0  # from the lowest identified level to the highest
FEWEST_TUNED_LEVELS, FEWEST_TUNED_OCTAVES = 5, 4.0  # so that an optimum can move and stay inside the grid


@dataclass(frozen=True)
class Slope:
    """An estimate with its confidence interval; for a ridge in octaves per octave."""

    slope: float
    ci_low: float
    ci_high: float
    standard_error: float
    degrees_of_freedom: float

    @classmethod
    def of(cls, slope: float, standard_error: float, degrees_of_freedom: float, alpha: float) -> "Slope":
        """An estimate with Student's interval."""
        reach = float(special.stdtrit(degrees_of_freedom, 1 - alpha / 2)) * standard_error
        return cls(
            float(slope), float(slope - reach), float(slope + reach), float(standard_error), float(degrees_of_freedom)
        )


def shortfall(ridge: Ridge) -> str | None:
    """What a ridge lacks for a slope, as a sentence; None if it lacks nothing."""
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
    """The least-squares slope through the identified optima; its error is their scatter around the line."""
    chosen = ridge.identified
    (slope, _), covariance = np.polyfit(np.log2(ridge.given[chosen]), ridge.best[chosen], 1, cov=True)
    return Slope.of(slope, covariance[0, 0] ** 0.5, int(chosen.sum()) - 2, alpha)


def censored_slope(ridge: Ridge, alpha: float = 0.05) -> Slope:
    """The slope of the most likely line through identified and censored optima (see `censored.fit`)."""
    return slope_of(fit(ridge, LINE), alpha)


def slope_of(line: Fit, alpha: float) -> Slope:
    """The slope of a fitted line."""
    variance, degrees_of_freedom = line.second()
    return Slope.of(line.parameters[1], variance**0.5, degrees_of_freedom, alpha)
