"""The cells of rows that may be copies of one curve, on a scale on which they can be compared.

Heights are above the row's best cell. asinh(height / κ) brings a wall and the plain beside it to one scale.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from batchlaw.stats.cells import Cells
from batchlaw.stats.surface import Floats

# Constants, set by simulation (`tests/benchmarks/claim_calibration.py`) and fixed before the runs that they judge.
_MODEL_ERROR = 0.04  # of the range of transformed heights: no curves are closer copies than this
_OFFSET_DEVIATION = 0.3  # of the rows' offsets a_i, in standard deviations of the transformed heights


@dataclass(frozen=True, eq=False)
class Rows:
    """The cells of rows on one scale."""

    row: NDArray[np.intp]  # (n,)
    x: Floats  # (n,) octaves from the middle given level
    y: Floats  # (n,) log₂ of the tuned level; ascending within a row
    heights: Floats  # (n,) transformed; 0 at the best cell of a row
    weights: Floats  # (n,) inverse variances of the transformed heights
    model_error: float  # the part of the variances that is not noise
    offset_weight: float  # inverse variance of an offset
    noise: float  # misfit that the noise of the cells explains, at most

    @classmethod
    def of(cls, cells: Cells, x: Floats) -> "Rows":
        """The cells of a surface, of which higher means are better.

        Args:
            cells: of the surface.
            x: (n_rows,) log₂ of the given levels.
        """
        best = np.full(len(x), -np.inf)
        np.maximum.at(best, cells.level, cells.means)
        height = best[cells.level] - cells.means
        variance = cells.own_variances
        # κ is the height beside the best cell, on the side that is less steep: below it the scale is linear.
        beside = [_beside_the_best(height[cells.level == row]) for row in np.unique(cells.level)]
        kappa = max(float(np.median(beside)), 2 * float(np.sqrt(np.median(variance))), np.finfo(float).tiny)
        transformed = np.arcsinh(height / kappa)
        error = _MODEL_ERROR * max(float(np.ptp(transformed)), np.finfo(float).tiny ** 0.25)
        variance = variance / (kappa**2 + height**2)
        weights = 1 / (variance + error**2)
        return cls(
            row=cells.level, x=(x - x.mean())[cells.level], y=cells.place, heights=transformed, weights=weights,
            model_error=error**2, noise=float(weights @ variance),
            offset_weight=1 / (_OFFSET_DEVIATION * max(float(transformed.std()), error)) ** 2,
        )  # fmt: skip

    def scaled(self, logs: Floats) -> "Rows":
        """The rows with all heights of each times a factor, whose logarithms are (n_rows,)."""
        factors = np.exp(logs)[self.row]
        heights = np.arcsinh(np.sinh(self.heights) * factors)
        of_heights = (1 / self.weights - self.model_error) * (factors * np.cosh(self.heights)) ** 2
        return replace(self, heights=heights, weights=1 / (of_heights / np.cosh(heights) ** 2 + self.model_error))

    @property
    def cells_of_each(self) -> list[NDArray[np.intp]]:
        """The cells of each row, in the order of their tuned levels."""
        return [np.flatnonzero(self.row == row) for row in range(int(self.row.max()) + 1)]


def _beside_the_best(height: Floats) -> float:
    """The smaller height of the neighbours of the best cell."""
    best = int(height.argmin())
    return float(min((height[near] for near in (best - 1, best + 1) if 0 <= near < len(height)), default=0.0))
