"""The ridge of an adaptive design, whose runs were chosen one after another and do not fill a grid.

Least squares is valid here, although each cell was chosen by the scores before it. Given those scores, the choice does
not depend on the surface. It therefore drops out of the likelihood, which is that of a design fixed beforehand
(Berger & Wolpert 1988, "The Likelihood Principle"). The likelihood does not say how estimates scatter over repeated
studies. That is measured by `tests/benchmarks/adaptive_calibration.py` and `adaptive_replay.py`.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import special

from batchlaw.stats.cells import Cells, Runs
from batchlaw.stats.draws import normal_draws
from batchlaw.stats.optimum import EDGE_SHARE, WINDOW_OCTAVES, Ridge, beats, gated, ridge_of_means
from batchlaw.stats.surface import Bools, Floats

# Octaves from the best cell. The design runs cells two octaves from the optimum as it sees it, which is wrong by about
# one octave (assumption).
_REACH = WINDOW_OCTAVES + 1.0
_MISFIT = 0.05  # parabolas are rejected if the p-value of their lack of fit is below this
_LEAST_SPREAD = 0.03  # least standard deviation of curvatures, as a share of their mean (assumption)
_DRAWS = 1000  # from the errors of the cell means
_ZERO = 1e-9  # eigenvalues below this share of the largest count as 0


def adaptive_ridge(runs: Runs, tuned: Floats, generator: np.random.Generator, *, alpha: float = 0.05) -> Ridge:
    """Find the best tuned level at each given level, with its interval and its status.

    At each given level a parabola is fitted to the cells within three octaves of the best one, and the curvatures are
    shrunk towards their mean. One test for lack of fit, over all levels, decides whether that is allowed. If it is not,
    for instance because a loss rises steeply on one side, the ridge is that of a factorial (`optimum.ridge`): from the
    cell means, with parabolas over two octaves. In both cases draws from the errors of the cell means take the place of
    a factorial's bootstraps.

    The gate is that of a factorial, and was fixed before any run. With parabolas over three octaves it asks that

    - the top is better than the lowest and the highest cell that was run (t > 3, and Holm's p-value at most alpha);
    - fewer than 5 % of draws lie at an end of the fitted cells or beyond;
    - the best cell is not at an end of the grid.

    Args:
        runs: all runs of a study.
        tuned: (n_tuned,) levels that the design could run, ascending.
        generator: of the draws.
        alpha: 1 minus the confidence of the intervals.
    """
    given, grid = np.unique(runs.given), np.log2(tuned)
    cells = Cells.of(runs)
    fit, misfit_p = fit_parabolas(cells, len(given))
    if misfit_p < _MISFIT:
        return _as_factorial(cells, given, tuned, cells.draws(_DRAWS, generator), alpha)
    fit = fit.moderated()
    top = fit.tops(fit.coefficients[None], 0.0)[0]
    # Draws may lie an octave beyond the fitted cells. Less would cut off their spread; further out the parabola may no
    # longer hold.
    drawn = fit.tops(fit.draws(_DRAWS, generator), 1.0)
    over_low, over_high = fit.beats(top, 0, alpha), fit.beats(top, 1, alpha)
    over_low &= ((drawn <= fit.low + 1e-9).mean(axis=0) < EDGE_SHARE) & (fit.center > grid[0])
    over_high &= ((drawn >= fit.high - 1e-9).mean(axis=0) < EDGE_SHARE) & (fit.center < grid[-1])
    best = fit.center + top
    cell = np.abs(grid - best[:, None]).argmin(axis=1)
    resampled = np.clip(fit.center + drawn, grid[0], grid[-1])
    error = resampled.std(axis=0)
    return gated(given, tuned, best, cell, error, resampled, over_low, over_high, cells.degrees_of_freedom, alpha)


def _as_factorial(cells: Cells, given: Floats, tuned: Floats, drawn: Floats, alpha: float) -> Ridge:
    """The ridge as of a factorial, from the cells that were run and draws of their means (n_draws, n_cells)."""
    shape, place = (len(given), len(tuned)), (cells.level, np.searchsorted(np.log2(tuned), cells.place))
    # A cell that was not run gets a score below all others, so that it is never the best.
    means, resampled = (np.full((*size, *shape), drawn.min() - 1.0) for size in ((), (len(drawn),)))
    usable, index = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=int)
    means[place], resampled[:, *place], usable[place] = cells.means, drawn, cells.usable
    index[place] = np.arange(len(cells.means))

    def t_over(best: NDArray[np.intp], end: int) -> tuple[Floats, Floats]:
        rows = np.arange(len(given))
        others = [np.flatnonzero(cells.level == row)[end] for row in rows]
        contrast = np.zeros((len(given), len(cells.means)))
        contrast[rows, index[rows, best]] += 1
        contrast[rows, others] -= 1
        return _t(contrast, cells.means, cells.covariance), np.full(len(given), cells.degrees_of_freedom)

    return ridge_of_means(given, tuned, means, resampled, usable, t_over, cells.degrees_of_freedom, alpha)


@dataclass(frozen=True, eq=False)
class _Parabolas:
    """A parabola around the best cell of each given level; through two cells it is a line, through one a constant.

    Places are in octaves from the best cell unless they say otherwise.
    """

    center: Floats  # (n,) log₂ of the tuned level of the best cell
    low: Floats  # (n,) place of the lowest fitted cell
    high: Floats  # (n,) place of the highest fitted cell
    ends: Floats  # (2, n) places of the lowest and the highest cell that was run; 0 if that cell was not fitted
    # (4 n,) slopes and curvatures at the best cells, then the heights of the parabolas there above the lowest and the
    # highest cell that was run; such a height is 0 if that cell was fitted.
    coefficients: Floats
    covariance: Floats  # (4 n, 4 n)
    degrees_of_freedom: float

    def moderated(self) -> "_Parabolas":
        """With curvatures shrunk towards their mean, the more the less they vary between levels.

        Their variance between levels is DerSimonian & Laird's (1986).
        """
        from statsmodels.stats.meta_analysis import combine_effects  # a third of a second to import

        n = len(self.center)
        curved = np.flatnonzero(self.coefficients[n : 2 * n]) + n
        if len(curved) < 2:
            return self
        curvatures, errors = self.coefficients[curved], self.covariance[np.ix_(curved, curved)]
        with np.errstate(divide="ignore", invalid="ignore"):  # in results that are not used, if curvatures agree
            found = combine_effects(curvatures, np.diag(errors), method_re="dl")
        between = max(float(found.tau2), (_LEAST_SPREAD * float(found.mean_effect_fe)) ** 2, 1e-300)
        pull = (np.eye(len(curved)) - 1 / len(curved)) / between
        gain = self.covariance[:, curved] @ pull @ np.linalg.inv(np.eye(len(curved)) + errors @ pull)
        return replace(
            self,
            coefficients=self.coefficients - gain @ curvatures,
            covariance=self.covariance - gain @ self.covariance[curved],
        )

    def draws(self, size: int, generator: np.random.Generator) -> Floats:
        """Draws of the coefficients from their errors, (size, 4 n)."""
        return normal_draws(self.coefficients, self.covariance, size, generator)

    def tops(self, coefficients: Floats, beyond: float) -> Floats:
        """Where parabolas are highest, octaves from the best cells, (n_fits, n).

        Args:
            coefficients: (n_fits, 4 n)
            beyond: how far beyond the fitted cells a top may lie, octaves.
        """
        n = len(self.center)
        slope, curvature = coefficients[:, :n], coefficients[:, n : 2 * n]
        low, high = self.low - beyond, self.high + beyond
        with np.errstate(divide="ignore", invalid="ignore"):
            vertex = np.clip(-slope / (2 * curvature), low, high)
        at_low, at_high = (slope * end + curvature * end**2 for end in (low, high))
        return np.where(curvature < 0, vertex, np.where(at_low >= at_high, low, high))

    def beats(self, top: Floats, end: int, alpha: float) -> Bools:
        """Whether the top (n,) is better than the lowest (0) or highest (1) cell that was run, as `optimum.beats`."""
        n = len(self.center)
        contrast, each = np.zeros((n, 4 * n)), np.arange(n)
        contrast[each, each] = top - self.ends[end]
        contrast[each, each + n] = top**2 - self.ends[end] ** 2
        contrast[each, each + (2 + end) * n] = 1.0
        t = _t(contrast, self.coefficients, self.covariance)
        return beats(t, self.degrees_of_freedom, alpha)


def fit_parabolas(cells: Cells, n: int) -> tuple[_Parabolas, float]:
    """The least-squares parabolas of n given levels, and the p-value of their lack of fit. All cells weigh the same."""
    center, low, high, ends = np.zeros(n), np.zeros(n), np.zeros(n), np.zeros((2, n))
    maps, residual, free = np.zeros((4, n, len(cells.means))), np.zeros((len(cells.means),) * 2), 0
    for row in range(n):
        own = np.flatnonzero(cells.level == row)
        usable = own[cells.usable[own]]
        if not len(usable):
            center[row] = cells.place[own].mean()
            continue
        center[row] = cells.place[usable[cells.means[usable].argmax()]]
        away = cells.place - center[row]
        inside = usable[np.abs(away[usable]) <= _REACH + 1e-9]
        low[row], high[row] = away[inside[[0, -1]]]
        powers, inverse = np.vander(away[inside], 3), np.zeros((3, len(inside)))
        inverse[-len(inside) :] = np.linalg.pinv(powers[:, -len(inside) :])
        maps[0, row, inside], maps[1, row, inside] = inverse[1], inverse[0]
        residual[np.ix_(inside, inside)] = np.eye(len(inside)) - powers @ inverse
        free += max(len(inside) - 3, 0)
        for end, cell in enumerate(own[[0, -1]]):
            if cell in inside:
                ends[end, row] = away[cell]
            else:
                maps[2 + end, row, inside], maps[2 + end, row, cell] = inverse[2], -1.0
    linear, left = maps.reshape(4 * n, -1), residual @ cells.means
    scatter = np.linalg.pinv(residual @ cells.covariance @ residual, rcond=_ZERO, hermitian=True)
    misfit = max(float(left @ scatter @ left), 0.0)
    misfit_p = float(special.fdtrc(free, cells.degrees_of_freedom, misfit / free)) if free else 1.0
    covariance = linear @ cells.covariance @ linear.T
    return _Parabolas(center, low, high, ends, linear @ cells.means, covariance, cells.degrees_of_freedom), misfit_p


def _t(contrast: Floats, means: Floats, covariance: Floats) -> Floats:
    """Student's t of each contrast (n, n_means), (n,); 0 if it has no error, as where nothing was run."""
    gain = contrast @ means
    error = np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", contrast, covariance, contrast), 0.0))
    return np.asarray(np.divide(gain, error, out=np.zeros(len(gain)), where=error > 0))
