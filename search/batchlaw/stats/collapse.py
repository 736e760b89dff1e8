"""The collapse of a surface onto one curve: score = f(log₂ given - α log₂ tuned)."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special
from scipy.interpolate import BSpline

from batchlaw.stats.surface import Floats, Surface, mean

RANGE = (-1.0, 3.0)  # of α
_FEWEST_LEFT = 4  # degrees of freedom left by the curve, at least


@dataclass(frozen=True)
class Collapse:
    """The exponent α: with α = 1 the score depends on the ratio given/tuned alone. The ridge then has slope 1/α."""

    alpha: float
    ci_low: float
    ci_high: float
    r2: float  # share of the variance of single runs that the curve explains
    r2_surface: float  # share that the cell means explain, the most that any function of both factors can
    lack_of_fit_p: float  # p-value of the curve against free cell means


def collapse(surface: Surface, *, level: float = 0.05) -> Collapse | None:
    """Fit α, and test the curve against a free mean for each cell.

    The curve is a cubic spline, fitted to the cell means, each with the weight of its runs. The interval is from the
    profile of the squared error; the pure error of the test is pooled over cells. Cells with an unstable run are left
    out, because a cliff is not part of a smooth curve.

    Args:
        surface: the scores.
        level: 1 minus the confidence of the interval.

    Returns:
        None if too few cells remain.
    """
    scores = surface.scores
    if surface.paired:  # the effect of a seed on the whole surface says nothing about its shape
        scores = scores - mean(scores - surface.means[:, :, None], axis=(0, 1))
    stable = surface.usable
    x, y = (
        np.log2(axis)[index] for axis, index in zip((surface.given, surface.tuned), np.nonzero(stable), strict=True)
    )
    runs = scores[stable]
    n, counts = len(runs), surface.counts[stable]
    n_knots = min(8, n - _FEWEST_LEFT - 4)  # 8 are enough for a curve that falls faster on one side (assumption)
    means, pure_degrees = mean(runs, axis=1), float((counts - 1).sum())
    squares = float(np.nansum((runs - means[:, None]) ** 2))  # of runs about their cell's mean
    if n_knots < 1 or np.ptp(x) == 0 or np.ptp(y) == 0 or squares == 0 or np.ptp(means) == 0:
        return None
    pure_error, weights = squares / pure_degrees, np.sqrt(counts)

    def fitted(alpha: float) -> Floats:
        basis = spline_basis(x - alpha * y, n_knots)
        coefficients = np.linalg.lstsq(basis * weights[:, None], means * weights, rcond=None)[0]
        return np.asarray(basis @ coefficients)

    def misfit(alpha: float) -> float:
        return float((counts * (means - fitted(alpha)) ** 2).sum())

    grid = np.linspace(*RANGE, 161)
    profile = np.array([misfit(alpha) for alpha in grid])
    start = int(profile.argmin())
    step = grid[1] - grid[0]
    refined = optimize.minimize_scalar(misfit, bounds=(grid[start] - step, grid[start] + step), method="bounded")
    alpha = float(np.clip(refined.x if refined.fun < profile[start] else grid[start], *RANGE))
    least = misfit(alpha)
    degrees_of_freedom = n - (n_knots + 4) - 1
    limit = least * (1 + special.fdtri(1, degrees_of_freedom, 1 - level) / degrees_of_freedom)
    inside = grid[profile <= limit]
    low, high = (min(inside.min(), alpha), max(inside.max(), alpha)) if len(inside) else (alpha, alpha)
    total = float(np.nansum((runs - np.nanmean(runs)) ** 2))
    missed = float(np.nansum((runs - fitted(alpha)[:, None]) ** 2))
    return Collapse(
        alpha=float(alpha),
        ci_low=float(_crossing(misfit, limit, low - step, low)),
        ci_high=float(_crossing(misfit, limit, high + step, high)),
        r2=1 - missed / total,
        r2_surface=1 - squares / total,
        lack_of_fit_p=float(special.fdtrc(degrees_of_freedom, pure_degrees, least / degrees_of_freedom / pure_error)),
    )


def spline_basis(u: Floats, n_knots: int) -> Floats:
    """Cubic B-splines at u (n,), with their knots at quantiles of u, (n, n_knots + 4)."""
    inner = np.quantile(u, np.linspace(0, 1, n_knots + 2)[1:-1])
    knots = np.concatenate([np.full(4, u.min()), inner, np.full(4, u.max())])
    return np.asarray(BSpline(knots, np.eye(n_knots + 4), 3, extrapolate=False)(u))


def _crossing(misfit: Callable[[float], float], limit: float, outside: float, inside: float) -> float:
    """Where the profile crosses its limit between two points of the grid; `inside` if it does not."""
    if not RANGE[0] <= outside <= RANGE[1] or misfit(outside) <= limit or misfit(inside) >= limit:
        return inside
    return float(optimize.brentq(lambda alpha: misfit(alpha) - limit, outside, inside, xtol=1e-4))
