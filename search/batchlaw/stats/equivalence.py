"""Equivalence: whether an estimate lies within a margin."""

from scipy import special

from batchlaw.stats.slope import Slope


def equivalence_p(slope: Slope, low: float, high: float) -> float:
    """The p-value of the two one-sided tests (TOST) that a slope lies within (low, high) (Schuirmann 1987).

    It is the larger of both. It is at most alpha/2 exactly if the confidence interval lies within (low, high).
    """
    if slope.standard_error == 0:
        return 0.0 if low < slope.slope < high else 1.0
    above = special.stdtr(slope.degrees_of_freedom, -((slope.slope - low) / slope.standard_error))
    below = special.stdtr(slope.degrees_of_freedom, -((high - slope.slope) / slope.standard_error))
    return float(max(above, below))
