"""What it says about a minimum that a curve falls before it and rises after it, and nothing else about its form."""

import math
from functools import lru_cache

import numpy as np
from scipy import optimize, special

from batchlaw.stats.surface import Floats

_SIMULATED = 32_000  # cells, in flat curves
_TWO_TURNS_P = 0.001  # a curve with a misfit of a smaller p-value has several turns


def bounds(places: Floats, losses: Floats, variances: Floats, degrees_of_freedom: float, alpha: float) -> Floats:
    """A confidence set for the place of the minimum of one curve that falls and then rises.

    It has every turning point with which such a curve misses the losses by not much more than the closest one does.
    How much that may be is known for a curve that is flat, with which it is most, and for each turning point by itself.

    Args:
        places: (n,) ascending.
        losses: (n,) lower is better.
        variances: (n,) of the losses, whose errors are independent but for what all have in common.
        degrees_of_freedom: of the variances.
        alpha: 1 minus the confidence.

    Returns:
        (2,): -inf and inf where the set is open, as it is where the curve must have several turns.
    """
    falling, rising = misfits(losses.tolist(), (1 / variances).tolist())
    missed = np.add(falling, rising)
    if special.chdtrc(len(places), missed.min()) < _TWO_TURNS_P:
        return np.array([-np.inf, np.inf])
    kept = np.flatnonzero(missed - missed.min() <= _critical(len(places), round(degrees_of_freedom), alpha))
    # A curve of which k cells are on the falling side turns between the k-th and the next one.
    return np.concatenate([[-np.inf], places, [np.inf]])[[kept[0], kept[-1] + 1]]


@lru_cache(maxsize=1000)
def _critical(n: int, degrees_of_freedom: int, alpha: float) -> Floats:
    """By how much each turning point of a flat curve misses n cells more than the closest, (n + 1,): a quantile."""
    return np.asarray(np.quantile(_simulated(n, degrees_of_freedom), 1 - alpha, axis=0))


@lru_cache(maxsize=100)
def _simulated(n: int, degrees_of_freedom: int) -> Floats:
    """By how much each turning point of a flat curve misses n cells more than the closest one, (n_curves, n + 1)."""
    generator, size = np.random.default_rng(0), (_SIMULATED // n, n)
    values = generator.normal(size=size)
    weights = degrees_of_freedom / generator.chisquare(degrees_of_freedom, size=size)
    missed = np.array([np.add(*misfits(*curve)) for curve in zip(values.tolist(), weights.tolist(), strict=True)])
    missed -= missed.min(axis=1, keepdims=True)
    return np.concatenate([missed, missed[:, ::-1]])  # as likely, so that a mirrored curve has the mirrored set


def misfits(values: list[float], weights: list[float], most: float = math.inf) -> tuple[list[float], list[float]]:
    """The weighted squared errors of the falling fits to the first 0, 1, …, n values, and of the rising to the others.

    A curve that falls up to the k-th value and rises from there on misses them by the sum of both at k.

    Args:
        values: n, in the order of their places.
        weights: n, positive.
        most: errors above it may be given as infinite, since they only grow with the number of values.
    """
    rising = _falling(values[::-1], weights[::-1], most)
    return _falling(values, weights, most), rising[::-1]


def fitted(values: Floats, weights: Floats, turn: int) -> Floats:
    """The values (n,) of the closest curve that falls over the first `turn` values and rises over the others."""
    falling = optimize.isotonic_regression(values[:turn], weights=weights[:turn], increasing=False).x if turn else []
    rising = optimize.isotonic_regression(values[turn:], weights=weights[turn:]).x if turn < len(values) else []
    return np.concatenate([falling, rising])


def _falling(values: list[float], weights: list[float], most: float) -> list[float]:
    """The squared errors of the closest falling fits to the first 0, …, n values, n + 1.

    Neighbours that rise are pooled (Ayer et al. 1955, doi:10.1214/aoms/1177728423).
    """
    blocks: list[tuple[float, float, float]] = []  # weight, mean, and the squared error within
    errors = [0.0]  # after each value
    total = 0.0
    for value, weight in zip(values, weights, strict=True):
        mean, within = value, 0.0
        while blocks and blocks[-1][1] < mean:
            other, others_mean, others_within = blocks.pop()
            both = weight + other
            total -= others_within
            within += others_within + weight * other / both * (mean - others_mean) ** 2
            mean = (weight * mean + other * others_mean) / both
            weight = both
        blocks.append((weight, mean, within))
        total += within
        errors.append(total)
        if total > most:
            return errors + [math.inf] * (len(values) + 1 - len(errors))
    return errors
