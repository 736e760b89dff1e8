"""Runs compared at the same training loss instead of after the same number of steps."""

import math
from collections.abc import Sequence

import numpy as np

from batchlaw.stats.surface import Floats


def lowest_common(curves: Sequence[Floats], share: float, trained: float) -> float:
    """The lowest training loss that, in every group, at least `share` of the cells that train reach.

    A cell reaches a loss if all its seeds do.

    Args:
        curves: training losses of each group, (n_cells, n_seeds, n_reports); NaN where a run is no longer finite.
        share: in (0, 1].
        trained: a cell trains if it reaches this loss.

    Returns:
        Infinity if a group has no cell that trains.
    """
    reached = []
    for curve in curves:
        lowest = np.where(np.isfinite(curve), curve, np.inf).min(axis=2).max(axis=1)
        lowest = np.sort(lowest[lowest <= trained])
        reached.append(lowest[math.ceil(share * len(lowest)) - 1] if len(lowest) else np.inf)
    return float(max(reached))


def at_loss(train: Floats, other: Floats, target: float) -> Floats:
    """The value of another curve where the training loss first falls to a target, (...).

    Between two reports it is interpolated linearly in the log of the training loss.

    Args:
        train: training losses, (..., n_reports).
        other: the other curve, with the same shape.
        target: a training loss above 0.

    Returns:
        NaN where the loss never falls to the target, or was below it at the first report already.
    """
    reached = np.where(np.isfinite(train), train, np.inf) <= target
    after = reached.argmax(axis=-1)
    seen = reached.any(axis=-1) & ((after > 0) | (train[..., 0] == target))
    after = np.maximum(after, 1)
    before_loss, after_loss = (_take(train, index) for index in (after - 1, after))
    before, behind = (_take(other, index) for index in (after - 1, after))
    with np.errstate(invalid="ignore", divide="ignore"):
        position = np.log(before_loss / target) / np.log(before_loss / after_loss)
        between = before + np.where(before_loss == target, 0.0, position) * (behind - before)
    return np.where(seen, between, np.nan)


def _take(curve: Floats, index: np.ndarray) -> Floats:
    return np.asarray(np.take_along_axis(curve, index[..., None], axis=-1)[..., 0])
