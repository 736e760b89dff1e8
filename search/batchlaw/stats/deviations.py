"""How far groups of runs are off a law: what is usual, and a grid of what may be.

Each group is off the law by an offset and a slope of its own, each row by an error of its own beside that of its
optimum. Groups of one size of models share an offset, too. A few sizes do not tell it from the law's exponent, so its
share of the variance of groups is any. The exponent of an axis may change along it (`stats.departures`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Self

import numpy as np
from numpy.typing import NDArray

from batchlaw.stats.surface import Floats

_OFFSETS, _ROWS = (0.02, 0.04, 0.08, 0.16, 0.32), (0.02, 0.04, 0.08, 0.16)  # octaves
_SLOPES = (0.0, 0.05, 0.12)  # octaves an octave
USUAL_OFFSET, USUAL_ROW = 0.1, 0.08  # octaves, beforehand within a factor of e (assumption)
_COMMON = (1 / 6, 1 / 2, 5 / 6)  # of the variance of groups, what those of one size share: thirds of all that it can be
# Change of an exponent, an octave of its axis, and how usual it is: mostly one power holds (assumption).
_BENDS = ((0.0, 0.9), (0.15, 0.06), (0.5, 0.03), (1.5, 0.01))


@dataclass(frozen=True, eq=False)
class Deviations:
    """Choices of how far groups are off the law, and how usual they are."""

    offset: Floats  # (n,) octaves, of a group
    row: Floats  # (n,) octaves, of a row of a group
    slope: Floats  # (n,) octaves an octave of the batch size, of a group
    size: Floats  # (n,) octaves, of a size of models
    bends: Floats  # (n, n_axes) change of an exponent, an octave
    usual: Floats  # (n,) weights

    @classmethod
    def tried(cls, n_axes: int, *, of_size: bool) -> Self:
        """The grid."""
        return cls._product(_OFFSETS, _ROWS, _SLOPES, n_axes, of_size=of_size)

    @classmethod
    def typical(cls, n_axes: int, *, of_size: bool) -> Self:
        """Those of groups as they are usual, with all of what few groups cannot tell: models that differ, and bends."""
        return cls._product([USUAL_OFFSET], [USUAL_ROW], _SLOPES[1:2], n_axes, of_size=of_size)

    @classmethod
    def _product(
        cls, offsets: Sequence[float], rows: Sequence[float], slopes: Sequence[float], n_axes: int, *, of_size: bool
    ) -> Self:
        """At most one axis bends."""
        bends = [(np.zeros(n_axes), _BENDS[0][1])]
        bends += [(np.eye(n_axes)[i] * bend, weight / n_axes) for i in range(n_axes) for bend, weight in _BENDS[1:]]
        parts = product(offsets, rows, slopes, _COMMON if of_size else (0.0,), bends)
        offset, row, slope, common, bent = zip(*parts, strict=True)
        off = (np.log(np.array(offset) / USUAL_OFFSET) ** 2 + np.log(np.array(row) / USUAL_ROW) ** 2) / 2
        usual = np.exp(-off) * np.array([weight for _, weight in bent])
        size = np.array(offset) * np.sqrt(np.array(common) / (1 - np.array(common)))
        taus = np.array([tau for tau, _ in bent])
        return cls(np.array(offset), np.array(row), np.array(slope), size, taus, usual / usual.sum())

    def of(self, kept: NDArray[np.intp]) -> Self:
        """Some of them, by their places."""
        return type(self)(*(getattr(self, name)[kept] for name in self.__dataclass_fields__))

    def within(self, apart: Floats, covariance: Floats) -> Floats:
        """The covariance of the rows of a group about the law, (n, n_rows, n_rows).

        Args:
            apart: (n_rows,) log₂ of the batch sizes, less the middle.
            covariance: (n_rows, n_rows) of the optima.
        """
        common = self.offset[:, None, None] ** 2 + self.slope[:, None, None] ** 2 * np.outer(apart, apart)
        return np.asarray(covariance + common + self.row[:, None, None] ** 2 * np.eye(len(apart)))

    def own(self, apart: Floats) -> Floats:
        """The variance of a row of a new group about the law, (n, n_rows)."""
        tilted = (self.slope[:, None] * apart) ** 2
        return np.asarray(self.offset[:, None] ** 2 + self.row[:, None] ** 2 + tilted)
