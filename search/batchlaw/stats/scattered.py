"""The ridge of scores that lie scattered over both factors, as those of a search do, by a Gaussian process."""

import warnings

import numpy as np

from batchlaw.stats.optimum import EDGE_SHARE, WIDEST_OCTAVES, Ridge, Status
from batchlaw.stats.surface import Floats

FEWEST_POINTS = 12  # of all, for three hyperparameters
_FEWEST_A_LEVEL = 3  # and over an octave, for an optimum between them
_MOST_POINTS = 200  # the best of each level: a Gaussian process takes time with the cube of them
_STEPS_AN_OCTAVE = 5
_DRAWS = 400


def scattered_ridge(
    given: Floats, tuned: Floats, scores: Floats, generator: np.random.Generator, *, alpha: float = 0.05
) -> Ridge | None:
    """The best tuned level at each given level, from draws of a process fitted to the ranks of the scores.

    A search goes where scores are good, so its points are no design: what comes out is a guide, and decides no claim.
    The optimum of each draw within the tuned levels tried there makes the resampled ones; a level whose draws lie at
    an end more often than the gate allows is censored, or undecided where that is so at both ends.

    Args:
        given: (n,), such as batch sizes.
        tuned: (n,), such as learning rates.
        scores: (n,), higher is better.
        generator: of the draws.
        alpha: one less the confidence of the intervals.

    Returns:
        None where too few points lie at enough levels.
    """
    from scipy import stats  # a third of a second to import

    x, y = np.log2(given), np.log2(tuned)
    levels = np.array([v for v in np.unique(x) if (x == v).sum() >= _FEWEST_A_LEVEL and np.ptp(y[x == v]) >= 1])
    best_first = np.argsort(-scores, kind="stable")
    places = {v: np.cumsum(x[best_first] == v) for v in levels}
    most = max(_MOST_POINTS // max(len(levels), 1), _FEWEST_A_LEVEL)
    kept = np.array([i for place, i in enumerate(best_first) if x[i] in places and places[x[i]][place] <= most], int)
    if len(levels) < 2 or len(kept) < FEWEST_POINTS or np.ptp(scores[kept]) == 0:
        return None
    x, y = x[kept], y[kept]
    ranks = stats.norm.ppf((stats.rankdata(scores[kept]) - 0.5) / len(kept))  # so that no cliff sets the length scale
    grids = {v: _grid(y[x == v]) for v in levels}
    places_2d = np.concatenate([np.stack([np.full_like(grid, v), grid], axis=1) for v, grid in grids.items()])
    mean, draws = _posterior(np.stack([x, y], axis=1), ranks, places_2d, generator)
    ends = np.cumsum([len(grid) for grid in grids.values()])
    columns = []
    for (_, grid), start, stop in zip(grids.items(), [0, *ends], ends, strict=False):
        optima = grid[draws[:, start:stop].argmax(axis=1)]
        columns.append(_level(grid, grid[mean[start:stop].argmax()], optima, alpha))
    best, error, low, high, status, resampled = zip(*columns, strict=True)
    return Ridge(
        given=2**levels,
        tuned=2 ** _grid(y),
        status=status,
        best=np.array(best),
        standard_error=np.array(error),
        low=np.array(low),
        high=np.array(high),
        exact=np.ones(len(levels), dtype=bool),
        resampled=np.stack(resampled, axis=1),
        degrees_of_freedom=len(kept) - 3,
    )


def _grid(y: Floats) -> Floats:
    return np.linspace(y.min(), y.max(), round(np.ptp(y) * _STEPS_AN_OCTAVE) + 1)


def _level(
    grid: Floats, best: float, optima: Floats, alpha: float
) -> tuple[float, float, float, float, Status, Floats]:
    at_low, at_high = (np.mean(optima == end) >= EDGE_SHARE for end in (grid[0], grid[-1]))
    low, high = np.quantile(optima, (alpha / 2, 1 - alpha / 2))
    status: Status = "identified"
    if (at_low and at_high) or high - low >= WIDEST_OCTAVES:
        status = "undecided"
    elif at_low or at_high:
        status = "left_censored" if at_low else "right_censored"
    step = grid[1] - grid[0]  # below which an optimum on the grid is not known
    return float(best), float(np.hypot(optima.std(), step / 12**0.5)), float(low), float(high), status, optima


def _posterior(points: Floats, values: Floats, places: Floats, generator: np.random.Generator) -> tuple[Floats, Floats]:
    """Mean (n_places,) and draws (n_draws, n_places) of the process; scales in octaves."""
    from sklearn.exceptions import ConvergenceWarning  # half a second, which the law of a claim does without
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

    kernel = ConstantKernel(1.0, (1e-2, 1e2)) * RBF((3.0, 2.0), (0.5, 20.0)) + WhiteKernel(0.3, (1e-3, 2.0))
    process = GaussianProcessRegressor(kernel, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a length scale at its bound is an answer here
        process.fit(points, values)
    mean, covariance = process.predict(places, return_cov=True)
    white = float(process.kernel_.k2.noise_level)  # part of a score, not of the curve
    covariance = covariance + (1e-6 - white) * np.eye(len(places))
    values_, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.maximum(values_, 0.0))
    return mean, mean + generator.normal(size=(_DRAWS, len(places))) @ root.T
