"""Whether an estimate lies within a margin."""

from scipy import special

from batchlaw.stats.slope import Slope


def equivalence_p(slope: Slope, low: float, high: float) -> float:
    """The larger p of the two one-sided tests that the slope lies within (low, high) (Schuirmann 1987).

    At most alpha/2 exactly where the 1 - alpha confidence interval lies within.
    """
    if slope.standard_error == 0:
        return 0.0 if low < slope.slope < high else 1.0
    above = special.stdtr(slope.degrees_of_freedom, -((slope.slope - low) / slope.standard_error))
    below = special.stdtr(slope.degrees_of_freedom, -((high - slope.slope) / slope.standard_error))
    return float(max(above, below))
