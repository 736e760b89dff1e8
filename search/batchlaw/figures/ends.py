"""Where a figure of a ridge ends, and which sets of its optima are open there."""

import numpy as np

from batchlaw.stats.optimum import Ridge
from batchlaw.stats.surface import Bools

_BEYOND = 1.5  # factor from the first and last tuned level to the ends of the axis, where open sets end in an arrow


def tuned_range(ridge: Ridge) -> tuple[float, float]:
    """The ends of the axis of the tuned factor."""
    return float(ridge.tuned[0] / _BEYOND), float(ridge.tuned[-1] * _BEYOND)


def open_ends(ridge: Ridge) -> tuple[Bools, Bools]:
    """Which sets are open downwards and which upwards, (n_given,) each."""
    status, low, high = np.array(ridge.status), 2**ridge.low, 2**ridge.high
    down = (status == "left_censored") | ((status == "undecided") & (low <= ridge.tuned[0]))
    up = (status == "right_censored") | ((status == "undecided") & (high >= ridge.tuned[-1]))
    return down, up
