"""Ridges of surfaces that a Gaussian process smooths."""

import numpy as np

from batchlaw.stats.draws import normal_draws
from batchlaw.stats.gaussian_process import Kernel, Prior, Process, normal_scores, squared_exponential
from batchlaw.stats.levels import NO_EDGES, WIDEST_OCTAVES, Status
from batchlaw.stats.optimum import Ridge
from batchlaw.stats.surface import Floats

FEWEST_POINTS = 12  # to fit three parameters of a kernel (assumption)
_FEWEST_A_LEVEL = 3  # at a given level, over an octave or more, for an optimum between them
_EDGE_SHARE = 0.05  # an end is excluded if fewer draws than this share have their best place there
_MOST_POINTS = 200  # the best of each level: the time of a fit grows with the cube of their number
_STEPS_AN_OCTAVE = 5
_DRAWS = 400
# Of the length scales of the given and of the tuned factor, octaves, and of the noise beside the surface's variance.
_PRIOR = Prior(
    middle=np.zeros(3),
    deviation=np.full(3, np.inf),
    low=np.log([0.5, 0.5, 1e-3]),
    high=np.log([20.0, 20.0, 10.0]),
    start=np.log([3.0, 2.0, 0.3]),
)


def scattered_ridge(
    given: Floats,
    tuned: Floats,
    scores: Floats,
    generator: np.random.Generator,
    *,
    diverged: tuple[Floats, Floats] | None = None,
    alpha: float = 0.05,
) -> Ridge | None:
    """The ridge of scores that lie scattered over both factors, as a search leaves them.

    A Gaussian process is fitted to the ranks of the scores, and each draw of its posterior has an optimum at each given
    level, among the tuned levels tried there. A level is censored if its draws lie at an end more often than the gate
    allows, and undecided if that holds at both ends. A search chooses its points by their scores, so this ridge is a
    guide and decides no claim. Where all points above the highest one with a score diverged, that is the level's edge.

    Args:
        given: (n,) levels, such as batch sizes.
        tuned: (n,) levels, such as learning rates.
        scores: (n,), higher is better.
        generator: of the draws.
        diverged: the given and the tuned levels (m,) of runs that diverged, which have no score.
        alpha: 1 minus the confidence of the intervals.

    Returns:
        None if too few points lie at two given levels or more.
    """
    x, y = np.log2(given), np.log2(tuned)
    points = x, y, *(np.log2(levels) for levels in diverged or (np.array([]), np.array([])))
    levels = np.array([v for v in np.unique(x) if (x == v).sum() >= _FEWEST_A_LEVEL and np.ptp(y[x == v]) >= 1])
    best_first = np.argsort(-scores, kind="stable")
    places = {v: np.cumsum(x[best_first] == v) for v in levels}
    most = max(_MOST_POINTS // max(len(levels), 1), _FEWEST_A_LEVEL)
    kept = np.array([i for place, i in enumerate(best_first) if x[i] in places and places[x[i]][place] <= most], int)
    if len(levels) < 2 or len(kept) < FEWEST_POINTS or np.ptp(scores[kept]) == 0:
        return None
    x, y = x[kept], y[kept]
    grids = {v: _grid(y[x == v], _STEPS_AN_OCTAVE) for v in levels}
    places_2d = np.concatenate([np.stack([np.full_like(grid, v), grid], axis=1) for v, grid in grids.items()])
    mean, covariance = _process_of(np.stack([x, y], axis=1), normal_scores(scores[kept])).posterior(places_2d)
    draws = normal_draws(mean, covariance, _DRAWS, generator)
    ends = np.cumsum([len(grid) for grid in grids.values()])
    columns = []
    for (_, grid), start, stop in zip(grids.items(), [0, *ends], ends, strict=False):
        optima = grid[draws[:, start:stop].argmax(axis=1)]
        columns.append(_level(grid, grid[mean[start:stop].argmax()], optima, alpha))
    best, error, low, high, status, resampled = zip(*columns, strict=True)
    return Ridge(
        given=2**levels,
        tuned=2 ** _grid(y, _STEPS_AN_OCTAVE),
        status=status,
        best=np.array(best),
        standard_error=np.array(error),
        low=np.array(low),
        high=np.array(high),
        exact=np.ones(len(levels), dtype=bool),
        resampled=np.stack(resampled, axis=1),
        degrees_of_freedom=len(kept) - 3,
        edges=np.array([_edges(level, *points) for level in levels]),
    )


def _edges(level: float, x: Floats, y: Floats, lost_x: Floats, lost_y: Floats) -> tuple[tuple[float, float], ...]:
    """As `Ridge.edges`, of one given level: of points with a score at x, y and of those that diverged, all log₂."""
    last = float(y[x == level].max())
    beyond = lost_y[(lost_x == level) & (lost_y > last)]
    return NO_EDGES[0], (last, float(beyond.min())) if len(beyond) else NO_EDGES[1]


def _grid(y: Floats, steps_an_octave: int) -> Floats:
    return np.linspace(y.min(), y.max(), round(np.ptp(y) * steps_an_octave) + 1)


def _level(
    grid: Floats, best: float, optima: Floats, alpha: float
) -> tuple[float, float, float, float, Status, Floats]:
    at_low, at_high = (np.mean(optima == end) >= _EDGE_SHARE for end in (grid[0], grid[-1]))
    low, high = np.quantile(optima, (alpha / 2, 1 - alpha / 2))
    status: Status = "identified"
    if (at_low and at_high) or high - low >= WIDEST_OCTAVES:
        status = "undecided"
    elif at_low or at_high:
        status = "left_censored" if at_low else "right_censored"
    step = grid[1] - grid[0]  # an optimum on the grid is rounded, with an error of step/√12
    return float(best), float(np.hypot(optima.std(), step / 12**0.5)), float(low), float(high), status, optima


def _process_of(points: Floats, scores: Floats) -> Process:
    """The most likely process for scores (n,) at points (n, 2), in octaves of both factors."""
    kernel = Kernel.fitted(points, scores, np.zeros(2, dtype=bool), squared_exponential, _PRIOR, steps=100)
    return Process.of(kernel, points, scores)
