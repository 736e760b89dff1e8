"""The law of the best learning rate over batch size, horizon and size.

In log₂, with B the batch size, D the axes (horizon, size) and b_k the place of a kink:

    log ε_opt = e₀ + Σ e_i D_i - (s / p) · log₂(1 + 2^{p (b_k - log B)}),    b_k = k₀ + Σ k_i D_i,    p = 3

The best rate rises as B^s below a critical batch size B_k, which moves with the axes, and is flat above it (as seen on
the runs of arXiv 2503.04715; B_k grows with the horizon in arXiv 2410.21676).
"""

import numpy as np

from batchlaw.stats.departures import Departures
from batchlaw.stats.surface import Floats

_SHARPNESS = 3.0  # p
_RISE = (0.75, 0.35)  # s beforehand: from √B, as for Adam (Malladi 2022), to B, as for SGD
OF_AXES, _OF_KINK, _KINK = 1.0, 0.6, 3.0  # deviations beforehand of e_i, of k_i, and of k₀ from the middle of log B
_OF_SIZE = (-0.5, 0.5)  # e_i of the size beforehand: as 1/width, which grows as √size (arXiv:2203.03466)


def prior_of(level: float, middle: float, n_axes: int, *, of_size: bool) -> tuple[Floats, Floats]:
    """What is known of the parameters beforehand: means and deviations.

    Args:
        level: log₂ of a typical best rate.
        middle: log₂ of a typical batch size.
        n_axes: horizon, size, or both.
        of_size: whether the last axis is the size of a model.
    """
    mean = np.array([level, *[0.0] * n_axes, middle, *[0.0] * n_axes, _RISE[0]])
    deviation = np.array([50.0, *[OF_AXES] * n_axes, _KINK, *[_OF_KINK] * n_axes, _RISE[1]])
    if of_size:
        mean[n_axes], deviation[n_axes] = _OF_SIZE
    return mean, deviation


def law_of(parameters: Floats, at: Floats, batch_size: Floats) -> tuple[Floats, Floats]:
    """log₂ of the best rate, (…, n), and its derivatives, (…, n, n_parameters).

    Args:
        parameters: (…, n_parameters): e₀, e_i, k₀, k_i, s.
        at: (n, n_axes)
        batch_size: (n,) log₂.
    """
    n_axes = at.shape[1]
    level, axes, kink, of_kink, rise = np.split(parameters, [1, 1 + n_axes, 2 + n_axes, 2 + 2 * n_axes], axis=-1)
    below = _SHARPNESS * (kink + of_kink @ at.T - batch_size)
    bend = np.logaddexp2(0.0, below) / _SHARPNESS
    share = 1 / (1 + 2 ** np.clip(-below, -500, 500))  # derivative of bend
    moved = (-rise * share)[..., None]
    axes_of = np.broadcast_to(at, (*below.shape, n_axes))
    slopes = np.concatenate([np.ones_like(moved), axes_of, moved, moved * at, -bend[..., None]], axis=-1)
    return level + axes @ at.T - rise * bend, slopes


def with_departures(
    parameters: Floats, at: Floats, batch_size: Floats, departures: Departures
) -> tuple[Floats, Floats]:
    """As `law_of`, of several choices of the parameters (n, n_parameters); those of the departures are the last.

    Args:
        parameters: (n, n_parameters)
        at: (n_rows, n_axes)
        batch_size: (n_rows,) log₂.
        departures: from the law.
    """
    columns = departures.columns(at)
    law, offsets = np.split(parameters, [parameters.shape[1] - columns.shape[1]], axis=1)
    mean, slopes = law_of(law, at, batch_size)
    of_departures = np.broadcast_to(columns, (len(parameters), *columns.shape))
    return mean + offsets @ columns.T, np.concatenate([slopes, of_departures], axis=2)
