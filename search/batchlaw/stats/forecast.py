"""How the best learning rate and the best batch size move with the horizon and the size, and what follows for others.

A group has the runs of one horizon and one size. Over the optima of all groups, in log₂, with B the batch size, D the
axes (horizon, size) and b_k the place of a kink:

    log ε_opt = e₀ + Σ e_i D_i - (s / p) · log₂(1 + 2^{p (b_k - log B)}),    b_k = k₀ + Σ k_i D_i,    p = 3

The best rate rises as B^s below a critical batch size B_k, which moves with the axes, and is flat above it (as seen on
the runs of arXiv 2503.04715; B_k grows with the horizon in arXiv 2410.21676). Each group is off the law by an offset
and a slope of its own, each row by an error of its own beside that of its optimum. Their deviations are averaged over a
few values, weighted by the marginal likelihood (Laplace's approximation) and by what is usual, so that an interval is
one of a prediction for a new group. Its quantiles are Student's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy import linalg, optimize, stats

from batchlaw.stats.surface import Floats
from batchlaw.stats.valleys import Shape, Valleys

_SHARPNESS = 3.0  # p
_OFFSETS, _ROWS, _SLOPES = (0.04, 0.12, 0.36), (0.03, 0.08, 0.2), (0.0, 0.05, 0.12)  # octaves; octaves an octave
_USUAL_OFFSET, _USUAL_ROW = 0.1, 0.08  # octaves, beforehand within a factor of e (assumption)
_RISE = (0.75, 0.35)  # s beforehand: from √B, as for Adam (Malladi 2022), to B, as for SGD
_OF_AXES, _OF_KINK, _KINK = 1.0, 0.6, 3.0  # deviations beforehand of e_i, of k_i, and of k₀ from the middle of log B
_KNOWN_BEFOREHAND = 3  # groups that this counts as; set by simulation (`tests/benchmarks/plan_forecasts.py`)
_NEGLIGIBLE = 0.01  # weight
_BATCH_ERRORS = (0.05, 0.1, 0.2, 0.4, 0.8)  # octaves, of a group's best batch size
_FEWEST_ROWS = 4  # of a group, for its best batch size
_REACH = 0.5  # octaves beyond those tried at which the best batch size of a group may lie


@dataclass(frozen=True, eq=False)
class Group:
    """The optima of the runs of one horizon and one size."""

    at: Floats  # (n_axes,) log₂, less the middle of all groups
    optima: Valleys


@dataclass(frozen=True)
class Predicted:
    """Predictions in log₂, with their standard deviations, (n,) each."""

    mean: Floats
    deviation: Floats
    degrees_of_freedom: int

    def interval(self, alpha: float) -> tuple[Floats, Floats]:
        """The ends of the prediction intervals."""
        reach = float(stats.t.ppf(1 - alpha / 2, self.degrees_of_freedom)) * self.deviation
        return self.mean - reach, self.mean + reach


@dataclass(frozen=True, eq=False)
class _Solution:
    """The law at one choice of the deviations."""

    parameters: Floats
    covariance: Floats
    offset: float
    row: float
    slope: float
    log_evidence: float


@dataclass(frozen=True, eq=False)
class Forecast:
    """The law over groups, as an average over the deviations between them."""

    groups: tuple[Group, ...]
    middle: float  # log₂ of the batch size where the kink is expected beforehand, and about which groups are tilted
    solutions: tuple[_Solution, ...]
    weights: Floats  # (n_solutions,)

    @property
    def n_axes(self) -> int:
        """How many of horizon and size differ."""
        return len(self.groups[0].at)

    @property
    def degrees_of_freedom(self) -> int:
        """Groups that the axes leave, and what is known of the deviations beforehand."""
        return _freedom(len(self.groups), self.n_axes)

    @property
    def parameters(self) -> dict[str, tuple[float, float]]:
        """The law's exponents with their standard deviations: of the axes, of the kink, and of the rise below it."""
        found = [each.parameters for each in self.solutions]
        mean = self.weights @ np.array(found)
        variance = self.weights @ np.array([np.diag(each.covariance) for each in self.solutions])
        variance = variance + self.weights @ (np.array(found) - mean) ** 2
        axes = range(self.n_axes)
        names = ["level", *(f"axis {i}" for i in axes), "kink", *(f"kink {i}" for i in axes), "rise"]
        return dict(zip(names, zip(mean.tolist(), np.sqrt(variance).tolist(), strict=True), strict=True))

    def rate(self, at: Floats, batch_size: Floats) -> Predicted:
        """The best rate in a group that was not seen.

        Args:
            at: (n_axes,) as `Group.at`.
            batch_size: (n,) log₂.
        """
        means, variances = [], []
        for each in self.solutions:
            mean, slopes = _law(each.parameters, np.tile(at, (len(batch_size), 1)), batch_size)
            of_law = np.einsum("ij,jk,ik->i", slopes, each.covariance, slopes)
            own = each.offset**2 + each.row**2 + (each.slope * (batch_size - self.middle)) ** 2
            means.append(mean)
            variances.append(of_law + own)
        mean = self.weights @ np.array(means)
        variance = self.weights @ np.array(variances) + self.weights @ (np.array(means) - mean) ** 2
        return Predicted(mean, np.sqrt(variance), self.degrees_of_freedom)

    def narrowed(self, at: Floats, batch_size: float, more: Floats, sizes: Floats) -> float:
        """The deviation of a predicted rate, had one more group been run.

        Args:
            at: (n_axes,) of the prediction.
            batch_size: log₂, of the prediction.
            more: (n_axes,) of the group.
            sizes: (n,) log₂ of the batch sizes at which its best rates would be known as well as the usual one is.
        """
        error = float(np.median(np.concatenate([np.diag(group.optima.covariance) for group in self.groups])))
        variances = []
        for each in self.solutions:
            _, rows = _law(each.parameters, np.tile(more, (len(sizes), 1)), sizes)
            _, asked = _law(each.parameters, at[None], np.array([batch_size]))
            apart = sizes - self.middle
            known = np.eye(len(sizes)) * (error + each.row**2) + each.offset**2 + each.slope**2 * np.outer(apart, apart)
            covariance = np.linalg.inv(np.linalg.inv(each.covariance) + rows.T @ np.linalg.solve(known, rows))
            own = each.offset**2 + each.row**2 + (each.slope * (batch_size - self.middle)) ** 2
            variances.append(float((asked @ covariance @ asked.T)[0, 0]) + own)
        return float(np.sqrt(self.weights @ np.array(variances)))

    def shape(self, at: Floats, batch_size: float) -> Shape:
        """The valley of a group that was not seen, at log₂ of a batch size, which is the middle of the shape."""
        shapes = [group.optima.shape for group in self.groups]
        logs = np.array([each.log_curvature for each in shapes])
        design = np.column_stack([np.ones(len(shapes)), np.array([group.at for group in self.groups])])
        ridge = np.diag([0.0, *[1.0] * self.n_axes]) * 0.1  # slopes of a few groups stay near 0
        solved = np.linalg.solve(design.T @ design + ridge, design.T @ logs)
        tilt, middle = np.mean([each.tilt for each in shapes]), np.mean([each.middle for each in shapes])
        curvature = float(solved[0] + at @ solved[1:] + tilt * (batch_size - middle))
        return Shape(curvature, float(np.mean([each.asymmetry for each in shapes])), float(tilt), batch_size)


def forecast(groups: Sequence[Group]) -> Forecast:
    """Fit the law to the optima of groups."""
    sizes = np.concatenate([group.optima.batch_size for group in groups])
    best = np.concatenate([group.optima.best for group in groups])
    at = np.concatenate([np.tile(group.at, (len(group.optima.best), 1)) for group in groups])
    middle, n_axes = float(np.median(sizes)), at.shape[1]
    prior = np.array([best.mean(), *[0.0] * n_axes, middle, *[0.0] * n_axes, _RISE[0]])
    deviation = np.array([50.0, *[_OF_AXES] * n_axes, _KINK, *[_OF_KINK] * n_axes, _RISE[1]])

    def solve(offset: float, row: float, slope: float, start: Floats) -> tuple[_Solution, float]:
        whitening, log_determinant = [], 0.0
        for group in groups:
            apart = group.optima.batch_size - middle
            covariance = group.optima.covariance + offset**2 + slope**2 * np.outer(apart, apart)
            lower = np.linalg.cholesky(covariance + np.eye(len(apart)) * row**2)
            whitening.append(lower)
            log_determinant += float(np.log(np.diag(lower)).sum())
        ends = np.cumsum([len(lower) for lower in whitening])[:-1]

        def whitened(values: Floats) -> Floats:
            parts = np.split(values, ends)
            return np.concatenate(
                [linalg.solve_triangular(w, part, lower=True) for w, part in zip(whitening, parts, strict=True)]
            )

        def residuals(parameters: Floats) -> Floats:
            return np.concatenate([whitened(_law(parameters, at, sizes)[0] - best), (parameters - prior) / deviation])

        def slopes(parameters: Floats) -> Floats:
            return np.concatenate([whitened(_law(parameters, at, sizes)[1]), np.diag(1 / deviation)])

        found = optimize.least_squares(residuals, start, jac=slopes)
        covariance = np.linalg.inv(found.jac.T @ found.jac)
        evidence = -found.cost - log_determinant + np.linalg.slogdet(covariance)[1] / 2
        evidence -= (np.log(offset / _USUAL_OFFSET) ** 2 + np.log(row / _USUAL_ROW) ** 2) / 2
        return _Solution(found.x, covariance, offset, row, slope, float(evidence)), float(found.cost)

    starts = [prior + np.eye(len(prior))[1 + n_axes] * shift for shift in (-1.5, 0.0, 1.5)]
    first = min((solve(_OFFSETS[1], _ROWS[1], _SLOPES[1], start) for start in starts), key=lambda each: each[1])[0]
    solutions = [solve(*each, first.parameters)[0] for each in product(_OFFSETS, _ROWS, _SLOPES)]
    logs = np.array([each.log_evidence for each in solutions])
    weights = np.exp(logs - logs.max())
    weights /= weights.sum()
    kept = np.flatnonzero(weights > _NEGLIGIBLE)
    return Forecast(tuple(groups), middle, tuple(solutions[k] for k in kept), weights[kept] / weights[kept].sum())


def _law(parameters: Floats, at: Floats, batch_size: Floats) -> tuple[Floats, Floats]:
    """log₂ of the best rate, (n,), and its derivatives, (n, n_parameters).

    Args:
        parameters: e₀, e_i, k₀, k_i, s.
        at: (n, n_axes)
        batch_size: (n,) log₂.
    """
    n_axes = at.shape[1]
    level, axes, kink, of_kink, rise = np.split(parameters, [1, 1 + n_axes, 2 + n_axes, 2 + 2 * n_axes])
    below = _SHARPNESS * (kink + at @ of_kink - batch_size)
    bend = np.logaddexp2(0.0, below) / _SHARPNESS
    share = 1 / (1 + 2 ** np.clip(-below, -500, 500))  # derivative of bend
    one = np.ones(len(batch_size))
    slopes = np.column_stack([one, at, -rise * share, (-rise * share)[:, None] * at, -bend])
    return level + at @ axes - rise * bend, slopes


@dataclass(frozen=True, eq=False)
class BatchForecast:
    """How the best batch size moves with the axes."""

    n_groups: int  # that have one
    degrees_of_freedom: int
    _solutions: tuple[tuple[float, Floats, Floats, float], ...]  # weight, parameters, covariance, error of a group

    @property
    def slopes(self) -> list[tuple[float, float]]:
        """The exponent on each axis with its standard deviation."""
        weights = np.array([each[0] for each in self._solutions])
        found = np.array([each[1][1:] for each in self._solutions])
        mean = weights @ found
        variance = weights @ np.array([np.diag(each[2])[1:] for each in self._solutions])
        variance = variance + weights @ (found - mean) ** 2
        return list(zip(mean.tolist(), np.sqrt(variance).tolist(), strict=True))

    def predict(self, at: Floats) -> Predicted:
        """log₂ of the best batch size of a group that was not seen, (1,)."""
        design = np.array([1.0, *at])
        means = np.array([design @ each[1] for each in self._solutions])
        weights = np.array([each[0] for each in self._solutions])
        variances = np.array([design @ each[2] @ design + each[3] ** 2 for each in self._solutions])
        mean = weights @ means
        variance = weights @ variances + weights @ (means - mean) ** 2
        return Predicted(np.array([mean]), np.array([np.sqrt(variance)]), self.degrees_of_freedom)


def batch_forecast(groups: Sequence[Group]) -> BatchForecast | None:
    """The law of the best batch size; None where it lies among those tried in fewer than three groups.

    That of a group is the vertex of a parabola through the bottoms of its rows (Hoffer 2017 and others see a valley in
    log B at a fixed budget; assumption).
    """
    found = [(group.at, each) for group in groups if (each := _best_batch_size(group.optima)) is not None]
    n_axes = len(groups[0].at)
    if len(found) < 3:
        return None
    design = np.array([[1.0, *at] for at, _ in found])
    best, errors = np.array([each for _, each in found]).T
    prior = np.diag([1e-4, *[1 / _OF_AXES**2] * n_axes])
    solutions, logs = [], []
    for error in _BATCH_ERRORS:
        variance = errors**2 + error**2
        covariance = np.linalg.inv(design.T @ (design / variance[:, None]) + prior)
        middle = float(np.average(best, weights=1 / variance))
        parameters = covariance @ (design.T @ ((best - middle) / variance))
        left = best - middle - design @ parameters
        logs.append(
            -((left**2 / variance).sum() + np.log(variance).sum() + parameters @ prior @ parameters) / 2
            + np.linalg.slogdet(covariance)[1] / 2 - np.log(error / _BATCH_ERRORS[2]) ** 2 / 2
        )  # fmt: skip
        parameters[0] += middle
        solutions.append((parameters, covariance, error))
    weights = np.exp(np.array(logs) - max(logs))
    weights /= weights.sum()
    parts = tuple((float(w), *each) for w, each in zip(weights, solutions, strict=True))
    return BatchForecast(len(found), _freedom(len(found), n_axes), parts)


def _freedom(n_groups: int, n_axes: int) -> int:
    return max(n_groups - 1 - n_axes, 1) + _KNOWN_BEFOREHAND


def _best_batch_size(optima: Valleys) -> tuple[float, float] | None:
    """log₂ of the best batch size of a group, and its standard error."""
    near = optima.lowest <= optima.lowest.min() + optima.height
    x, y = optima.batch_size[near], optima.lowest[near]
    if len(x) < _FEWEST_ROWS:
        return None
    middle = x.mean()
    (bend, slope, _), unscaled = np.polyfit(x - middle, y, 2, cov="unscaled")
    if bend <= 0:
        return None
    vertex = -slope / 2 / bend
    left = y - np.polyval(np.polyfit(x - middle, y, 2), x - middle)
    # A bottom is known better than a run; what the parabola misses counts as well.
    noise = np.sqrt(max((left**2).sum() / max(len(x) - 3, 1), (optima.noise / 2) ** 2))
    gradient = np.array([slope / 2 / bend**2, -1 / 2 / bend, 0.0])
    error = noise * float(np.sqrt(gradient @ unscaled @ gradient))
    place = float(middle + vertex)
    if not optima.batch_size.min() - _REACH <= place <= optima.batch_size.max() + _REACH:
        return None
    return place, error
