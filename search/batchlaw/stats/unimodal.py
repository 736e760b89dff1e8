"""What it says about a minimum that a curve falls before it and rises after it, and nothing else about its form."""

from functools import lru_cache

import numpy as np

from batchlaw.stats.surface import Floats

_SIMULATED = 20_000


def bounds(places: Floats, losses: Floats, covariance: Floats, degrees_of_freedom: float, alpha: float) -> Floats:
    """A confidence set for the place of the minimum of one curve: from the first cell above an earlier one, backwards.

    Where the curve rises from one cell to a later one, its minimum lies before the later one; and the other way round.
    Each end is wrong with a probability of alpha/2 at most: the critical value is that of the largest of all
    differences between the cells of a flat curve.

    Args:
        places: (n,) ascending.
        losses: (n,) lower is better.
        covariance: (n, n) of the errors of the losses.
        degrees_of_freedom: of the variances.
        alpha: 1 minus the confidence.

    Returns:
        (2,): -inf and inf where the set is open.
    """
    if len(places) < 2:
        return np.array([-np.inf, np.inf])
    variances = np.diag(covariance)
    error = np.sqrt(np.maximum(variances[:, None] + variances[None] - 2 * covariance, np.finfo(float).tiny))
    rises = (losses[None] - losses[:, None]) / error > _critical(len(places), round(degrees_of_freedom), alpha / 2)
    past, before = np.any(np.triu(rises, 1), axis=0), np.any(np.tril(rises, -1), axis=0)
    return np.array([
        places[np.flatnonzero(before)[-1]] if before.any() else -np.inf,
        places[np.flatnonzero(past)[0]] if past.any() else np.inf,
    ])  # fmt: skip


@lru_cache(maxsize=1000)
def _critical(n: int, degrees_of_freedom: int, alpha: float) -> float:
    """The quantile of the largest studentized difference of n cells of a flat curve, from one to a later one."""
    generator = np.random.default_rng(0)
    errors = generator.normal(size=(n, _SIMULATED))
    variances = generator.chisquare(degrees_of_freedom, size=(n, _SIMULATED)) / degrees_of_freedom
    largest = np.full(_SIMULATED, -np.inf)
    for later in range(1, n):
        steps = (errors[later] - errors[:later]) / np.sqrt(variances[later] + variances[:later])
        largest = np.maximum(largest, steps.max(axis=0))
    return float(np.quantile(largest, 1 - alpha))


def misfits(values: list[float], weights: list[float]) -> tuple[list[float], list[float]]:
    """The weighted squared errors of the falling fits to the first 0, 1, …, n values, and of the rising to the others.

    A curve that falls up to the k-th value and rises from there on misses them by the sum of both at k.

    Args:
        values: n, in the order of their places.
        weights: n, positive.
    """
    rising = _falling(values[::-1], weights[::-1])[1]
    return _falling(values, weights)[1], rising[::-1]


def fitted(values: list[float], weights: list[float], turn: int) -> Floats:
    """The values (n,) of the closest curve that falls over the first `turn` values and rises over the others."""
    falling = _falling(values[:turn], weights[:turn])[0]
    return np.array(falling + _falling(values[turn:][::-1], weights[turn:][::-1])[0][::-1])


def _falling(values: list[float], weights: list[float]) -> tuple[list[float], list[float]]:
    """The closest falling values (n), and the squared errors of the fits to the first 0, …, n values (n + 1).

    Neighbours that rise are pooled (Ayer et al. 1955, doi:10.1214/aoms/1177728423).
    """
    blocks: list[tuple[float, float, int, float]] = []  # weight, mean, length, and the squared error within
    errors = [0.0]  # after each value
    total = 0.0
    for value, weight in zip(values, weights, strict=True):
        mean, length, within = value, 1, 0.0
        while blocks and blocks[-1][1] < mean:
            other, others_mean, others_length, others_within = blocks.pop()
            both = weight + other
            total -= others_within
            within += others_within + weight * other / both * (mean - others_mean) ** 2
            mean = (weight * mean + other * others_mean) / both
            weight, length = both, length + others_length
        blocks.append((weight, mean, length, within))
        total += within
        errors.append(total)
    return [mean for _, mean, length, _ in blocks for _ in range(length)], errors
