"""How the best batch size moves with the horizon and the size, by the optima of groups of runs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from batchlaw.stats.forecast import Group, degrees_of_freedom
from batchlaw.stats.kinked_law import OF_AXES
from batchlaw.stats.predicted import Predicted
from batchlaw.stats.surface import Floats
from batchlaw.stats.valleys import Valleys

_BATCH_ERRORS = (0.05, 0.1, 0.2, 0.4, 0.8)  # octaves, of a group's best batch size
_OF_SIZE = 0.5  # deviation beforehand of the exponent on a size, which others see near 0 (arXiv 2410.21676, 2503.04715)
_FEWEST_ROWS = 4  # of a group, for its best batch size
_SKEW = 0.2  # cubic term over bend, an octave: its deviation beforehand (assumption)
_ROUNDS = 3  # of noise and curve in turn
_REACH = 0.5  # octaves beyond those tried at which the best batch size of a group may lie


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
        return Predicted.of(weights, means[:, None], variances[:, None])


def batch_forecast(groups: Sequence[Group], *, of_size: bool = False) -> BatchForecast | None:
    """The law of the best batch size; None where it lies among those tried in fewer than three groups.

    That of a group is the bottom of a cubic through the bottoms of its rows (Hoffer 2017 and others see a valley in
    log B at a fixed budget). The valley may be steeper on one side, with a cubic term that is small beforehand beside
    the bend: a parabola over small batch sizes as well is pulled towards them.

    Args:
        groups: any number.
        of_size: whether the last axis is the size of a model.
    """
    found = [(group.at, each) for group in groups if (each := best_batch_size(group.optima)) is not None]
    n_axes = len(groups[0].at)
    if len(found) < 3:
        return None
    design = np.array([[1.0, *at] for at, _ in found])
    best, errors = np.array([each for _, each in found]).T
    prior = np.diag([1e-4, *[1 / OF_AXES**2] * n_axes])
    if of_size:
        prior[-1, -1] = 1 / _OF_SIZE**2
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
    return BatchForecast(len(found), degrees_of_freedom(len(found), n_axes), parts)


def best_batch_size(optima: Valleys) -> tuple[float, float] | None:
    """log₂ of the best batch size of a group, and its standard error."""
    near = optima.lowest <= optima.lowest.min() + optima.height
    x, y = optima.batch_size[near], optima.lowest[near]
    if len(x) < _FEWEST_ROWS:
        return None
    middle = x.mean()
    bend, *_ = np.polyfit(x - middle, y, 2)
    if bend <= 0:
        return None
    design = np.vander(x - middle, 4, increasing=True)
    noise = _noise(y - np.polyval(np.polyfit(x - middle, y, 2), x - middle), 3, optima)
    for _ in range(_ROUNDS):
        covariance = np.linalg.inv(design.T @ design + np.diag([0, 0, 0, (noise / (_SKEW * bend)) ** 2]))
        parameters = covariance @ (design.T @ y)
        noise = _noise(y - design @ parameters, float(np.trace(covariance @ design.T @ design)), optima)
    _, slope, curve, cubic = parameters
    inside = curve**2 - 3 * cubic * slope
    if inside <= 0:
        return None
    bottom = -slope / (curve + np.sqrt(inside))
    gradient = -np.array([0, 1, 2 * bottom, 3 * bottom**2]) / (2 * curve + 6 * cubic * bottom)
    error = noise * float(np.sqrt(gradient @ covariance @ gradient))
    place = float(middle + bottom)
    if not optima.batch_size.min() - _REACH <= place <= optima.batch_size.max() + _REACH:
        return None
    return place, error


def _noise(left: Floats, n_parameters: float, optima: Valleys) -> float:
    """Of the bottom of a row, by what a curve leaves. A bottom is known better than a run."""
    return float(np.sqrt(max((left**2).sum() / max(len(left) - n_parameters, 1), (optima.noise / 2) ** 2)))
