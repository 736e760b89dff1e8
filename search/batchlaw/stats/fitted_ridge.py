"""The ridge of draws of a fitted surface, where the given factor has no levels of its own."""

from collections.abc import Callable

import numpy as np

from batchlaw.stats.levels import NO_EDGES, WIDEST_OCTAVES, Status
from batchlaw.stats.optimum import Ridge
from batchlaw.stats.surface import Bools, Floats

_MOST_LEVELS, _LEVEL_SPACING = 10, 0.5  # octaves at least from one given level to the next
_NEAR = 0.75  # octaves of the given factor: runs within say how far the tuned one was tried
_FEWEST_NEAR = 3
_STEPS_AN_OCTAVE = 6
_DRAWS = 400
_EDGE_SHARE = 0.05  # an end is excluded if fewer draws than this share have their best place there

Draw = Callable[[Floats, int, np.random.Generator], Floats]


def drawn_ridge(
    given: Floats, tuned: Floats, diverged: Bools, draw: Draw, generator: np.random.Generator, *, alpha: float,
    degrees_of_freedom: float,
) -> Ridge:  # fmt: skip
    """The optimum at some given levels, by draws of a surface.

    The levels are spaced evenly over the middle nine tenths of the runs. At each the tuned factor is sought as far as
    runs near by have tried it.

    Args:
        given: (n_runs,) log₂.
        tuned: (n_runs,) log₂.
        diverged: (n_runs,)
        draw: surfaces at places (n, 2) of the given and the tuned factor: scores (size, n).
        generator: of the draws.
        alpha: 1 minus the confidence of the sets.
        degrees_of_freedom: of the noise.
    """
    levels, grids = _levels(given, tuned)
    places = np.concatenate(
        [np.stack([np.full_like(grid, v), grid], axis=1) for v, grid in zip(levels, grids, strict=True)]
    )
    drawn = draw(places, _DRAWS, generator)
    ends = np.cumsum([len(grid) for grid in grids])
    resampled = [
        grid[drawn[:, start:stop].argmax(axis=1)] for grid, start, stop in zip(grids, [0, *ends], ends, strict=False)
    ]
    found = [_level(grid, optima, alpha) for grid, optima in zip(grids, resampled, strict=True)]
    best, error, low, high, status, closed = zip(*found, strict=True)
    return Ridge(
        given=2**levels, tuned=2 ** np.unique(tuned), status=status, best=np.array(best),
        standard_error=np.array(error), low=np.array(low), high=np.array(high),
        exact=np.ones(len(levels), dtype=bool), resampled=np.stack(resampled, axis=1),
        degrees_of_freedom=max(int(degrees_of_freedom), 1), closed=np.array(closed),
        edges=np.array([_edges(v, given, tuned, diverged) for v in levels]),
    )  # fmt: skip


def _levels(given: Floats, tuned: Floats) -> tuple[Floats, list[Floats]]:
    first, last = np.quantile(given, [0.05, 0.95])
    n = int(np.clip(round((last - first) / _LEVEL_SPACING) + 1, 2, _MOST_LEVELS))
    levels, grids = [], []
    for level in np.linspace(first, last, n):
        near = tuned[np.abs(given - level) <= _NEAR]
        if len(near) >= _FEWEST_NEAR and np.ptp(near) > 0:
            levels.append(level)
            grids.append(np.linspace(near.min(), near.max(), max(round(np.ptp(near) * _STEPS_AN_OCTAVE), 1) + 1))
    return np.array(levels), grids


def _level(grid: Floats, optima: Floats, alpha: float) -> tuple[float, float, float, float, Status, bool]:
    at_low, at_high = (float(np.mean(optima == end)) >= _EDGE_SHARE for end in (grid[0], grid[-1]))
    step = float(grid[1] - grid[0])
    low, high = np.quantile(optima, (alpha / 2, 1 - alpha / 2)) + np.array([-step, step]) / 2
    low, high = max(float(low), float(grid[0])), min(float(high), float(grid[-1]))
    status: Status = "identified"
    if (at_low and at_high) or high - low >= WIDEST_OCTAVES:
        status = "undecided"
    elif at_low or at_high:
        status = "left_censored" if at_low else "right_censored"
    error = float(np.hypot(optima.std(), step / 12**0.5))  # an optimum on the grid is rounded
    return float(np.median(optima)), error, low, high, status, not (at_low or at_high)


def _edges(level: float, given: Floats, tuned: Floats, diverged: Bools) -> tuple[tuple[float, float], ...]:
    """As `Ridge.edges`, from the runs near a given level."""
    near = np.abs(given - level) <= _NEAR
    stable, lost = tuned[near & ~diverged], tuned[near & diverged]
    if not len(stable) or not len(lost):
        return NO_EDGES
    last, first = float(stable.max()), float(stable.min())
    beyond, below = lost[lost > last], lost[lost < first]
    return (
        (first, float(below.max())) if len(below) else NO_EDGES[0],
        (last, float(beyond.min())) if len(beyond) else NO_EDGES[1],
    )
