"""Where the best learning rates that were tried go with the batch size, read off a grid."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from batchlaw.claims.arrangement import Arrangement
from batchlaw.claims.bests import Best

_FEWEST, _MOSTLY = 3, 0.75  # bests inside those tried, and their share; of a single rate, too
_FEWEST_OF_A_LINE, _OCTAVES = 4, 2.0  # bests inside, and the batch sizes that they span
_WIDEST = 2.0  # between the slopes that are allowed, for one to tell something (assumption)


def course(parts: Sequence[tuple[Arrangement, Sequence[Best]]]) -> list[str]:
    """Sentences on the best rates that lie inside those tried, where most do.

    A line through them has no interval of confidence. But if each optimum lies between the neighbours of the best rate
    tried, as it does where scores have no noise and fall towards it from both sides, the line has no slope beyond those
    that pass between these neighbours.

    Args:
        parts: runs that differ in nothing else, each with the best rate tried at its batch sizes.
    """
    swept = [(tried, best) for tried, bests in parts for best in bests if best.best is not None and best.n_tried > 1]
    inside = [(tried, best, best.best) for tried, best in swept if best.edge is None and best.best is not None]
    if len(inside) < max(_FEWEST, _MOSTLY * len(swept)):
        return []
    told: list[str] = []
    rates, counts = np.unique([rate for _, _, rate in inside], return_counts=True)
    if counts.max() >= _MOSTLY * len(swept):
        told.append(
            f"the best rate tried is {rates[counts.argmax()]:.4g} at {counts.max()} of {len(swept)} batch sizes"
        )
    x = np.log2([best.value for _, best, _ in inside])
    y = np.log2([rate for _, _, rate in inside])
    part = np.unique([id(tried) for tried, _, _ in inside], return_inverse=True)[1]
    means = [np.bincount(part, axis) / np.bincount(part) for axis in (x, y)]
    off = [axis - mean[part] for axis, mean in zip((x, y), means, strict=True)]
    if len(x) < _FEWEST_OF_A_LINE or np.ptp(off[0]) < _OCTAVES:
        return told
    slope = float((off[0] @ off[1]) / (off[0] @ off[0]))
    ends = np.log2([_neighbours(tried, best.value, rate) for tried, best, rate in inside])
    lowest, highest = -np.inf, np.inf
    for one, other in combinations(range(len(x)), 2):
        if part[one] == part[other] and x[one] != x[other]:
            first, last = (one, other) if x[one] < x[other] else (other, one)
            reach = x[last] - x[first]
            lowest = max(lowest, (ends[last, 0] - ends[first, 1]) / reach)
            highest = min(highest, (ends[last, 1] - ends[first, 0]) / reach)
    line = f"a line through the best rates tried goes as B^{slope:.2f}"
    if highest - lowest > _WIDEST:
        return [*told, "the rates tried lie too far apart to see how the best one moves with the batch size"]
    if lowest > highest:
        return [*told, f"{line}, but for noise no line passes between the neighbours of all"]
    return [
        *told,
        f"{line}; between their neighbours pass lines from B^{lowest:.2f} to B^{highest:.2f}, which is no test",
    ]


def _neighbours(tried: Arrangement, size: float, rate: float) -> tuple[float, float]:
    """The rates tried at a batch size next below and above one that lies inside."""
    levels = tried.levels_at("batch_size", size)
    at = int(np.searchsorted(levels, rate))
    return float(levels[at - 1]), float(levels[at + 1])
