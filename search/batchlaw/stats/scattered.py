"""Single runs over learning rate and batch size, in any arrangement, and the scale on which they are compared."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from batchlaw.stats.surface import Bools, Floats

Factor = Literal["batch_size", "lr"]
SAME_RATE = 0.02  # rates that agree to this are one level: a sweep writes .00391 and .00390625
_BEST_SHARE = 0.1  # of a block's scores: the best of them are where its heights begin
_MOST = 8.0  # height of the worst run, in units of κ; a finite score of a run that diverged lies far above


@dataclass(frozen=True, eq=False)
class Scattered:
    """Runs whose learning rates and batch sizes lie on a grid with holes, or anywhere.

    Runs of different blocks differ in something else, such as the number of parameters or the architecture. Each block
    has a level of its own, so that only differences within blocks count.
    """

    lr: Floats  # (n_runs,) positive
    batch_size: Floats  # (n_runs,) positive
    scores: Floats  # (n_runs,) higher is better; NaN: missing; of a run that diverged it is not used
    diverged: Bools  # (n_runs,)
    block: NDArray[np.intp]  # (n_runs,)

    def __post_init__(self) -> None:
        n = len(self.lr)
        assert all(len(part) == n for part in (self.batch_size, self.scores, self.diverged, self.block))
        assert n == 0 or (self.lr.min() > 0 and self.batch_size.min() > 0)
        assert not np.isinf(self.scores[~self.diverged]).any()

    def at(self, rows: Bools) -> "Scattered":
        """Some of the runs, (n_runs,)."""
        return Scattered(
            self.lr[rows], self.batch_size[rows], self.scores[rows], self.diverged[rows], self.block[rows]
        )  # fmt: skip

    @property
    def told(self) -> "Scattered":
        """The runs that have a score, or diverged."""
        return self.at(self.diverged | np.isfinite(self.scores))


@dataclass(frozen=True, eq=False)
class Heights:
    """Runs by how far they are above the best of their block, on a scale on which walls are low: asinh(height/κ)."""

    x: Floats  # (n_runs,) log₂ of the learning rate; rates that agree to 2 % are one
    y: Floats  # (n_runs,) log₂ of the batch size
    heights: Floats  # (n_runs,) above the block's best runs, in units of scores; bad runs are as high as one another
    full: Floats  # (n_runs,) the same without that bound; a run that diverged has the worst height seen
    block: NDArray[np.intp]  # (n_runs,) from 0
    diverged: Bools  # (n_runs,)
    unit: float  # κ: below it the scale is linear

    @classmethod
    def of(cls, runs: Scattered) -> "Heights":
        """The heights of runs that have a score, or diverged; some did not diverge, and not all scores are one."""
        stable = ~runs.diverged
        _, block = np.unique(runs.block, return_inverse=True)
        losses = np.where(stable, -runs.scores, np.nan)
        heights = np.full(len(losses), np.inf)
        for number in range(block.max() + 1):
            own = np.flatnonzero((block == number) & stable)
            if len(own):
                lowest = np.sort(losses[own])[: max(round(_BEST_SHARE * len(own)), 1)]
                heights[own] = losses[own] - lowest.mean()
        unit = float(np.median(heights[stable][heights[stable] > 0])) if (heights[stable] > 0).any() else 0.0
        unit = max(unit, np.finfo(float).tiny ** 0.25)
        full = np.minimum(heights, float(heights[stable].max()))
        # What lies above the bound says only that it is bad, as a run that diverged does.
        return cls(
            np.log2(levels(runs.lr, SAME_RATE)), np.log2(runs.batch_size), np.minimum(full, _MOST * unit), full, block,
            runs.diverged, unit,
        )  # fmt: skip

    @property
    def places(self) -> Floats:
        """Learning rate and batch size, log₂, (n_runs, 2)."""
        return np.stack([self.x, self.y], axis=1)

    @property
    def scaled(self) -> Floats:
        """The heights on the scale on which walls are low, (n_runs,)."""
        return np.arcsinh(self.heights / self.unit)

    @property
    def worst(self) -> Bools:
        """The runs of which only is known that they are bad, (n_runs,)."""
        return np.asarray(self.diverged | (self.heights >= self.heights.max()))


def levels(values: Floats, tolerance: float) -> Floats:
    """The values, of which those that agree to a tolerance are replaced by their most frequent one, (n,)."""
    distinct, index, counts = np.unique(values, return_inverse=True, return_counts=True)
    found, start = distinct.copy(), 0
    for stop in range(1, len(distinct) + 1):
        if stop == len(distinct) or distinct[stop] > distinct[start] * (1 + tolerance):
            found[start:stop] = distinct[start + int(counts[start:stop].argmax())]
            start = stop
    return np.asarray(found[index])
