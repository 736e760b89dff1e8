"""How far curves are shifted from one to the next, if they are copies of one curve of which only the turn is known.

Row i of a surface is a curve of the loss over y = log₂ of the tuned level, at x_i = log₂ of a given level. The rows are
taken as copies of one curve f, moved by s octaves an octave of x:

    asinh(height_ij / κ) = f(y_j - s·x_i) + a_i + error

Heights are above the row's best cell; asinh brings a wall and the plain beside it to one scale. Of f nothing is assumed
but that it falls and then rises, so that neither its asymmetry nor a cliff between two cells can move the slope s. For
each s the closest such f (isotonic regression) misses the cells by some amount; the slopes and turning points whose
misfit is not far above the least are the confidence sets. If even the least is large, the rows are no copies of one
curve, and no slope is to be read from their alignment. A flank that grows steeper little by little mimics a shift and
is not told from one so; what it could hide is added to the interval (`_Rows.with_changing_shape`).
"""

from dataclasses import dataclass

import numpy as np
from scipy import special

from batchlaw.stats.cells import Cells
from batchlaw.stats.surface import Floats
from batchlaw.stats.unimodal import fitted, misfits

# Constants, set by simulation (`tests/benchmarks/claim_calibration.py`) and fixed before the runs that they judge.
_MODEL_ERROR = 0.04  # of the range of transformed heights: no curves are closer copies than this
_OFFSET_DEVIATION = 0.3  # of the rows' offsets a_i, in standard deviations of the transformed heights
_ENOUGH = 9.0  # misfit above the least at which a slope or a turn is excluded with 95 % confidence
_UNLIKE = 2.0  # by how much this grows with the part of the least misfit that the noise does not explain
_MISFIT_P = 0.01  # the rows are no copies of one curve if the p-value of the least misfit is below this
_STEPS, _FINE_STEPS = 61, 41  # slopes tried
_LOWER, _HIGHER = 0.2, (0.8, 0.65, 0.5, 0.4)  # heights of a flank, of the rows' usual range
_FEWEST_FLANKS, _FLANKS_OCTAVES = 5, 3.0  # rows whose flank reaches both heights
_CHANGE = 1.5  # a change of a flank's width counts half where it is √1.5 of its standard errors
_USUAL_CHANGE = 0.1  # by how much the slope of feet usually differs from that of the curves, where shapes change
_FURTHEST_INWARDS = 2.0  # widths of a flank from its lower height to its foot, at most
_TINY = float(np.finfo(float).tiny)
_FOOT_ERRORS = 1.8  # standard errors of the slope of feet
_SWEEPS = 8  # between curve and offsets, at most
_SETTLED = 1e-3  # change of an offset
_SLOPES_OF_TURNS = 9  # slopes for which turning points are sought


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
    rows = _Rows.of(cells, x)
    # The limit grows where variances are known less well, as that of an F ratio does.
    enough = _ENOUGH * float(special.chdtri(1, alpha) / special.chdtri(1, 0.05)) * _inflation(cells.degrees_of_freedom)
    slopes = np.linspace(*allowed, _STEPS)
    missed = np.array([rows.fit(slope).misfit for slope in slopes])
    # What the noise does not explain is a difference between the curves. It is much the same for neighbouring cells, so
    # that it weighs more than independent errors do.
    limit = enough + _UNLIKE * max(float(missed.min()) - rows.noise, 0.0)
    step = slopes[1] - slopes[0]
    inside = slopes[missed <= missed.min() + limit]
    finer = np.linspace(max(inside[0] - step, allowed[0]), min(inside[-1] + step, allowed[1]), _FINE_STEPS)
    missed = np.concatenate([missed, [rows.fit(slope).misfit for slope in finer]])
    slopes, first = np.unique(np.concatenate([slopes, finer]), return_index=True)
    missed = missed[first]
    least = float(missed.min())
    limit = enough + _UNLIKE * max(least - rows.noise, 0.0)
    kept = np.flatnonzero(missed <= least + limit)
    ends = float(slopes[max(kept[0] - 1, 0)]), float(slopes[min(kept[-1] + 1, len(slopes) - 1)])
    chosen = np.unique(kept[np.linspace(0, len(kept) - 1, _SLOPES_OF_TURNS).round().astype(int)])
    turns = [(float(slopes[at]), *rows.turns(slopes[at], least + limit)) for at in chosen]
    interval = rows.with_changing_shape(*ends, turns)
    turns = [(interval[0], *turns[0][1:]), *turns, (interval[1], *turns[-1][1:])]
    return Alignment(slopes, missed - least, least, len(cells.means) - len(x), limit, tuple(turns), interval)


def _inflation(degrees_of_freedom: float) -> float:
    return degrees_of_freedom / max(degrees_of_freedom - 2, 1)


@dataclass(frozen=True)
class _Fit:
    """The closest curve for one slope."""

    misfit: float
    turn: int  # number of cells on the falling side
    offsets: Floats  # (n_rows,)


@dataclass(frozen=True, eq=False)
class _Rows:
    """The cells of rows on one scale."""

    row: np.ndarray  # (n,)
    x: Floats  # (n,) octaves from the middle given level
    y: Floats  # (n,) log₂ of the tuned level
    heights: Floats  # (n,) transformed
    weights: Floats  # (n,) inverse variances of the transformed heights
    offset_weight: float  # inverse variance of an offset
    noise: float  # misfit that the noise of the cells explains, at most

    @classmethod
    def of(cls, cells: Cells, x: Floats) -> "_Rows":
        best = np.full(len(x), -np.inf)
        np.maximum.at(best, cells.level, cells.means)
        height = best[cells.level] - cells.means
        variance = cells.own_variances
        # κ is the height beside the best cell, on the side that is less steep: below it the scale is linear.
        beside = [_beside_the_best(height[cells.level == row]) for row in np.unique(cells.level)]
        kappa = max(float(np.median(beside)), 2 * float(np.sqrt(np.median(variance))), np.finfo(float).tiny)
        transformed = np.arcsinh(height / kappa)
        error = _MODEL_ERROR * max(float(np.ptp(transformed)), np.finfo(float).tiny ** 0.25)
        variance = variance / (kappa**2 + height**2)
        weights = 1 / (variance + error**2)
        return cls(
            row=cells.level, x=(x - x.mean())[cells.level], y=cells.place, heights=transformed, weights=weights,
            noise=float(weights @ variance),
            offset_weight=1 / (_OFFSET_DEVIATION * max(float(transformed.std()), error)) ** 2,
        )  # fmt: skip

    def fit(self, slope: float) -> _Fit:
        """The closest curve, and the offsets with which it is closest."""
        u = self.y - slope * self.x
        order = np.argsort(u, kind="stable")
        return self._fit(order, np.zeros(self.row.max() + 1), None)

    def turns(self, slope: float, limit: float) -> tuple[float, float]:
        """The lowest and the highest place of the turn with which a curve misses the cells by `limit` at most."""
        u = self.y - slope * self.x
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

    def with_changing_shape(
        self, low: float, high: float, turns: list[tuple[float, float, float]]
    ) -> tuple[float, float]:
        """The interval of the slope, extended where the curves' flanks grow steeper or flatter from row to row.

        A flank that does so mimics a shift, which no fit of one curve can tell from a shift of the optimum. Its foot
        does not take part in it: the place that lies as far inwards of a low height, in widths of the flank, as the
        turning point does on average. So the interval is extended towards the slope of the feet of each flank, the
        further the clearer the change, and the better the slope of the feet is known.

        Args:
            low: the lower end of the interval without that.
            high: the upper end.
            turns: as in `Alignment`.
        """
        middle, ends = (low + high) / 2, [low, high]
        bounded = np.array([turn for turn in turns if np.isfinite(turn).all()])
        turn = float(bounded[:, 1:].mean()) if len(bounded) else None
        for side in (-1, 1):
            flank = self._flank(side)
            if flank is None:
                continue
            x, lower, widths = flank
            inwards = _LOWER / (_HIGHER[0] - _LOWER)
            if turn is not None:
                inwards = abs(float((lower - turn - middle * x).mean())) / max(abs(float(widths.mean())), _TINY)
            foot, error = _line(x, lower - min(inwards, _FURTHEST_INWARDS) * widths)
            change, its_error = _line(x, widths)
            share = max(
                change**2 / max(change**2 + _CHANGE * its_error**2, _TINY),
                _USUAL_CHANGE**2 / (_USUAL_CHANGE**2 + error**2),
            )
            ends += [middle + share * (foot + sign * _FOOT_ERRORS * error - middle) for sign in (-1, 1)]
        return min(ends), max(ends)

    def _flank(self, side: int) -> tuple[Floats, Floats, Floats] | None:
        """The rows x whose flank on a side reaches two heights, the place of the lower and the way to the higher.

        Places are log₂ of the tuned level. None if few rows do.
        """
        flanks = []
        for row in range(int(self.row.max()) + 1):
            own = np.flatnonzero(self.row == row)
            best = int(self.heights[own].argmin())
            outwards = own[best:] if side > 0 else own[best::-1]
            flanks.append((self.x[own[0]], np.maximum.accumulate(self.heights[outwards]), self.y[outwards]))
        top = float(np.median([max(self.heights[self.row == row]) for row in range(len(flanks))]))
        for share in _HIGHER:
            reach = [flank for flank in flanks if flank[1][-1] >= share * top]
            x = np.array([flank[0] for flank in reach])
            if len(x) >= _FEWEST_FLANKS and np.ptp(x) >= _FLANKS_OCTAVES:
                lower, higher = (
                    np.array([np.interp(height * top, heights, places) for _, heights, places in reach])
                    for height in (_LOWER, share)
                )
                return x, lower, higher - lower
        return None

    def _fit(self, order: np.ndarray, offsets: Floats, turn: int | None) -> _Fit:
        weights = self.weights[order]
        total = np.bincount(self.row, self.weights) + self.offset_weight
        curve = np.empty(len(order))
        for _ in range(_SWEEPS):
            values = (self.heights - offsets[self.row])[order]
            at = int(np.add(*misfits(values.tolist(), weights.tolist())).argmin()) if turn is None else turn
            curve[order] = fitted(values, weights, at)
            before, offsets = offsets, np.bincount(self.row, self.weights * (self.heights - curve)) / total
            if np.abs(offsets - before).max() < _SETTLED:
                break
        left = self.heights - curve - offsets[self.row]
        misfit = float(self.weights @ left**2 + self.offset_weight * (offsets**2).sum())
        return _Fit(misfit, at, offsets)


def _line(x: Floats, y: Floats) -> tuple[float, float]:
    """The least-squares slope through points (n,), and its standard error."""
    away = x - x.mean()
    slope = float(away @ y / (away @ away))
    left = y - y.mean() - slope * away
    return slope, float(np.sqrt(left @ left / (len(x) - 2) / (away @ away)))


def _beside_the_best(height: Floats) -> float:
    """The smaller height of the neighbours of the best cell."""
    best = int(height.argmin())
    return float(min((height[near] for near in (best - 1, best + 1) if 0 <= near < len(height)), default=0.0))
