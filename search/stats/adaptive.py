"""The ridge of runs that an adaptive design chose one after another, so that they fill no grid.

Least squares stays valid although where a run was made depends on the scores before it: given those, the choice does
not depend on the surface, so it drops out of the likelihood of all runs, which is that of a design fixed beforehand
(Berger & Wolpert 1988, "The Likelihood Principle"). What this says nothing of, how estimates scatter over repeated
studies, is measured: `tests/benchmarks/adaptive_calibration.py`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, stats

from search.stats.holm import holm
from search.stats.kriging import krige
from search.stats.optimum import EDGE_SHARE, T_OVER_END, WIDEST_OCTAVES, WINDOW_OCTAVES, Ridge, Status
from search.stats.surface import Bools, Floats

# A design runs two octaves off what it believes to be best, and its beliefs differ by an octave.
_REACH = WINDOW_OCTAVES + 1.0
_STEPS_AN_OCTAVE = 8
_PRIOR_FREEDOM = 8.0  # of all levels' common variance in that of each (assumption; moderated as by Smyth 2004)
_REWEIGHTINGS = 3
_LEAST_SPREAD = 0.03  # of the curvatures, of their mean: below it they count as equal
_LEAST_VARIANCE = 1e-12  # of a run, of that of all scores: they are no exacter than their digits
_JITTER = 1e-9  # of the greatest information: what less is known of counts as unknown


@dataclass(frozen=True, eq=False)
class Runs:
    """Single runs over two factors, both positive and read on a log₂ scale; higher scores are better."""

    given: Floats  # (n,)
    tuned: Floats  # (n,)
    seeds: NDArray[np.int64]  # (n,) runs with the same number share what their seed does to a score
    scores: Floats  # (n,) finite; a run that diverged has a score all the same
    unstable: Bools  # (n,) diverged, or no better than guessing


def adaptive_ridge(
    runs: Runs, tuned: Floats, generator: np.random.Generator, *, alpha: float = 0.05, n_resamples: int = 1000
) -> Ridge:
    """Find the best tuned level at each given level, with its interval and the verdict of the gate.

    At each level a parabola is fitted to the runs within three octaves of the best of a smooth surface (`krige`), with
    the seeds' effects common to all levels; cells in which a run was unstable have no part in it. Curvatures are drawn
    towards their mean by as much as they are alike (random effects, DerSimonian & Laird 1986). The gate is the
    factorial's, restated before any run: the top of the parabola beats each end of the grid, t > 3 and Holm, or that
    of the window where the end was not run; fewer than 5 % of draws from the fit lie at or past an end of the window;
    the interval is narrower than three octaves. Within two octaves of the grid's end an optimum is known by its
    interval alone.

    Args:
        runs: of one study.
        tuned: (n_tuned,) levels that it could run, ascending.
        generator: of the draws, which stand in the place of a factorial's bootstraps.
        alpha: one less the confidence of the intervals.
        n_resamples: the number of draws.
    """
    given, level = np.unique(runs.given, return_inverse=True)
    grid, y = np.log2(tuned), np.log2(runs.tuned)
    n, last = len(given), len(tuned) - 1
    center = _centers(runs, given, grid)
    window = _Window.around(center, level, y, grid, _usable(level, runs))
    fit = _fit(window, level, y - center[level], runs, n)
    best = window.center + fit.tops(fit.coefficients[None], window.low, window.high)[0]
    draws = fit.draws(n_resamples, generator)
    # An octave further than the runs: so much that a spread is not cut off, no more than a parabola may be trusted.
    resampled = window.center + fit.tops(draws, window.low - 1, window.high + 1)
    error = resampled.std(axis=0)
    reach = stats.t.ppf(1 - alpha / 2, fit.freedom) * error
    low, high = np.maximum(best - reach, grid[0]), np.minimum(best + reach, grid[-1])
    cell = np.abs(grid - best[:, None]).argmin(axis=1)
    near_end = np.minimum(grid[cell] - grid[0], grid[-1] - grid[cell]) < WINDOW_OCTAVES - 1e-9
    low = np.where(near_end, np.minimum(low, grid[np.maximum(cell - 1, 0)]), low)
    high = np.where(near_end, np.maximum(high, grid[np.minimum(cell + 1, last)]), high)
    past_low = (resampled <= window.center + window.low + 1e-9).mean(axis=0)
    past_high = (resampled >= window.center + window.high - 1e-9).mean(axis=0)
    over_low = fit.beats(best - window.center, window.low, 2, alpha) & (past_low < EDGE_SHARE)
    over_high = fit.beats(best - window.center, window.high, 3, alpha) & (past_high < EDGE_SHARE)
    status: list[Status] = []
    for row in range(n):
        if over_low[row] and over_high[row]:
            status.append("identified" if 2 * reach[row] < WIDEST_OCTAVES else "unidentified")
        else:
            status.append("left_censored" if over_high[row] else "right_censored" if over_low[row] else "unidentified")
    return Ridge(given, tuned, tuple(status), best, error, low, high, ~near_end, resampled, fit.freedom)


def _usable(level: NDArray[np.intp], runs: Runs) -> Bools:
    """Runs of cells in which none was unstable."""
    bad = set(zip(level[runs.unstable].tolist(), runs.tuned[runs.unstable].tolist(), strict=True))
    return np.array([cell not in bad for cell in zip(level.tolist(), runs.tuned.tolist(), strict=True)])


def _centers(runs: Runs, given: Floats, grid: Floats) -> Floats:
    """Where a smooth surface is highest at each given level, log₂."""
    fine = np.linspace(grid[0], grid[-1], round(np.ptp(grid) * _STEPS_AN_OCTAVE) + 1)
    places = np.stack([np.repeat(np.log2(given), len(fine)), np.tile(fine, len(given))], axis=1)
    points = np.log2(np.stack([runs.given, runs.tuned], axis=1))
    mean = krige(points, runs.scores, runs.seeds).mean(places)
    return np.asarray(fine[mean.reshape(len(given), -1).argmax(axis=1)])


@dataclass(frozen=True, eq=False)
class _Window:
    """The runs about the best of each level that a parabola is fitted to, and those at the ends of the grid."""

    center: Floats  # (n_given,) log₂
    low: Floats  # (n_given,) octaves from the center, of the lowest and the highest run inside
    high: Floats
    n_levels: NDArray[np.intp]  # (n_given,) different tuned levels inside
    inside: Bools  # (n_runs,)
    at_ends: tuple[Bools, Bools]  # (n_runs,) at the lowest and the highest level of the grid, outside the window

    @classmethod
    def around(cls, center: Floats, level: NDArray[np.intp], y: Floats, grid: Floats, usable: Bools) -> "_Window":
        offset = y - center[level]
        inside = usable & (np.abs(offset) <= _REACH + 1e-9)
        low, high = np.zeros(len(center)), np.zeros(len(center))
        np.minimum.at(low, level[inside], offset[inside])
        np.maximum.at(high, level[inside], offset[inside])
        # An end that was unstable counts with the score of guessing.
        outside = np.abs(offset) > _REACH + 1e-9
        n_levels = [len(np.unique(y[inside & (level == row)])) for row in range(len(center))]
        return cls(center, low, high, np.array(n_levels), inside, (outside & (y == grid[0]), outside & (y == grid[-1])))

    def ran(self, level: NDArray[np.intp], end: int) -> Bools:
        """At which given levels an end of the grid was run, (n_given,)."""
        return np.bincount(level[self.at_ends[end]], minlength=len(self.center)) > 0


@dataclass(frozen=True, eq=False)
class _Parabolas:
    """Of each level: slope and curvature at the center of its window, and the scores of the grid's ends.

    Where too few levels were run for one it is 0: of two levels there is a slope, from three on a parabola.
    """

    coefficients: Floats  # (4 × n_given,): slopes, curvatures, low ends, high ends
    covariance: Floats
    known: Bools  # (4 × n_given,) whether a run tells of it
    freedom: int

    @property
    def n(self) -> int:
        return len(self.coefficients) // 4

    def draws(self, size: int, generator: np.random.Generator) -> Floats:
        """Slopes and curvatures, (size, 2 × n_given)."""
        own = slice(2 * self.n)
        values, vectors = np.linalg.eigh(self.covariance[own, own])
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        return np.asarray(self.coefficients[own] + generator.normal(size=(size, 2 * self.n)) @ root.T)

    def tops(self, coefficients: Floats, low: Floats, high: Floats) -> Floats:
        """Where each of several parabolas (n_fits, n_given) is highest between two bounds."""
        slope, curvature = coefficients[:, : self.n], coefficients[:, self.n : 2 * self.n]
        with np.errstate(divide="ignore", invalid="ignore"):
            vertex = np.clip(-slope / (2 * curvature), low, high)
        at_low, at_high = (slope * end + curvature * end**2 for end in (low, high))
        return np.where(curvature < 0, vertex, np.where(at_low >= at_high, low, high))

    def beats(self, top: Floats, end: Floats, part: int, alpha: float) -> Bools:
        """Whether the top is better than the end of the grid (part 2 or 3), or of the window if that was not run."""
        each, own = np.arange(self.n), np.arange(self.n) + part * self.n
        ran = self.known[own]
        contrast = np.zeros((self.n, 4 * self.n))
        contrast[each, each] = top - np.where(ran, 0.0, end)
        contrast[each, each + self.n] = top**2 - np.where(ran, 0.0, end**2)
        contrast[each, own] = -1.0 * ran
        gain = contrast @ self.coefficients
        error = np.sqrt(np.einsum("ij,jk,ik->i", contrast, self.covariance, contrast))
        t = np.divide(gain, error, out=np.zeros(self.n), where=error > 0)
        return np.asarray((t > T_OVER_END) & (holm(stats.t.sf(t, self.freedom)) <= alpha))


def _fit(window: _Window, level: NDArray[np.intp], offset: Floats, runs: Runs, n: int) -> _Parabolas:
    """Weighted least squares over all levels, each with a variance drawn towards the common one."""
    used = window.inside | window.at_ends[0] | window.at_ends[1]
    rates, seed = np.eye(n)[level[used]], np.unique(runs.seeds[used], return_inverse=True)[1]
    columns = (window.inside * offset, window.inside * offset**2, *window.at_ends)
    known = np.concatenate([window.n_levels >= 2, window.n_levels >= 3, *(window.ran(level, end) for end in (0, 1))])
    own = np.concatenate([rates * column[used, None] for column in columns], axis=1)[:, known]
    common = np.concatenate([rates, np.eye(seed.max() + 1)[seed]], axis=1)
    least = max(_LEAST_VARIANCE * float(runs.scores.var()), np.finfo(float).tiny ** 0.25)
    variance = np.ones(n)
    for _ in range(_REWEIGHTINGS):
        weight = 1 / np.sqrt(variance[level[used]])
        basis = linalg.orth(common * weight[:, None])
        whitened, scores = own * weight[:, None], runs.scores[used] * weight
        whitened, scores = whitened - basis @ (basis.T @ whitened), scores - basis @ (basis.T @ scores)
        information = whitened.T @ whitened
        freedom = max(len(scores) - basis.shape[1] - int(np.linalg.matrix_rank(information)), 1)
        inverse = _inverse(information)
        coefficients = inverse @ (whitened.T @ scores)
        residual = (scores - whitened @ coefficients) / weight
        left = 1 - (basis**2).sum(axis=1) - np.einsum("ij,jk,ik->i", whitened, inverse, whitened)
        squares = np.bincount(level[used], residual**2, minlength=n)
        own_freedom = np.bincount(level[used], np.maximum(left, 0.0), minlength=n)
        moderated = (_PRIOR_FREEDOM * squares.sum() / freedom + squares) / (_PRIOR_FREEDOM + own_freedom)
        variance = np.maximum(moderated, least)
    # The last errors in units of the variances that weighed them.
    scale = max(float((residual * weight) @ (residual * weight)) / freedom, least * float(weight.max()) ** 2)
    information, curved = information / scale, np.flatnonzero(known[n : 2 * n]) + int(known[:n].sum())
    if len(curved) > 1:
        spread = _spread(coefficients[curved], scale * np.diag(inverse)[curved])
        pull = np.zeros_like(information)
        pull[np.ix_(curved, curved)] = (np.eye(len(curved)) - 1 / len(curved)) / spread
        inverse = _inverse(information + pull)
        coefficients = inverse @ (information @ coefficients)
    else:
        inverse = inverse * scale
    parabolas, covariance = np.zeros(4 * n), np.zeros((4 * n, 4 * n))
    parabolas[known], covariance[np.ix_(known, known)] = coefficients, inverse
    # Each level's error rests on a variance with so many degrees of freedom (Smyth 2004).
    return _Parabolas(parabolas, covariance, known, int(min(_PRIOR_FREEDOM + np.median(own_freedom), freedom)))


def _inverse(information: Floats) -> Floats:
    """What no run tells has a variance, a very large one."""
    values, vectors = np.linalg.eigh(information)
    return np.asarray((vectors / np.maximum(values, _JITTER * values.max())) @ vectors.T)


def _spread(values: Floats, variances: Floats) -> float:
    """The variance of true curvatures about their mean (DerSimonian & Laird 1986)."""
    weights = 1 / variances
    mean = float(weights @ values / weights.sum())
    excess = float(weights @ (values - mean) ** 2) - (len(values) - 1)
    spread = excess / float(weights.sum() - (weights**2).sum() / weights.sum())
    return max(spread, (_LEAST_SPREAD * mean) ** 2, 1e-300)
