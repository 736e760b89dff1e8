"""The slope of a ridge on log₂ scales: how the optimum moves with the given factor."""

from dataclasses import dataclass

import numpy as np
from scipy import special

from batchlaw.stats.censored import fit
from batchlaw.stats.curves import LINE
from batchlaw.stats.optimum import Ridge

FEWEST_IDENTIFIED = 4
FEWEST_OCTAVES = 3.0
FEWEST_TUNED_LEVELS, FEWEST_TUNED_OCTAVES = 5, 4.0  # so that an optimum can move and still be interior


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
    (slope, _), covariance = np.polyfit(np.log2(ridge.given[chosen]), ridge.best[chosen], 1, cov=True)
    return _interval(float(slope), float(covariance[0, 0]) ** 0.5, int(chosen.sum()) - 2, alpha)


def censored_slope(ridge: Ridge, alpha: float = 0.05) -> Slope:
    """The slope of the line of greatest likelihood, through censored optima as well (see `censored.fit`)."""
    found = fit(ridge, LINE)
    variance, degrees_of_freedom = found.second()
    return _interval(float(found.parameters[1]), float(np.sqrt(variance)), degrees_of_freedom, alpha)


def _interval(slope: float, error: float, degrees_of_freedom: float, alpha: float) -> Slope:
    reach = float(special.stdtrit(degrees_of_freedom, 1 - alpha / 2)) * error
    return Slope(float(slope), float(slope - reach), float(slope + reach), float(error), float(degrees_of_freedom))
