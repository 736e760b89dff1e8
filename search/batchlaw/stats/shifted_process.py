"""How far smooth curves are shifted from one to the next, and whether they keep their shape.

The transformed heights of the cells (`rows.Rows`) are taken as

    z_ij = f(u) + γ·x_i·g(u) + b_i·tanh(z_ij) + c_i/cosh(z_ij) + error,    u = y_j - s·x_i

where f and g are Gaussian processes with the same Matérn covariance (ν = 3/2; Rasmussen & Williams 2006, equation
4.17), x is scaled to ± 1, and γ is 0 if the curves are copies of one another. b_i is the logarithm of a factor of the
row's heights and c_i an error of its best height, both to first order in asinh. The length scale is one spacing of the
tuned levels at least, so that f cannot be a staircase with the period of the grid: the other rows tell how the curve
goes on between two cells, which unimodality alone does not. The length scale and the variances are integrated out over
a few values.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy import linalg, special

from batchlaw.stats.rows import Rows
from batchlaw.stats.surface import Floats

# Constants, set by simulation (`tests/benchmarks/claim_calibration.py`) and fixed before the runs that they judge.
_LENGTHS = (1.0, 1.6, 2.5, 4.0)  # length scales, in spacings of the tuned levels
_AMPLITUDES = (1.0, 4.0)  # variances of f, in variances of the heights
_FACTORS = (0.1, 0.7)  # standard deviations of b_i
_DRIFTS = (0.1, 0.2, 0.4)  # γ of curves that change their shape
_ODDS = 2.0  # beforehand, of a change of the shape against none: real curves often change theirs
_POSITION_ERROR = 0.16  # spacings: each cell may lie so far from its place on the curve, which matters beside a wall
_BASE, _OPEN_BASE = 0.3, 3.0  # κ, standard deviations of c_i; where the best cell is the first or the last of its row
_LEVEL = 10.0  # variance of the level of f, in variances of the heights
_NEGLIGIBLE = 4.0  # length scales and variances whose log-likelihood is lower than the best by this are left out
_MARGIN = 0.1  # slopes sought beyond those that unimodality allows
_SLOPES, _FEWEST_STEPS = 15, 5  # slopes tried at once, and steps within the interval that are enough
_ROUNDS = 3
_MOST_CELLS = 200  # of many more some are taken: the time of a fit grows with the cube of their number


@dataclass(frozen=True)
class Shift:
    """The shift of curves that are smooth and keep their shape, and how credible it is that they do not keep it."""

    low: float  # octaves an octave
    high: float
    best: float
    drifts: tuple[float, ...]  # γ
    probabilities: tuple[float, ...]  # of each γ; the rest is that of none


def shift(rows: Rows, low: float, high: float, limit: float) -> Shift:
    """The shift of smooth curves, near the slopes that unimodality allows.

    Args:
        rows: of the surface.
        low: the lowest of those slopes.
        high: the highest.
        limit: twice the log-likelihood by which a slope that is kept may be below the best.
    """
    processes = _processes(rows)
    coarse = _coarse(processes, low, high)
    telling = _telling(processes, coarse.max(axis=0))
    first, last = low - _MARGIN, high + _MARGIN
    for _ in range(_ROUNDS):
        slopes = np.linspace(first, last, _SLOPES)
        logs = np.array([np.logaddexp.reduce([each.log_likelihood(s) for each in telling]) for s in slopes])
        best, step = float(slopes[logs.argmax()]), float(slopes[1] - slopes[0])
        ends = _ends(slopes, logs, logs.max() - limit / 2)
        if ends[1] - ends[0] >= _FEWEST_STEPS * step:
            break
        first, last = ends[0] - step, ends[1] + step
    copies = np.logaddexp.reduce([each.log_likelihood(best) for each in processes])
    compared = [copies - np.log(_ODDS)]
    for drift in _DRIFTS:
        logs_of_drift = np.array([each.log_likelihood(best, drift) for each in processes])
        beside = [each.log_likelihood(s, drift) for s in ends for each in _telling(processes, logs_of_drift)]
        compared.append(np.logaddexp.reduce([*logs_of_drift, *beside]) - np.log(3 * len(_DRIFTS)))
    return Shift(*ends, best, _DRIFTS, tuple(special.softmax(compared)[1:].tolist()))


def evened(rows: Rows, low: float, high: float) -> Rows:
    """The rows with their heights on one scale, so that only a small part of the factors is left to be found.

    Args:
        rows: of the surface.
        low: the lowest of the slopes that unimodality allows.
        high: the highest.
    """
    processes = _processes(rows)
    coarse = _coarse(processes, low, high)
    at, which = np.unravel_index(coarse.argmax(), coarse.shape)
    return rows.scaled(-processes[which].factors(_slopes_between(low, high)[at]))


def _processes(rows: Rows) -> "list[_Process]":
    return [_Process(*each) for each in product([_Errors.of(rows, f) for f in _FACTORS], _LENGTHS, _AMPLITUDES)]


def _slopes_between(low: float, high: float) -> tuple[float, float, float]:
    return low, (low + high) / 2, high


def _coarse(processes: "list[_Process]", low: float, high: float) -> Floats:
    """Log-likelihoods at three slopes, (3, n_processes)."""
    return np.array([[each.log_likelihood(s) for each in processes] for s in _slopes_between(low, high)])


def _telling(processes: "list[_Process]", logs: Floats) -> "list[_Process]":
    """Those whose log-likelihood (n,) is not far below the highest."""
    return [each for each, log in zip(processes, logs, strict=True) if log > logs.max() - _NEGLIGIBLE]


@dataclass(frozen=True, eq=False)
class _Errors:
    """The cells, whitened by the covariance of all that is not f or g, which is the same for all slopes."""

    x: Floats  # (n,) from -1 to 1
    octaves: Floats  # (n,) log₂ of the given level
    y: Floats  # (n,) log₂ of the tuned level
    whitening: Floats  # (n, n)
    heights: Floats  # (n,) whitened
    factors: Floats  # (n_rows, n) from the whitened heights' residuals to the factors' logarithms
    variance: float  # of the heights
    spacing: float  # octaves, of the tuned levels

    @classmethod
    def of(cls, rows: Rows, factor: float) -> "_Errors":
        """The cells of rows whose heights differ by factors with logarithms of this standard deviation."""
        spacing = _spacing(rows)
        steepness, base = np.zeros(len(rows.row)), np.empty(len(rows.row))
        for own in rows.cells_of_each:
            z = rows.heights[own]
            base[own] = _OPEN_BASE if int(z.argmin()) in (0, len(own) - 1) else _BASE
            if len(own) > 1:
                secants = np.abs(np.diff(z) / np.diff(rows.y[own]))
                steepness[own] = np.maximum(np.append(secants, 0), np.append(0, secants))
        some = np.arange(0, len(rows.row), -(-len(rows.row) // _MOST_CELLS))
        row, heights, x = rows.row[some], rows.heights[some], rows.x[some]
        z = heights - heights.mean()
        variance = max(float(z.var()), float(1 / rows.weights.max()))
        errors = 1 / rows.weights[some] + (_POSITION_ERROR * spacing * steepness[some]) ** 2
        scaled, moved = factor * np.tanh(heights), base[some] / np.cosh(heights)
        of_rows = np.outer(scaled, scaled) + np.outer(moved, moved)
        covariance = np.diag(errors) + (row[:, None] == row) * of_rows + _LEVEL * variance
        lower = linalg.cholesky(covariance, lower=True, check_finite=False)
        whitening = linalg.solve_triangular(lower, np.eye(len(z)), lower=True, check_finite=False)
        factors = factor * np.where(np.arange(rows.row.max() + 1)[:, None] == row, scaled, 0.0) @ whitening.T
        return cls(
            x=x * 2 / max(float(np.ptp(x)), np.finfo(float).tiny), octaves=x, y=rows.y[some], whitening=whitening,
            heights=whitening @ z, factors=factors, variance=variance, spacing=spacing,
        )  # fmt: skip


@dataclass(frozen=True)
class _Process:
    """A process f, with the errors of the cells."""

    errors: _Errors
    length: float  # spacings
    amplitude: float  # variances of the heights

    def log_likelihood(self, slope: float, drift: float = 0.0) -> float:
        """Of the heights, up to a constant."""
        lower, left = self._solved(slope, drift)
        whitened = np.log(np.diag(self.errors.whitening)).sum()
        return float(-left @ left / 2 - np.log(np.diag(lower)).sum() + whitened)

    def factors(self, slope: float) -> Floats:
        """The logarithms of the factors of the rows' heights, (n_rows,), as far as the heights tell them."""
        lower, left = self._solved(slope, 0.0)
        return np.asarray(self.errors.factors @ linalg.solve_triangular(lower, left, lower=True, trans="T"))

    def _solved(self, slope: float, drift: float) -> tuple[Floats, Floats]:
        """The lower factor (n, n) of the whitened heights' covariance, and the heights divided by it, (n,)."""
        cells = self.errors
        u = cells.y - slope * cells.octaves
        away = np.abs(u[:, None] - u) * (np.sqrt(3) / (self.length * cells.spacing))
        alike = (1 + away) * np.exp(-away)
        if drift:
            alike *= 1 + drift**2 * np.multiply.outer(cells.x, cells.x)
        covariance = self.amplitude * cells.variance * (cells.whitening @ alike @ cells.whitening.T)
        covariance[np.diag_indices_from(covariance)] += 1
        lower = linalg.cholesky(covariance, lower=True, overwrite_a=True, check_finite=False)
        return lower, linalg.solve_triangular(lower, cells.heights, lower=True, check_finite=False)


def _spacing(rows: Rows) -> float:
    """The usual distance of neighbouring cells of a row, octaves."""
    return float(np.median(np.concatenate([np.diff(rows.y[own]) for own in rows.cells_of_each])))


def _ends(slopes: Floats, logs: Floats, least: float) -> tuple[float, float]:
    """Where log-likelihoods (n,) cross a value on their way out, between the slopes tried."""
    kept = np.flatnonzero(logs >= least)
    first, last = int(kept[0]), int(kept[-1])
    ends = [float(slopes[first]), float(slopes[last])]
    for number, (inner, outer) in enumerate(((first, first - 1), (last, last + 1))):
        if 0 <= outer < len(slopes):
            share = (logs[inner] - least) / (logs[inner] - logs[outer])
            ends[number] += float(share * (slopes[outer] - slopes[inner]))
    return ends[0], ends[1]
