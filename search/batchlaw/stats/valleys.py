"""The best level of every row of single runs, by valleys that share their shape.

A row has the runs of one batch size, which differ in the learning rate. With x the log₂ of the rate, z = x - x_r:

    loss = a_r + c_r · 2 (exp(βz) - βz - 1) / β²,    c_r = c · exp(t · (y_r - ȳ))

x_r and a_r are the place and the height of the bottom of row r, y_r the log₂ of its batch size. The curvature c, its
tilt t and the asymmetry β (the linex function, Varian 1975; a parabola where β is 0) are common to the rows: a row of
four runs near its best tells its bottom, but not its shape. Runs far above the best of their row say nothing of its
bottom and are left out, and so are diverged ones. Outliers are fitted with less weight.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from batchlaw.stats.scattered import SAME_RATE, Scattered, levels
from batchlaw.stats.surface import Floats

_FEWEST = 3  # rates near the best of a row, for a bottom of its own
_REACH = 0.5  # octaves beyond the rates of a row at which its bottom may lie
_LEAST_FREEDOM = 3  # runs above the number of parameters
_FIRST_NOISE = 0.05  # of the height up to which runs count
_SOFT = 2.0  # residuals beyond so many deviations weigh less
_ASYMMETRY, _TILT = (0.3, 0.5), (0.0, 0.2)  # mean and deviation beforehand (assumption); walls are on the right
_ASYMMETRIES, _TILTS = (-3.0, 3.0), (-1.0, 1.0)
_FLAT = 1e-3  # asymmetry below which the valley is a parabola within rounding
_NORMAL_MAD = 1.4826


class Shape(NamedTuple):
    """Of the valleys of a group."""

    log_curvature: float  # natural logarithm, of scores an octave²
    asymmetry: float
    tilt: float  # of log_curvature, an octave of the batch size
    middle: float  # log₂ of the batch size at which log_curvature is meant

    def height(self, z: Floats, batch_size: Floats) -> Floats:
        """Loss above the bottom, z octaves away from it, at log₂ of batch sizes; one shape."""
        curvature = np.exp(np.minimum(self.log_curvature + self.tilt * (batch_size - self.middle), 50.0))
        beta = self.asymmetry if abs(self.asymmetry) > _FLAT else _FLAT
        steps = np.clip(beta * z, -30.0, 30.0)
        return np.asarray(curvature * 2 * (np.expm1(steps) - steps) / beta**2)


@dataclass(frozen=True, eq=False)
class Valleys:
    """The bottoms of the rows of a group of runs."""

    batch_size: Floats  # (n_rows,) log₂
    best: Floats  # (n_rows,) log₂ of the rate
    covariance: Floats  # (n_rows, n_rows) of `best`
    lowest: Floats  # (n_rows,) loss at the bottom
    noise: float  # standard deviation of a run
    height: float  # of a run above the best of its row up to which it counts
    shape: Shape


def valleys(runs: Scattered) -> Valleys | None:
    """The bottoms of the rows of runs of one group; None where too few rows have runs on both sides of theirs.

    Args:
        runs: of one block.
    """
    stable = ~runs.diverged & np.isfinite(runs.scores)
    x, loss = np.log2(levels(runs.lr, SAME_RATE))[stable], -runs.scores[stable]
    sizes, row = np.unique(np.log2(runs.batch_size[stable]), return_inverse=True)
    above = loss - _least_of_each(loss, row)[row]
    height = float(np.median(above[above > 0])) if (above > 0).any() else 0.0
    near = above <= height
    told = [number for number in range(len(sizes)) if len(np.unique(x[near & (row == number)])) >= _FEWEST]
    kept = near & np.isin(row, told)
    if not told or kept.sum() < 2 * len(told) + 3 + _LEAST_FREEDOM or height == 0:
        return None
    fit = _Fit(x[kept], loss[kept], np.searchsorted(told, row[kept]), sizes[told], height)
    parameters, noise = fit.start(), _FIRST_NOISE * height
    for _ in range(2):
        parameters, covariance, noise = fit.solved(parameters, noise)
    best, inside = fit.bottoms(parameters)
    if not inside.any():
        return None
    n = len(told)
    of_bottoms = covariance[n : 2 * n, n : 2 * n][inside][:, inside]
    return Valleys(
        batch_size=sizes[told][inside], best=best[inside], covariance=of_bottoms,
        lowest=parameters[:n][inside], noise=noise, height=height, shape=fit.shape(parameters),
    )  # fmt: skip


def _least_of_each(values: Floats, group: NDArray[np.intp]) -> Floats:
    found = np.full(group.max() + 1, np.inf)
    np.minimum.at(found, group, values)
    return found


@dataclass(frozen=True, eq=False)
class _Fit:
    """The runs near the best of their rows."""

    x: Floats  # (n_runs,)
    loss: Floats  # (n_runs,)
    row: NDArray[np.intp]  # (n_runs,)
    sizes: Floats  # (n_rows,)
    height: float

    def start(self) -> Floats:
        """Heights and places of the rows' best runs, and a shape: (2·n_rows + 3,)."""
        lowest = _least_of_each(self.loss, self.row)
        places = [self.x[self.row == r][self.loss[self.row == r].argmin()] for r in range(len(self.sizes))]
        off = self.x - np.array(places)[self.row]
        above = self.loss - lowest[self.row]
        curvature = float((above * off**2).sum() / (off**4).sum())  # of one parabola through the best runs
        return np.concatenate([lowest, places, [np.log(curvature), _ASYMMETRY[0], _TILT[0]]])

    def shape(self, parameters: Floats) -> Shape:
        log_curvature, asymmetry, tilt = parameters[-3:].tolist()
        return Shape(log_curvature, asymmetry, tilt, float(self.sizes.mean()))

    def solved(self, start: Floats, noise: float) -> tuple[Floats, Floats, float]:
        """The parameters, their covariance, and the noise."""
        n = len(self.sizes)

        def residuals(parameters: Floats) -> Floats:
            place = self.x - parameters[n : 2 * n][self.row]
            fitted = parameters[:n][self.row] + self.shape(parameters).height(place, self.sizes[self.row])
            prior = [(parameters[-2] - _ASYMMETRY[0]) / _ASYMMETRY[1], (parameters[-1] - _TILT[0]) / _TILT[1]]
            return np.concatenate([(fitted - self.loss) / noise, prior])

        bounds = np.full((2, len(start)), [[-np.inf], [np.inf]])
        bounds[:, -2], bounds[:, -1] = _ASYMMETRIES, _TILTS
        found = optimize.least_squares(residuals, start, loss="soft_l1", f_scale=_SOFT, x_scale="jac", bounds=bounds)
        left = found.fun[: len(self.loss)] * noise
        freedom = len(self.loss) - len(start) + 2  # two of the parameters have a prior
        spread = float(np.median(np.abs(left))) * _NORMAL_MAD * np.sqrt(len(left) / freedom)
        spread = max(spread, 1e-6 * self.height)
        covariance = np.linalg.pinv(found.jac.T @ found.jac) * (spread / noise) ** 2
        return found.x, covariance, spread

    def bottoms(self, parameters: Floats) -> tuple[Floats, NDArray[np.bool_]]:
        """The places of the bottoms, and which of them lie among the rates of their row, (n_rows,) each."""
        n = len(self.sizes)
        best = parameters[n : 2 * n]
        low = np.array([self.x[self.row == r].min() for r in range(n)])
        high = np.array([self.x[self.row == r].max() for r in range(n)])
        return best, (best > low - _REACH) & (best < high + _REACH)
