"""The two-lines test of an inverted U (Simonsohn 2018, doi:10.1177/2515245918805755)."""

from dataclasses import dataclass

import numpy as np
from scipy import special

from batchlaw.stats.surface import Floats


@dataclass(frozen=True)
class TwoLines:
    """The slopes of the line before and the line after the breakpoint, with two-sided p-values."""

    breakpoint: float
    slope_before: float
    p_before: float
    slope_after: float
    p_after: float

    def rises_then_falls(self, alpha: float = 0.05) -> bool:
        """Whether both lines are significant, the first up and the second down."""
        return self.slope_before > 0 > self.slope_after and max(self.p_before, self.p_after) < alpha


def two_lines(x: Floats, y: Floats) -> TwoLines | None:
    """Fit two lines with a break set by the Robin Hood procedure; None with fewer than five levels of x.

    Standard errors are HC3. The smooth curve that guides the break is a polynomial of at most the fourth degree, in the
    place of the paper's smoothing spline: designed grids have few levels.
    """
    levels = np.unique(x)
    if len(levels) < 5:
        return None
    centered = (x - levels.mean()) / np.ptp(levels)
    design = np.vander(centered, 1 + min(4, len(levels) - 2))
    at_levels = np.vander((levels - levels.mean()) / np.ptp(levels), design.shape[1])
    smooth, covariance = _robust_fit(design, y)
    fitted = at_levels @ smooth
    error = np.sqrt(np.einsum("ni,ij,nj->n", at_levels, covariance, at_levels))
    inner = np.arange(1, len(levels) - 1)
    top = inner[fitted[inner].argmax()]
    flat = levels[inner][fitted[inner] >= fitted[top] - error[top]]
    # Each line needs two levels.
    within = (levels[1] + levels[2]) / 2, (levels[-3] + levels[-2]) / 2
    first = _interrupted(x, y, float(np.clip(np.median(flat), *within)))
    z_before, z_after = (abs(float(special.ndtri(max(p, 1e-300) / 2))) for p in (first.p_before, first.p_after))
    if z_before + z_after == 0:
        return first
    # The break moves towards the stronger line, so that the weaker one gets more of the flat part.
    return _interrupted(x, y, float(np.clip(np.quantile(flat, z_after / (z_before + z_after)), *within)))


def _interrupted(x: Floats, y: Floats, at: float) -> TwoLines:
    """Both lines in one regression with a jump, each side in turn taking the breakpoint itself (as the paper does)."""
    lines = []
    for high, slope in ((x > at, 1), (x >= at, 2)):
        low = ~high
        design = np.stack([np.ones_like(x), np.where(low, x - at, 0.0), np.where(high, x - at, 0.0), high], axis=1)
        parameters, covariance = _robust_fit(design, y)
        error = np.sqrt(covariance[slope, slope])
        lines.append((float(parameters[slope]), float(2 * special.ndtr(-abs(parameters[slope]) / error))))
    # The point itself belongs to the first line in the first fit, to the second in the second.
    return TwoLines(at, *lines[0], *lines[1])


def _robust_fit(design: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Least squares (n_parameters,) with the covariance HC3 (MacKinnon and White 1985).

    Not statsmodels' `OLS`, which takes seven times as long, for five fits at each level of each surface (measured).
    """
    inverse = np.linalg.pinv(design)
    parameters = inverse @ y
    leverage = np.einsum("np,pn->n", design, inverse)
    weighted = inverse * ((y - design @ parameters) / (1 - leverage))
    return parameters, weighted @ weighted.T
