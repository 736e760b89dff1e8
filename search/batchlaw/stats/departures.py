"""How groups depart from a law that is straight in the horizon and the size: bends, and models that differ.

A bend along an axis is what a cubic smoothing spline is beforehand: an integrated Wiener process (Wahba 1978), whose
slope changes by τ, give or take, within an octave. Its least-squares line over the levels seen is taken off, so that
the law's exponent is that of this line. Beyond the levels it goes on with the slope that it has there, and its doubt
grows as the distance to the power 1.5. Two levels show no bend, and leave all of this doubt.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from batchlaw.stats.surface import Floats

_SAME = 0.01  # octaves between levels that are one
_RANK = 1e-9  # of the cube of the reach: smaller eigenvalues are those of the line
_LEAST = 1e-3  # octaves: a deviation of zero, for a finite precision


@dataclass(frozen=True, eq=False)
class Bend:
    """Of one axis, at τ = 1."""

    levels: Floats  # (n_levels,) log₂
    basis: Floats  # (n_levels, n_columns): the covariance with the levels, times this, is the columns of a place

    @classmethod
    def of(cls, levels: Floats) -> Self:
        """From the levels seen (n_levels,), ascending."""
        values, vectors = np.linalg.eigh(_covariance(levels, levels, levels))
        kept = values > _RANK * np.ptp(levels) ** 3
        return cls(levels, vectors[:, kept] / np.sqrt(values[kept]))

    def columns(self, at: Floats) -> Floats:
        """The bend at places (n,) is the product of this with independent N(0, 1), (n, n_columns)."""
        return np.asarray(_covariance(at, self.levels, self.levels) @ self.basis)

    def unseen(self, at: Floats) -> Floats:
        """The variance of the bend at places (n,) that the levels seen do not tell, (n,)."""
        own = np.diag(_covariance(at, at, self.levels)) - (self.columns(at) ** 2).sum(axis=1)
        return np.asarray(np.maximum(own, 0.0))


@dataclass(frozen=True, eq=False)
class Departures:
    """Of groups from a straight law: offsets that models of one size share, and a bend along each axis."""

    models: Floats  # (n_models,) log₂ of their sizes, the last axis; none where it is no size
    bends: tuple[Bend, ...]  # of each axis

    @classmethod
    def of(cls, at: Floats, *, of_size: bool) -> Self:
        """Of groups at (n_groups, n_axes)."""
        levels = [_distinct(axis) for axis in at.T]
        return cls(levels[-1] if of_size else np.empty(0), tuple(Bend.of(each) for each in levels))

    @property
    def n_columns(self) -> int:
        """Parameters beside those of the law."""
        return len(self.models) + sum(int(bend.basis.shape[1]) for bend in self.bends)

    def columns(self, at: Floats) -> Floats:
        """What each parameter adds at places (n, n_axes), (n, n_columns)."""
        bends = [bend.columns(axis) for bend, axis in zip(self.bends, at.T, strict=True)]
        return np.concatenate([self._of_model(at), *bends], axis=1)

    def spreads(self, sizes: Floats, bends: Floats) -> Floats:
        """The deviation of each parameter beforehand, (n, n_columns).

        Args:
            sizes: (n,) deviation of a model's offset, octaves.
            bends: (n, n_axes) τ of each axis.
        """
        counts = [len(self.models), *(bend.basis.shape[1] for bend in self.bends)]
        spreads = np.repeat(np.column_stack([sizes, bends]), counts, axis=1)
        return np.maximum(spreads, _LEAST)

    def unseen(self, at: Floats, sizes: Floats, bends: Floats) -> Floats:
        """The variance at a place (n_axes,) of what the groups do not tell, (n,); arguments as of `spreads`."""
        of_bends = np.array([bend.unseen(axis)[0] for bend, axis in zip(self.bends, at[:, None], strict=True)])
        new = len(self.models) > 0 and not self._of_model(at[None]).any()
        return np.asarray(bends**2 @ of_bends + new * sizes**2)

    def _of_model(self, at: Floats) -> Floats:
        """1 where a place (n, n_axes) has the size of a model, else 0, (n, n_models)."""
        return (np.abs(at[:, -1:] - self.models) < _SAME).astype(float)


def _distinct(values: Floats) -> Floats:
    """Ascending, those that are one once."""
    ascending = np.unique(values)
    return np.asarray(ascending[np.append(True, np.diff(ascending) >= _SAME)])


def _covariance(one: Floats, other: Floats, levels: Floats) -> Floats:
    """Of a bend at τ = 1 between places (n,) and (m,), less its line over the levels, (n, m).

    What is left by a line does not depend on where the process starts: |x - x'|³ / 12 is its generalised covariance.
    """

    def cubic(x: Floats, y: Floats) -> Floats:
        return np.asarray(np.abs(x[:, None] - y) ** 3 / 12)

    def line(x: Floats) -> Floats:  # the weights of the levels in their line at x, (n, n_levels)
        return np.asarray(np.vander(x, 2) @ np.linalg.pinv(np.vander(levels, 2)))

    left, right = line(one), line(other)
    off = left @ cubic(levels, other) + cubic(one, levels) @ right.T
    return np.asarray(cubic(one, other) - off + left @ cubic(levels, levels) @ right.T)
