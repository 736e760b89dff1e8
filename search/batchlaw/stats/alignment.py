"""How far curves are shifted from one to the next, if they are copies of one curve.

Row i of a surface is a curve of the loss over y = log₂ of the tuned level, at x_i = log₂ of a given level. The rows are
taken as copies of one curve f, moved by s octaves an octave of x:

    asinh(height_ij / κ) = f(y_j - s·x_i) + a_i + error

Heights are above the row's best cell; asinh brings a wall and the plain beside it to one scale. Three things are found.

1. Of f nothing is assumed but that it falls and then rises. For each s the closest such f (isotonic regression) misses
   the cells by some amount; the slopes and turning points whose misfit is not far above the least are kept. If even the
   least is large, the rows are no copies of one curve, and no slope is to be read from their alignment.
2. Such an f may be a staircase with the period of the grid, and then any s within about one spacing over all rows fits.
   Real curves are smoother. With a Gaussian process as f the interval is narrower (`shifted_process`), and it is known
   how probable it is that the curves change their shape from row to row.
3. A flank that grows steeper little by little mimics a shift. Its foot does not (`feet`). So the slope is that of the
   smooth f if the shape is kept, and near that of a foot otherwise; the interval has the quantiles of this mixture.
"""

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from scipy import special

from batchlaw.stats.cells import Cells
from batchlaw.stats.feet import Foot, feet
from batchlaw.stats.rows import Rows
from batchlaw.stats.shifted_process import Shift, evened, shift
from batchlaw.stats.surface import Floats
from batchlaw.stats.unimodal import fitted, misfits

# Constants, set by simulation (`tests/benchmarks/claim_calibration.py`) and fixed before the runs that they judge.
_ENOUGH = 9.0  # misfit above the least at which a slope or a turn is excluded with 95 % confidence
_UNLIKE = 2.0  # by how much this grows with the part of the least misfit that the noise does not explain
_MISFIT_P = 0.01  # the rows are no copies of one curve if the p-value of the least misfit is below this
_STEPS, _FINE_STEPS = 61, 41  # slopes tried
_BIAS = 2.0  # of the slope, for each unit of γ (`shifted_process`)
_HALVINGS = 40
_TINY = float(np.finfo(float).tiny)
_SWEEPS = 8  # between curve and offsets, at most
_SETTLED = 1e-3  # change of an offset
_MARGIN = 1 + 1e-9  # for rounding
_SLOPES_OF_TURNS = 4  # slopes for which turning points are sought, beside the best


@dataclass(frozen=True, eq=False)
class Alignment:
    """The slopes at which the rows fit onto one another, and where the common curve then turns."""

    slopes: Floats  # (n_slopes,) ascending
    misfits: Floats  # (n_slopes,) above the least
    least: float  # misfit
    freedom: int  # degrees of freedom of the least misfit, at least
    limit: float  # misfit above the least of the slopes that are kept
    turns: tuple[tuple[float, float, float], ...]  # slope, lowest and highest turning point u = y - s·x that is kept
    interval: tuple[float, float]  # of the slope, with what a change of the shape could hide

    @property
    def copies(self) -> bool:
        """Whether the rows can be copies of one curve."""
        return float(special.chdtrc(self.freedom, self.least)) >= _MISFIT_P


def align(cells: Cells, x: Floats, allowed: tuple[float, float], alpha: float) -> Alignment:
    """Find the slopes at which the rows fit onto one another.

    Args:
        cells: of the surface; higher means are better.
        x: (n_rows,) log₂ of the given levels.
        allowed: the lowest and the highest slope to try.
        alpha: 1 minus the confidence of the sets.
    """
    telling = cells.level, cells.place, cells.means, cells.own_variances, cells.degrees_of_freedom, x
    return _aligned(_Problem(tuple(np.asarray(each).tobytes() for each in telling), cells, x), allowed, alpha)


@dataclass(frozen=True)
class _Problem:
    """What is aligned; equal where all is equal that the answer depends on."""

    key: tuple[bytes, ...]
    cells: Cells = field(compare=False)
    x: Floats = field(compare=False)


@lru_cache(maxsize=500)  # a claim, its law and its figures ask for the same, which is most of their time
def _aligned(problem: _Problem, allowed: tuple[float, float], alpha: float) -> Alignment:
    cells, x = problem.cells, problem.x
    rows = Rows.of(cells, x)
    copies = _Unimodal(rows)
    # The limit grows where variances are known less well, as that of an F ratio does.
    quantile = float(special.chdtri(1, alpha)) * _inflation(cells.degrees_of_freedom)
    enough = _ENOUGH / float(special.chdtri(1, 0.05)) * quantile
    slopes = np.linspace(*allowed, _STEPS)
    missed = np.array([copies.fit(slope).misfit for slope in slopes])
    # What the noise does not explain is a difference between the curves. It is much the same for neighbouring cells, so
    # that it weighs more than independent errors do.
    limit = enough + _UNLIKE * max(float(missed.min()) - rows.noise, 0.0)
    step = slopes[1] - slopes[0]
    inside = slopes[missed <= missed.min() + limit]
    finer = np.linspace(max(inside[0] - step, allowed[0]), min(inside[-1] + step, allowed[1]), _FINE_STEPS)
    missed = np.concatenate([missed, [copies.fit(slope).misfit for slope in finer]])
    slopes, first = np.unique(np.concatenate([slopes, finer]), return_index=True)
    missed = missed[first]
    least = float(missed.min())
    limit = enough + _UNLIKE * max(least - rows.noise, 0.0)
    kept = np.flatnonzero(missed <= least + limit)
    ends = float(slopes[max(kept[0] - 1, 0)]), float(slopes[min(kept[-1] + 1, len(slopes) - 1)])
    smooth = shift(evened(rows, *ends), *ends, quantile)
    at_best = copies.turns(smooth.best, least + limit)
    moved = feet(rows, smooth.best, sum(at_best) / 2 if np.isfinite(at_best).all() else None)
    interval = _with_drift(smooth, moved, alpha)
    # Where unimodality contradicts it, what lies between them is possible as well.
    interval = min(interval[0], ends[1]), max(interval[1], ends[0])
    first, last = np.clip(interval, slopes[kept[0]], slopes[kept[-1]]).tolist()
    within = np.unique(np.linspace(first, last, _SLOPES_OF_TURNS))
    turns = [(smooth.best, *at_best), *((float(slope), *copies.turns(slope, least + limit)) for slope in within)]
    turns.sort()
    turns = [(interval[0], *turns[0][1:]), *turns, (interval[1], *turns[-1][1:])]
    return Alignment(slopes, missed - least, least, len(cells.means) - len(x), limit, tuple(turns), interval)


def _with_drift(smooth: Shift, moved: list[Foot], alpha: float) -> tuple[float, float]:
    """The interval of the slope, if the curves keep their shape, or change it with some probability.

    A drift γ moves the alignment away from the optima by an amount that is unknown to within about `_BIAS`·γ; the feet
    say more of it.

    Args:
        smooth: of curves that keep their shape.
        moved: the feet. Each is believed in turn.
        alpha: 1 minus the confidence.
    """
    low, high, probabilities = smooth.low, smooth.high, np.array(smooth.probabilities)
    if probabilities.sum() <= alpha / 2:
        return low, high
    prior = (_BIAS * np.array(smooth.drifts)) ** 2
    for foot in moved or [Foot(smooth.best, np.inf)]:
        share = prior / (prior + foot.error**2)
        middle = smooth.best + share * (foot.slope - smooth.best)
        error = np.sqrt(prior * (1 - share))
        ends = [_quantile(side * middle, error, probabilities, 1 - alpha / 2) for side in (-1, 1)]
        low, high = min(low, -ends[0]), max(high, ends[1])
    return low, high


def _quantile(means: Floats, deviations: Floats, probabilities: Floats, level: float) -> float:
    """Above which a normal mixture, whose probabilities (n,) may sum to less than 1, has 1 - level."""
    low, high = float((means - 10 * deviations).min()), float((means + 10 * deviations).max())
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        above = float(probabilities @ special.ndtr((means - middle) / np.maximum(deviations, _TINY)))
        low, high = (middle, high) if above > 1 - level else (low, middle)
    return high


def _inflation(degrees_of_freedom: float) -> float:
    return degrees_of_freedom / max(degrees_of_freedom - 2, 1)


@dataclass(frozen=True)
class _Fit:
    """The closest curve for one slope."""

    misfit: float
    turn: int  # number of cells on the falling side
    offsets: Floats  # (n_rows,)


@dataclass(frozen=True, eq=False)
class _Unimodal:
    """The rows as copies of a curve of which nothing is assumed but that it falls and then rises."""

    rows: Rows
    found: dict[bytes, _Fit] = field(default_factory=dict)  # by the order of the cells

    def fit(self, slope: float) -> _Fit:
        """The closest curve, and the offsets with which it is closest.

        They follow from the order of the cells alone, which many slopes have in common.
        """
        order = np.argsort(self.rows.y - slope * self.rows.x, kind="stable")
        key = order.tobytes()
        if key not in self.found:
            self.found[key] = self._fit(order, np.zeros(self.rows.row.max() + 1), None)
        return self.found[key]

    def turns(self, slope: float, limit: float) -> tuple[float, float]:
        """The lowest and the highest place of the turn with which a curve misses the cells by `limit` at most."""
        u = self.rows.y - slope * self.rows.x
        order = np.argsort(u, kind="stable")
        best, places = self.fit(slope), np.sort(u)
        low = high = best.turn
        start = best.offsets
        while low > 0 and (found := self._fit(order, start, low - 1)).misfit <= limit:
            low, start = low - 1, found.offsets
        start = best.offsets
        while high < len(u) and (found := self._fit(order, start, high + 1)).misfit <= limit:
            high, start = high + 1, found.offsets
        # A curve with k falling cells turns between the k-th and the next one.
        return (
            float(places[low - 1]) if low > 0 else -np.inf,
            float(places[high]) if high < len(u) else np.inf,
        )

    def _fit(self, order: np.ndarray, offsets: Floats, turn: int | None) -> _Fit:
        rows, weights = self.rows, self.rows.weights[order]
        total = np.bincount(rows.row, rows.weights) + rows.offset_weight
        curve, at = np.empty(len(order)), len(order) // 2 if turn is None else turn
        for _ in range(_SWEEPS):
            values = (rows.heights - offsets[rows.row])[order]
            closest = fitted(values, weights, at)
            if turn is None:  # the closest turn misses by no more than the last one does
                most = float(weights @ (values - closest) ** 2) * _MARGIN
                last, at = at, int(np.add(*misfits(values.tolist(), weights.tolist(), most)).argmin())
                closest = closest if at == last else fitted(values, weights, at)
            curve[order] = closest
            before, offsets = offsets, np.bincount(rows.row, rows.weights * (rows.heights - curve)) / total
            if np.abs(offsets - before).max() < _SETTLED:
                break
        left = rows.heights - curve - offsets[rows.row]
        misfit = float(rows.weights @ left**2 + rows.offset_weight * (offsets**2).sum())
        return _Fit(misfit, at, offsets)
