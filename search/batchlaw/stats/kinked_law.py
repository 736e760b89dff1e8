"""The law of the best learning rate over batch size, horizon and size.

In log₂, with b the batch size less a typical one, D the axes (horizon, size) and b_k the place of a kink:

    log ε_opt = e₀ + Σ (e_i + t_i b) D_i - (s / p) · log₂(1 + 2^{p (b_k - b)}),    b_k = k₀ + Σ k_i D_i,    p = 3

The best rate rises as B^s below a critical batch size B_k, which moves with the axes, and is flat above it (as seen on
the runs of arXiv 2503.04715; B_k grows with the horizon in arXiv 2410.21676). Groups differ in their slopes on
b (`stats.deviations`), and the tilts t_i, small beforehand, let these slopes move with the axes.
"""

import numpy as np

from batchlaw.stats.departures import Departures
from batchlaw.stats.surface import Floats

_SHARPNESS = 3.0  # p
_RISE = (0.75, 0.35)  # s beforehand: from √B, as for Adam (Malladi 2022), to B, as for SGD
OF_AXES, _OF_KINK, _KINK, _TILT = 1.0, 0.6, 3.0, 0.05  # deviations beforehand of e_i, k_i, k₀ and t_i (assumption)
_OF_SIZE = (-0.5, 0.5)  # e_i of the size beforehand: as 1/width, which grows as √size (arXiv:2203.03466)


def prior_of(level: float, n_axes: int, *, of_size: bool) -> tuple[Floats, Floats]:
    """What is known of the parameters beforehand: means and deviations.

    Args:
        level: log₂ of a typical best rate.
        n_axes: horizon, size, or both.
        of_size: whether the last axis is the size of a model.
    """
    mean = np.array([level, *[0.0] * (1 + 2 * n_axes), _RISE[0], *[0.0] * n_axes])
    deviation = np.array([50.0, *[OF_AXES] * n_axes, _KINK, *[_OF_KINK] * n_axes, _RISE[1], *[_TILT] * n_axes])
    if of_size:
        mean[n_axes], deviation[n_axes] = _OF_SIZE
    return mean, deviation


def law_of(parameters: Floats, at: Floats, batch_size: Floats) -> tuple[Floats, Floats]:
    """log₂ of the best rate, (…, n), and its derivatives, (…, n, n_parameters).

    Args:
        parameters: (…, n_parameters): e₀, e_i, k₀, k_i, s, t_i.
        at: (n, n_axes)
        batch_size: (n,) log₂, less that of a typical one.
    """
    n_axes = at.shape[1]
    ends = np.cumsum([1, n_axes, 1, n_axes, 1])
    level, axes, kink, of_kink, rise, tilt = np.split(parameters, ends, axis=-1)
    below = _SHARPNESS * (kink + of_kink @ at.T - batch_size)
    bend = np.logaddexp2(0.0, below) / _SHARPNESS
    share = 1 / (1 + 2 ** np.clip(-below, -500, 500))  # derivative of bend
    moved = (-rise * share)[..., None]
    tilted = at * batch_size[:, None]
    axes_of, tilts = (np.broadcast_to(each, (*below.shape, n_axes)) for each in (at, tilted))
    slopes = np.concatenate([np.ones_like(moved), axes_of, moved, moved * at, -bend[..., None], tilts], axis=-1)
    return level + axes @ at.T + tilt @ tilted.T - rise * bend, slopes


def with_departures(
    parameters: Floats, at: Floats, batch_size: Floats, departures: Departures
) -> tuple[Floats, Floats]:
    """As `law_of`, of several choices of the parameters (n, n_parameters); those of the departures are the last.

    Args:
        parameters: (n, n_parameters)
        at: (n_rows, n_axes)
        batch_size: (n_rows,) log₂, less that of a typical one.
        departures: from the law.
    """
    columns = departures.columns(at)
    law, offsets = np.split(parameters, [parameters.shape[1] - columns.shape[1]], axis=1)
    mean, slopes = law_of(law, at, batch_size)
    of_departures = np.broadcast_to(columns, (len(parameters), *columns.shape))
    return mean + offsets @ columns.T, np.concatenate([slopes, of_departures], axis=2)
