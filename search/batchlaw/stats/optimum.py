"""Where the best level of one factor lies at each level of the other, and whether the data can tell."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

from batchlaw.stats.holm import holm
from batchlaw.stats.surface import Bools, Floats, Surface

TOver = Callable[[NDArray[np.intp], int], tuple[Floats, Floats]]
Status = Literal["identified", "left_censored", "right_censored", "undecided"]

# The identification gate, fixed before the runs it judges.
EDGE_SHARE = 0.05  # of bootstraps with their best at an edge: from here on it is not excluded
T_OVER_END = 3.0  # paired t of the best cell over an end, beside Holm's correction over the given levels
WIDEST_OCTAVES = 3.0  # of an identified optimum's interval
WINDOW_OCTAVES = 2.0  # of cells on either side of the best that the parabola is fitted to


@dataclass(frozen=True, eq=False)
class Ridge:
    """The optimum at each given level, on the log₂ scale of the tuned factor.

    `identified`: interior, and better than both ends. `left_censored`: better than the high end only, so the optimum
    lies at or below `high`; `right_censored`: at or above `low`. `undecided`: the data exclude neither end.
    """

    given: Floats  # (n_given,)
    tuned: Floats  # (n_tuned,)
    status: tuple[Status, ...]
    best: Floats  # (n_given,), log₂; within the grid
    standard_error: Floats  # (n_given,), octaves
    low: Floats  # (n_given,), log₂; its confidence interval, within the grid
    high: Floats
    exact: Bools  # (n_given,); else all that is known is the interval
    resampled: Floats  # (n_resamples, n_given), log₂: the optimum of each bootstrap
    degrees_of_freedom: int  # of the standard errors

    @property
    def identified(self) -> Bools:
        """Which levels passed the gate."""
        return np.array([status == "identified" for status in self.status])

    @property
    def octaves(self) -> float:
        """From the lowest to the highest identified level."""
        passed = np.log2(self.given[self.identified])
        return float(np.ptp(passed)) if len(passed) else 0.0

    def rows(self, given: str, optimum: str) -> list[dict[str, Any]]:
        """One row a level; an interval is open (None) on the side that is censored, and has no end where undecided.

        Args:
            given: what the given factor is called in a row.
            optimum: and its best tuned level.
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
    """Find the best tuned level at each given level, with its interval and the verdict of the gate.

    The optimum is the vertex of a parabola through the cells around the best one. Its interval is Student's, on the
    standard deviation of bootstraps over replicates: with few replicates percentiles of a bootstrap are too narrow.
    """
    n = surface.n_replicates
    # Resampled cells are independent where replicates are not paired, and some five of them make an optimum.
    degrees_of_freedom = n - 1 if surface.paired else 5 * (n - 1)
    return ridge_of_means(
        surface.given, surface.tuned, surface.means, surface.resampled_means(n_resamples, generator),
        ~np.any(surface.unstable, axis=2), lambda cell, end: _t_over(surface, cell, end), degrees_of_freedom, alpha,
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
    """The ridge of cells of which the means are known, and how those vary; see `ridge`.

    Args:
        given: (n_given,) levels, ascending.
        tuned: (n_tuned,) levels, ascending.
        means: (n_given, n_tuned), higher is better.
        resampled_means: (n_resamples, n_given, n_tuned)
        usable: (n_given, n_tuned) cells that may be on the side of a hill.
        t_over: from the index of the best cell of each given level, and an end, 0 or -1, the t by which it is better,
            and its degrees of freedom, both (n_given,).
        degrees_of_freedom: degrees of freedom of the spread of resampled optima.
        alpha: one less the confidence of the intervals.
        inflation: of that spread, so that it is unbiased.
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
    over_low = _beats(*t_over(cell, 0), alpha) & (at_low < EDGE_SHARE)
    over_high = _beats(*t_over(cell, -1), alpha) & (at_high < EDGE_SHARE)
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
    """The ridge of optima with their errors, and whether each excludes the low and the high end; see `Ridge`.

    Args:
        cell: (n_given,) index of the tuned level at the optimum, which tells how near to an end that is.
    """
    log2_tuned, last = np.log2(tuned), len(tuned) - 1
    reach = special.stdtrit(degrees_of_freedom, 1 - alpha / 2) * error
    low, high = np.maximum(best - reach, log2_tuned[0]), np.minimum(best + reach, log2_tuned[-1])
    # So near to an end a parabola leans to one side: what is known is that the optimum is not past the next cells.
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
    """The optimum, log₂ of the tuned level, of each of several sets of means (n, n_given, n_tuned), (n, n_given)."""
    columns = [
        _vertices(means[:, row], np.log2(surface.tuned), fits)[0]
        for row, fits in enumerate(_parabolas_of(surface.tuned, ~np.any(surface.unstable, axis=2)))
    ]
    return np.stack(columns, axis=1)


def _parabolas_of(tuned: Floats, usable: Bools) -> list[Floats]:
    """The parabolas of each given level."""
    log2_tuned = tuple(np.log2(tuned).tolist())
    return [_parabolas(log2_tuned, tuple(row)) for row in usable.tolist()]


@lru_cache(maxsize=1000)  # most levels, and the surfaces of a study, have the same cells
def _parabolas(log2_tuned: tuple[float, ...], usable: tuple[bool, ...]) -> Floats:
    """For each cell as the best one, the matrix that takes scores to the least-squares parabola (3, n_tuned).

    The parabola is in octaves from that cell. Cells in which a run was unstable have no part in it: a cliff is not the
    side of a hill. Where fewer than three are left the matrix is zero.
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
    """The optimum (n,), log₂, and the best cell (n,) of each row of means (n, n_tuned)."""
    cell = means.argmax(axis=1)
    # The parabolas of every cell as the best one, and of them those of the cells that are.
    a, b = (np.take_along_axis(means @ fits[:, k].T, cell[:, None], axis=1)[:, 0] for k in (0, 1))
    last = len(log2_tuned) - 1
    interior = (cell > 0) & (cell < last)
    with np.errstate(divide="ignore", invalid="ignore"):
        vertex = np.where((a < 0) & interior, -b / (2 * a), 0.0)
    # A vertex past the neighbours would contradict the best cell.
    lowest, highest = log2_tuned[np.maximum(cell - 1, 0)], log2_tuned[np.minimum(cell + 1, last)]
    return np.clip(log2_tuned[cell] + vertex, lowest, highest), cell


def _beats(t: Floats, degrees_of_freedom: Floats, alpha: float) -> Bools:
    """Whether t > 3 and Holm's p is at most alpha."""
    beats: Bools = (t > T_OVER_END) & (holm(special.stdtr(degrees_of_freedom, -t)) <= alpha)
    return beats


def _t_over(surface: Surface, cell: NDArray[np.intp], end: int) -> tuple[Floats, Floats]:
    """By how much the best cell of each given level is better than the one at an end, and its degrees of freedom."""
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
