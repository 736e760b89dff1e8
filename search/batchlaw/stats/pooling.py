"""Random effects: one mean slope over several groups, and the slope to expect in a new group."""

from dataclasses import dataclass

import numpy as np
from scipy import special

from batchlaw.stats.surface import Floats


@dataclass(frozen=True)
class Pooled:
    """The mean of the groups' slopes, and the interval in which the slope of a new group lies."""

    slope: float  # octaves per octave
    ci_low: float
    ci_high: float
    prediction_low: float
    prediction_high: float
    standard_error: float
    n_groups: int
    tau: float  # standard deviation between groups


def pool(slopes: Floats, standard_errors: Floats, alpha: float = 0.05) -> Pooled | None:
    """The random-effects mean of slopes.

    The variance τ² between groups is Paule and Mandel's (1982), the interval that of Hartung, Knapp, Sidik and Jonkman,
    both by statsmodels. statsmodels has no prediction interval, so that of Higgins, Thompson & Spiegelhalter 2009 is
    added here.

    Args:
        slopes: (n_groups,) octaves per octave.
        standard_errors: (n_groups,)
        alpha: 1 minus the confidence of both intervals.

    Returns:
        None with fewer than three groups, for which there is no prediction interval.
    """
    from statsmodels.stats.meta_analysis import combine_effects  # a third of a second to import

    n = len(slopes)
    if n < 3:
        return None
    with np.errstate(divide="ignore"):  # statsmodels divides by Cochran's Q, which is 0 if groups agree exactly
        found = combine_effects(slopes, standard_errors**2, method_re="iterated", use_t=True, alpha=alpha)
    tau2 = max(float(found.tau2), 0.0)
    mean = float(found.mean_effect_re)
    # If groups agree by chance, this interval can be narrower than the standard errors alone allow.
    error = max(float(found.sd_eff_w_re_hksj), float(np.sqrt(1 / np.sum(1 / (standard_errors**2 + tau2)))))
    reach = float(special.stdtrit(n - 1, 1 - alpha / 2)) * error
    spread = float(special.stdtrit(n - 2, 1 - alpha / 2)) * float(np.sqrt(tau2 + error**2))
    return Pooled(mean, mean - reach, mean + reach, mean - spread, mean + spread, error, n, float(np.sqrt(tau2)))
