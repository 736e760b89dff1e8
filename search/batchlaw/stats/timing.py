"""The growth of a time with the batch size."""

from dataclasses import dataclass

import numpy as np
from scipy import special

from batchlaw.stats.slope import Slope
from batchlaw.stats.surface import Floats


@dataclass(frozen=True)
class Knee:
    """Two lines that meet: a step time is flat while the device has room, and rises beyond."""

    at: float  # log₂ of the batch size where the lines meet; the largest one tried if no knee is seen
    below: Slope  # of log₂ seconds on log₂ batch size, below the knee
    octaves_below: float  # from the smallest batch size to the knee


def knee(x: Floats, y: Floats, alpha: float = 0.05) -> Knee:
    """Fit two lines that meet at a level of x; if they are not better than one line, the knee is the last level.

    The lines meet at the level with the least squared error. They must improve on one line by an F-test for two more
    parameters, the second slope and the place.

    Args:
        x: (n,) log₂ of batch sizes.
        y: (n,) log₂ of seconds.
        alpha: of the test and of the slope's interval.
    """
    import statsmodels.api as sm  # almost half a second, which other claims do without

    levels = np.unique(x)
    single = sm.OLS(y, sm.add_constant(x)).fit()
    fits = {
        level: sm.OLS(y, np.stack([np.ones_like(x), x, np.maximum(x - level, 0)], axis=1)).fit()
        for level in levels[2:-1]
    }
    at, best = min(fits.items(), key=lambda item: item[1].ssr)
    f = (single.ssr - best.ssr) / 2 / (best.ssr / (len(x) - 4))
    chosen, end = (best, float(at)) if special.fdtrc(2, len(x) - 4, f) < alpha else (single, float(levels[-1]))
    low, high = chosen.conf_int(alpha)[1]
    slope = Slope(float(chosen.params[1]), float(low), float(high), float(chosen.bse[1]), float(chosen.df_resid))
    return Knee(end, slope, end - float(levels[0]))


def theil_sen(x: Floats, y: Floats, alpha: float = 0.05) -> tuple[float, float, float]:
    """The median of all pairwise slopes of y on x, (n,) each, with its interval: value, low, high (Sen 1968)."""
    from scipy import stats  # a third of a second to import

    found = stats.theilslopes(y, x, alpha=1 - alpha)
    return float(found.slope), float(found.low_slope), float(found.high_slope)
