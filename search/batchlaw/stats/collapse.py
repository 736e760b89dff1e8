"""Whether one combination of the two factors decides the score: score = f(log given - α log tuned)."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special
from scipy.interpolate import BSpline

from batchlaw.stats.surface import Floats, Surface

RANGE = (-1.0, 3.0)  # of α
_FEWEST_LEFT = 4  # degrees of freedom beside the curve's


@dataclass(frozen=True)
class Collapse:
    """α = 1 makes it a function of the ratio given/tuned, such as ε/B; the ridge then has slope 1/α."""

    alpha: float
    ci_low: float
    ci_high: float
    r2: float  # of the single runs, by the curve
    r2_surface: float  # of the single runs, by a mean for each cell: what any function of both could reach
    lack_of_fit_p: float  # small: the curve misses what the cells show


def collapse(surface: Surface, *, level: float = 0.05) -> Collapse | None:
    """Fit α with a profile interval, and test the curve against a free mean for each cell.

    The curve is a cubic spline, fitted to the means of the cells; the pure error is pooled over them.
    Cells with an unstable run are left out: a cliff is no part of a smooth curve. None where too few cells remain.
    """
    scores = surface.scores
    if surface.paired:  # what a seed does to the whole surface is no evidence about its shape
        scores = scores - scores.mean(axis=(0, 1)) + scores.mean()
    stable = ~np.any(surface.unstable, axis=2)
    x, y = (
        np.log2(axis)[index] for axis, index in zip((surface.given, surface.tuned), np.nonzero(stable), strict=True)
    )
    runs = scores[stable]
    n, replicates = len(runs), surface.n_replicates
    n_knots = min(8, n - _FEWEST_LEFT - 4)  # enough for the kink of a curve that falls faster on one side
    pure_error = float(runs.var(axis=1, ddof=1).mean())
    if n_knots < 1 or np.ptp(x) == 0 or np.ptp(y) == 0 or pure_error == 0 or np.ptp(runs.mean(axis=1)) == 0:
        return None
    means = runs.mean(axis=1)

    def fitted(alpha: float) -> Floats:
        basis = _spline(x - alpha * y, n_knots)
        coefficients = np.linalg.lstsq(basis, means, rcond=None)[0]
        return np.asarray(basis @ coefficients)

    def misfit(alpha: float) -> float:
        return float(replicates) * float(((means - fitted(alpha)) ** 2).sum())

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
    total = float(((runs - runs.mean()) ** 2).sum())
    missed = float(((runs - fitted(alpha)[:, None]) ** 2).sum())
    return Collapse(
        alpha=float(alpha),
        ci_low=float(_crossing(misfit, limit, low - step, low)),
        ci_high=float(_crossing(misfit, limit, high + step, high)),
        r2=1 - missed / total,
        r2_surface=1 - float(((runs - means[:, None]) ** 2).sum()) / total,
        lack_of_fit_p=float(
            special.fdtrc(degrees_of_freedom, n * (replicates - 1), least / degrees_of_freedom / pure_error)
        ),
    )


def _spline(u: Floats, n_knots: int) -> Floats:
    """The cubic B-splines with knots at quantiles of u, (n, n_knots + 4)."""
    inner = np.quantile(u, np.linspace(0, 1, n_knots + 2)[1:-1])
    knots = np.concatenate([np.full(4, u.min()), inner, np.full(4, u.max())])
    return np.asarray(BSpline(knots, np.eye(n_knots + 4), 3, extrapolate=False)(u))


def _crossing(misfit: Callable[[float], float], limit: float, outside: float, inside: float) -> float:
    """Where the profile crosses its limit between two points of the grid."""
    if not RANGE[0] <= outside <= RANGE[1] or misfit(outside) <= limit or misfit(inside) >= limit:
        return inside
    return float(optimize.brentq(lambda alpha: misfit(alpha) - limit, outside, inside, xtol=1e-4))
