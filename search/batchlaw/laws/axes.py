"""The quantities in which groups of runs differ: horizon and size."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from batchlaw.stats.surface import Floats


class Axis(NamedTuple):
    """One of the quantities in which groups differ."""

    name: str  # examples, tokens or parameters
    values: Floats  # (n_groups,) ascending or not, as the groups are

    @property
    def seen(self) -> tuple[float, float]:
        """The least and the largest value of a group."""
        return float(self.values.min()), float(self.values.max())

    @property
    def middle(self) -> float:
        """The mean of log₂ over the groups."""
        return float(np.log2(self.values).mean())


def centred(values: Sequence[float], axes: Sequence[Axis]) -> Floats:
    """log₂ of a value of each axis, less the middle of the groups, as `Group.at`, (n_axes,)."""
    return np.array([np.log2(value) - axis.middle for value, axis in zip(values, axes, strict=True)])
