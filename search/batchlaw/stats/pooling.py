"""Random effects: one mean slope over several groups, and the slope to expect in a new group."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from batchlaw.stats.slope import Slope
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
    n_bounded: int = 0  # groups of whose slope only the ends are known


def pool_slopes(slopes: Sequence[Slope], alpha: float = 0.05) -> Pooled | None:
    """The random-effects mean of slopes, some of which may be only bounded.

    Where in its interval a bounded slope lies is not known, and leaving such groups out would select those whose slope
    is easily seen. They are pooled once with all of them at their lower ends, and once at their upper ends. The
    interval goes from the one mean to the other, and beyond each by the larger of both reaches, since some may lie at
    either end; the mean is the middle.

    Args:
        slopes: of the groups.
        alpha: 1 minus the confidence of both intervals.

    Returns:
        None with fewer than three groups.
    """
    errors = np.array([each.standard_error for each in slopes])
    n_bounded = sum(each.bounded for each in slopes)
    low, high = (
        pool(np.array([getattr(each, end) if each.bounded else each.slope for each in slopes]), errors, alpha)
        for end in ("ci_low", "ci_high")
    )
    if low is None or high is None or not n_bounded:
        return low
    normal = float(special.ndtri(1 - alpha / 2))
    reach = max(each.ci_high - each.slope for each in (low, high))
    spread = max(each.prediction_high - each.slope for each in (low, high))
    return Pooled(
        slope=(low.slope + high.slope) / 2, ci_low=low.slope - reach, ci_high=high.slope + reach,
        prediction_low=low.slope - spread, prediction_high=high.slope + spread,
        standard_error=((high.slope - low.slope) / 2 + reach) / normal, n_groups=low.n_groups,
        tau=max(low.tau, high.tau), n_bounded=n_bounded,
    )  # fmt: skip


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
    n = len(slopes)
    if n < 3:
        return None
    from statsmodels.stats.meta_analysis import combine_effects  # a third of a second to import

    with np.errstate(divide="ignore"):  # statsmodels divides by Cochran's Q, which is 0 if groups agree exactly
        found = combine_effects(slopes, standard_errors**2, method_re="iterated", use_t=True, alpha=alpha)
    tau2 = max(float(found.tau2), 0.0)
    mean = float(found.mean_effect_re)
    # If groups agree by chance, this interval can be narrower than the standard errors alone allow.
    error = max(float(found.sd_eff_w_re_hksj), float(np.sqrt(1 / np.sum(1 / (standard_errors**2 + tau2)))))
    reach = float(special.stdtrit(n - 1, 1 - alpha / 2)) * error
    spread = float(special.stdtrit(n - 2, 1 - alpha / 2)) * float(np.sqrt(tau2 + error**2))
    return Pooled(mean, mean - reach, mean + reach, mean - spread, mean + spread, error, n, float(np.sqrt(tau2)))
