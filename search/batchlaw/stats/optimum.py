"""The ridge: the best tuned level at each given level, and whether the data identify it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

from batchlaw.stats.holm import holm
from batchlaw.stats.surface import Bools, Floats, Surface

# From the index of the best cell at each given level, (n_given,), and an end of the grid, 0 or -1: the t by which that
# cell is better than the end, and its degrees of freedom, both (n_given,).
TOver = Callable[[NDArray[np.intp], int], tuple[Floats, Floats]]
Status = Literal["identified", "left_censored", "right_censored", "undecided"]

# The gate that an identified optimum passes (assumptions, fixed before the runs that they judge).
EDGE_SHARE = 0.05  # an end is excluded if fewer bootstraps than this share have their best cell there
T_OVER_END = 3.0  # least t of the best cell over an end, beside Holm's correction over the given levels
WIDEST_OCTAVES = 3.0  # widest interval
WINDOW_OCTAVES = 2.0  # the parabola is fitted to the cells within this distance of the best one


@dataclass(frozen=True, eq=False)
class Ridge:
    """The optimum at each given level, on the log₂ scale of the tuned factor.

    The status of a level is one of

    - `identified`: the optimum lies inside the grid, is better than both ends, and its interval is narrow enough;
    - `left_censored`: it is better than the high end only, so it lies at or below `high`;
    - `right_censored`: it is better than the low end only, so it lies at or above `low`;
    - `undecided`: the data exclude neither end.
    """

    given: Floats  # (n_given,) levels
    tuned: Floats  # (n_tuned,) levels
    status: tuple[Status, ...]  # n_given
    best: Floats  # (n_given,) log₂ of the optimum, within the grid
    standard_error: Floats  # (n_given,) octaves
    low: Floats  # (n_given,) log₂, the confidence interval, within the grid
    high: Floats  # (n_given,)
    exact: Bools  # (n_given,) `best` is an estimate; else only the interval is known
    resampled: Floats  # (n_resamples, n_given) log₂ of the optimum in each bootstrap
    degrees_of_freedom: int  # of the standard errors

    @property
    def identified(self) -> Bools:
        """Which levels passed the gate, (n_given,)."""
        return np.array([status == "identified" for status in self.status])

    @property
    def octaves(self) -> float:
        """Distance from the lowest to the highest identified given level."""
        passed = np.log2(self.given[self.identified])
        return float(np.ptp(passed)) if len(passed) else 0.0

    def rows(self, given: str, optimum: str) -> list[dict[str, Any]]:
        """One row for each given level, with the optimum and its interval on the tuned factor's own scale.

        The end of an interval is None on the side that is censored, and both are None if the level is undecided.

        Args:
            given: the name of the given factor in a row.
            optimum: the name of the optimum in a row.
        """
        return [
            {
                given: float(level),
                "status": status,
                optimum: float(2**best),
                "ci_low": float(2**low) if status in ("identified", "right_censored") else None,
                "ci_high": float(2**high) if status in ("identified", "left_censored") else None,
            }
            for level, status, best, low, high in zip(
                self.given, self.status, self.best, self.low, self.high, strict=True
            )
        ]


def ridge(surface: Surface, generator: np.random.Generator, *, alpha: float = 0.05, n_resamples: int = 1000) -> Ridge:
    """Find the best tuned level at each given level, with its interval and its status.

    The optimum is the vertex of a parabola through the cells around the best one. Its interval is Student's, with the
    standard deviation of bootstraps over replicates. The percentiles of so few replicates would be too narrow.

    Args:
        surface: the scores.
        generator: of the bootstraps.
        alpha: 1 minus the confidence of the intervals.
        n_resamples: the number of bootstraps.
    """
    n = surface.n_replicates
    # Cells are independent where replicates are not paired, and about five of them make up an optimum (assumption).
    degrees_of_freedom = n - 1 if surface.paired else 5 * (n - 1)
    return ridge_of_means(
        surface.given, surface.tuned, surface.means, surface.resampled_means(n_resamples, generator),
        surface.usable, lambda cell, end: _t_over(surface, cell, end), degrees_of_freedom, alpha,
        inflation=float(np.sqrt(n / (n - 1))),
    )  # fmt: skip


def ridge_of_means(
    given: Floats,
    tuned: Floats,
    means: Floats,
    resampled_means: Floats,
    usable: Bools,
    t_over: TOver,
    degrees_of_freedom: float,
    alpha: float,
    inflation: float = 1.0,
) -> Ridge:
    """The ridge of cells whose means and resampled means are known; see `ridge`.

    Args:
        given: (n_given,) levels, ascending.
        tuned: (n_tuned,) levels, ascending.
        means: (n_given, n_tuned), higher is better.
        resampled_means: (n_resamples, n_given, n_tuned)
        usable: (n_given, n_tuned) cells that a parabola may be fitted to.
        t_over: how much better the best cells are than an end.
        degrees_of_freedom: of the standard deviation of resampled optima.
        alpha: 1 minus the confidence of the intervals.
        inflation: factor that makes this standard deviation unbiased.
    """
    log2_tuned, n_given, last = np.log2(tuned), len(given), len(tuned) - 1
    located = np.empty(n_given)
    cell = np.empty(n_given, dtype=int)
    resampled = np.empty((len(resampled_means), n_given))
    at_low, at_high = np.empty(n_given), np.empty(n_given)
    for row, fits in enumerate(_parabolas_of(tuned, usable)):
        vertex, index = _vertices(means[row][None], log2_tuned, fits)
        located[row], cell[row] = vertex[0], index[0]
        resampled[:, row], index = _vertices(resampled_means[:, row], log2_tuned, fits)
        at_low[row], at_high[row] = np.mean(index == 0), np.mean(index == last)
    over_low = beats(*t_over(cell, 0), alpha) & (at_low < EDGE_SHARE)
    over_high = beats(*t_over(cell, -1), alpha) & (at_high < EDGE_SHARE)
    error = resampled.std(axis=0) * inflation
    return gated(given, tuned, located, cell, error, resampled, over_low, over_high, degrees_of_freedom, alpha)


def gated(
    given: Floats,
    tuned: Floats,
    best: Floats,
    cell: NDArray[np.intp],
    error: Floats,
    resampled: Floats,
    over_low: Bools,
    over_high: Bools,
    degrees_of_freedom: float,
    alpha: float,
) -> Ridge:
    """The ridge of optima whose errors are known, and of which it is known which ends they exclude.

    Args:
        given: (n_given,) levels.
        tuned: (n_tuned,) levels.
        best: (n_given,) log₂ of the optima.
        cell: (n_given,) index of the tuned level nearest to the optimum.
        error: (n_given,) standard errors, octaves.
        resampled: (n_resamples, n_given) log₂ of resampled optima.
        over_low: (n_given,) the optimum is better than the low end.
        over_high: (n_given,) it is better than the high end.
        degrees_of_freedom: of the standard errors.
        alpha: 1 minus the confidence of the intervals.
    """
    log2_tuned, last = np.log2(tuned), len(tuned) - 1
    reach = special.stdtrit(degrees_of_freedom, 1 - alpha / 2) * error
    low, high = np.maximum(best - reach, log2_tuned[0]), np.minimum(best + reach, log2_tuned[-1])
    # Near an end some cells on one side of the optimum are missing, which biases the vertex of the parabola. The
    # interval then reaches from one neighbouring cell to the other at least.
    near_end = np.minimum(log2_tuned[cell] - log2_tuned[0], log2_tuned[-1] - log2_tuned[cell]) < WINDOW_OCTAVES - 1e-9
    low = np.where(near_end, np.minimum(low, log2_tuned[np.maximum(cell - 1, 0)]), low)
    high = np.where(near_end, np.maximum(high, log2_tuned[np.minimum(cell + 1, last)]), high)
    narrow = 2 * reach < WIDEST_OCTAVES
    status: list[Status] = []
    for row in range(len(given)):
        if over_low[row] and over_high[row]:
            status.append("identified" if narrow[row] else "undecided")
        else:
            status.append("left_censored" if over_high[row] else "right_censored" if over_low[row] else "undecided")
    return Ridge(
        given, tuned, tuple(status), best, error, low, high, ~near_end, resampled, max(int(degrees_of_freedom), 1)
    )


def optima(surface: Surface, means: Floats) -> Floats:
    """The optima of several sets of cell means, log₂, (n, n_given); the means are (n, n_given, n_tuned)."""
    columns = [
        _vertices(means[:, row], np.log2(surface.tuned), fits)[0]
        for row, fits in enumerate(_parabolas_of(surface.tuned, surface.usable))
    ]
    return np.stack(columns, axis=1)


def _parabolas_of(tuned: Floats, usable: Bools) -> list[Floats]:
    """The parabolas at each given level; see `_parabolas`."""
    log2_tuned = tuple(np.log2(tuned).tolist())
    return [_parabolas(log2_tuned, tuple(row)) for row in usable.tolist()]


@lru_cache(maxsize=1000)  # most levels and surfaces of a study have the same cells
def _parabolas(log2_tuned: tuple[float, ...], usable: tuple[bool, ...]) -> Floats:
    """For each cell as the best one, the matrix from scores to the least-squares parabola around it.

    A parabola is in octaves from its cell. Cells with an unstable run are left out, because a cliff is not part of a
    parabola. A matrix is zero where fewer than three cells remain.

    Returns:
        (n_tuned, 3, n_tuned)
    """
    n, places = len(log2_tuned), np.array(log2_tuned)
    fits = np.zeros((n, 3, n))
    for center in range(n):
        offset = places - places[center]
        near = np.abs(offset) <= WINDOW_OCTAVES + 1e-9
        near[max(center - 1, 0) : center + 2] = True
        chosen = np.flatnonzero(near & np.array(usable))
        if len(chosen) >= 3:
            fits[center][:, chosen] = np.linalg.pinv(np.vander(offset[chosen], 3))
    fits.flags.writeable = False
    return fits


def _vertices(means: Floats, log2_tuned: Floats, fits: Floats) -> tuple[Floats, np.ndarray]:
    """The optimum, log₂, and the index of the best cell, (n,) each, for each row of means (n, n_tuned)."""
    cell = means.argmax(axis=1)
    # One product fits the parabola around every cell; that around the best one is picked.
    a, b = (np.take_along_axis(means @ fits[:, k].T, cell[:, None], axis=1)[:, 0] for k in (0, 1))
    last = len(log2_tuned) - 1
    interior = (cell > 0) & (cell < last)
    with np.errstate(divide="ignore", invalid="ignore"):
        vertex = np.where((a < 0) & interior, -b / (2 * a), 0.0)
    # The best cell says that the optimum is not past its neighbours.
    lowest, highest = log2_tuned[np.maximum(cell - 1, 0)], log2_tuned[np.minimum(cell + 1, last)]
    return np.clip(log2_tuned[cell] + vertex, lowest, highest), cell


def beats(t: Floats, degrees_of_freedom: Floats | float, alpha: float) -> Bools:
    """Whether optima are better than an end of the grid, (n_given,): t > 3, and Holm's p-value is at most alpha."""
    return np.asarray((t > T_OVER_END) & (holm(special.stdtr(degrees_of_freedom, -t)) <= alpha))


def _t_over(surface: Surface, cell: NDArray[np.intp], end: int) -> tuple[Floats, Floats]:
    """The t by which the best cell at each given level is better than the one at an end, as `TOver`."""
    best = np.take_along_axis(surface.scores, cell[:, None, None], axis=1)[:, 0]
    other = surface.scores[:, end]
    n = surface.n_replicates
    gain = (best - other).mean(axis=1)
    if surface.paired:
        error, degrees_of_freedom = (best - other).std(axis=1, ddof=1) / np.sqrt(n), np.full(len(cell), n - 1.0)
    else:
        variances = best.var(axis=1, ddof=1) / n, other.var(axis=1, ddof=1) / n
        error = np.sqrt(sum(variances))
        squares = sum(variance**2 for variance in variances) / (n - 1)
        degrees_of_freedom = np.divide(error**4, squares, out=np.full(len(cell), n - 1.0), where=squares > 0)
    return np.divide(gain, error, out=np.where(gain > 0, np.inf, 0.0), where=error > 0), degrees_of_freedom
