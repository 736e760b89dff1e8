"""How wide a range of one factor is nearly as good as the best, and how that width moves with another factor."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from batchlaw.stats.hyperbola import mean_above
from batchlaw.stats.slope import Slope
from batchlaw.stats.surface import Bools, Floats

TOLD_APART = 1.96 * 2**0.5  # deviations between two single runs that one run each tells apart (ISO 5725-6, 95 %)
FEWEST = 4  # widths with both ends, for a slope (assumption)
_LEAST_DEVIATION = 0.02  # octaves: no width is known better, even if all lie on one line (assumption)
_ROUNDS, _SETTLED = 500, 1e-4  # at most; octaves


@dataclass(frozen=True)
class Width:
    """The range around the best within which scores are nearly as good, log₂."""

    low: float
    high: float
    open_low: bool  # it reaches the lowest level tried, so that it is wider by an amount that is not known
    open_high: bool

    @property
    def octaves(self) -> float:
        """Its length, or the least that it is where an end is open."""
        return self.high - self.low

    @property
    def is_open(self) -> bool:
        """Whether it is only known to be at least as wide."""
        return self.open_low or self.open_high


def width_of(place: Floats, means: Floats, dead: Bools, threshold: float) -> Width | None:
    """The range around the best level within which the mean score falls short of the best by a threshold at most.

    Between the last level within the threshold and the first beyond it the end is interpolated: linearly in the inverse
    hyperbolic sine of the shortfall over the threshold, in which a bowl and a wall are both nearly straight. Where runs
    diverge at the first level beyond, nothing is known of what lies between, and the end is halfway.

    Args:
        place: (n,) log₂ of the levels, ascending.
        means: (n,) higher is better; NaN where there is no score.
        dead: (n,) a run of the level diverged.
        threshold: above 0.

    Returns:
        None where the best level has diverged runs, or none has a score.
    """
    known = ~np.isnan(means)
    place, means, dead = place[known], means[known], dead[known]
    if not len(means) or dead[best := int(means.argmax())]:
        return None
    scaled = np.arcsinh((means[best] - means) / threshold)
    beyond = (scaled > np.arcsinh(1.0)) | dead
    ends, opens = [], []
    for step in (-1, 1):
        side = np.arange(best, -1 if step < 0 else len(place), step)
        first = int(beyond[side].argmax())
        opens.append(first == 0)  # none is beyond, as the best is not
        if first == 0:
            ends.append(float(place[side[-1]]))
            continue
        inner, outer = side[first - 1], side[first]
        share = 0.5 if dead[outer] else (np.arcsinh(1.0) - scaled[inner]) / (scaled[outer] - scaled[inner])
        ends.append(float(place[inner] + share * (place[outer] - place[inner])))
    return Width(ends[0], ends[1], opens[0], opens[1])


def slope_of_widths(
    x: Floats, group: NDArray[np.intp], width: Floats, is_open: Bools, alpha: float = 0.05
) -> Slope | None:
    """The slope of widths on x, with an offset for each group: least squares, or with open widths Tobin's model (1958).

    An open width is a normal variable that is only known to be larger. The deviation about the lines is that of the
    closed ones, which the choice of seeds, the interpolation and any bend all have a part in.

    Args:
        x: (n,)
        group: (n,) numbers of groups, from 0.
        width: (n,) or the least that it is.
        is_open: (n,)
        alpha: one less the confidence of the interval.

    Returns:
        None where fewer than four widths are closed, or none of a group is, or they leave no degree of freedom.
    """
    n_groups, closed = int(group.max()) + 1, ~is_open
    freedom = int(closed.sum()) - n_groups - 1
    if closed.sum() < FEWEST or freedom < 1 or len(np.unique(group[closed])) < n_groups or not np.ptp(x[closed]):
        return None
    design = np.column_stack([x, group[:, None] == np.arange(n_groups)])
    filled, found = width.copy(), np.zeros(design.shape[1])
    for _ in range(_ROUNDS):  # expectation and maximisation (Dempster et al. 1977)
        before, found = found, np.linalg.lstsq(design, filled, rcond=None)[0]
        off = width - design @ found
        deviation = max(float(np.sqrt((off[closed] ** 2).sum() / freedom)), _LEAST_DEVIATION)
        above = mean_above(off[is_open] / deviation)
        filled[is_open] = (width - off)[is_open] + deviation * above
        if np.abs(found - before).max() < _SETTLED or closed.all():
            break
    weight = np.ones(len(x))  # Fisher's information, of an open width less than that of a closed one
    weight[is_open] = above * (above - off[is_open] / deviation)
    covariance = np.linalg.inv((design * weight[:, None]).T @ design)
    return Slope.of(float(found[0]), deviation * float(np.sqrt(covariance[0, 0])), freedom, alpha)
