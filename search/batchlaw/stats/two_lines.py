"""The two-lines test of an inverted U (Simonsohn 2018, doi:10.1177/2515245918805755)."""

from dataclasses import dataclass

import numpy as np
from scipy import special

from batchlaw.stats.surface import Floats


@dataclass(frozen=True)
class TwoLines:
    """The slopes before and after a breakpoint, in units of y per unit of x, with two-sided p-values."""

    breakpoint: float
    slope_before: float
    p_before: float
    slope_after: float
    p_after: float

    def rises_then_falls(self, alpha: float = 0.05) -> bool:
        """Whether the first line rises, the second falls, and both slopes are significant."""
        return self.slope_before > 0 > self.slope_after and max(self.p_before, self.p_after) < alpha


def two_lines(x: Floats, y: Floats) -> TwoLines | None:
    """Fit two lines whose breakpoint the paper's Robin Hood procedure chooses.

    Standard errors are HC3. The paper chooses the breakpoint by a smoothing spline. Designed grids have too few levels
    for one, so a polynomial of degree 4 or less takes its place.

    Args:
        x: (n,)
        y: (n,); points at which it is NaN are left out.

    Returns:
        None with fewer than five levels of x.
    """
    there = ~np.isnan(y)
    x, y = x[there], y[there]
    levels = np.unique(x)
    if len(levels) < 5:
        return None
    centered = (x - levels.mean()) / np.ptp(levels)
    design = np.vander(centered, 1 + min(4, len(levels) - 2))
    at_levels = np.vander((levels - levels.mean()) / np.ptp(levels), design.shape[1])
    smooth, covariance = robust_fit(design, y)
    fitted = at_levels @ smooth
    error = np.sqrt(np.einsum("ni,ij,nj->n", at_levels, covariance, at_levels))
    inner = np.arange(1, len(levels) - 1)
    top = inner[fitted[inner].argmax()]
    flat = levels[inner][fitted[inner] >= fitted[top] - error[top]]
    # Each line gets two levels at least.
    within = (levels[1] + levels[2]) / 2, (levels[-3] + levels[-2]) / 2
    first = _interrupted(x, y, float(np.clip(np.median(flat), *within)))
    z_before, z_after = (abs(float(special.ndtri(max(p, 1e-300) / 2))) for p in (first.p_before, first.p_after))
    if z_before + z_after == 0:
        return first
    # The breakpoint moves towards the stronger line, so that the weaker one gets more of the flat part.
    return _interrupted(x, y, float(np.clip(np.quantile(flat, z_after / (z_before + z_after)), *within)))


def _interrupted(x: Floats, y: Floats, at: float) -> TwoLines:
    """One regression with both lines and a jump; as in the paper, the breakpoint belongs to each side in turn."""
    lines = []
    for high, slope in ((x > at, 1), (x >= at, 2)):
        low = ~high
        design = np.stack([np.ones_like(x), np.where(low, x - at, 0.0), np.where(high, x - at, 0.0), high], axis=1)
        parameters, covariance = robust_fit(design, y)
        error = np.sqrt(covariance[slope, slope])
        lines.append((float(parameters[slope]), float(2 * special.ndtr(-abs(parameters[slope]) / error))))
    return TwoLines(at, *lines[0], *lines[1])


def robust_fit(design: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Least-squares parameters (n_parameters,) and their HC3 covariance (MacKinnon & White 1985).

    statsmodels' `OLS` takes seven times as long (measured), and each level of each surface needs five fits.
    """
    inverse = np.linalg.pinv(design)
    parameters = inverse @ y
    leverage = np.einsum("np,pn->n", design, inverse)
    weighted = inverse * ((y - design @ parameters) / (1 - leverage))
    return parameters, weighted @ weighted.T
