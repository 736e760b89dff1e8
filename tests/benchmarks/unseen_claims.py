"""Further simulated studies, of shapes by other formulas: held out while an estimator is made, to judge it by.

An estimator whose constants were set on the shapes of simulated_claims.py may suit those alone. So do not look at the
results of these until it is done, and do not change it for them.
"""

import numpy as np
from batchlaw.stats.surface import Floats
from scipy.interpolate import PchipInterpolator
from simulated_claims import Curve, Setting

_TOP = 10.0  # height of an untrained model


def sgd(generator: np.random.Generator) -> Curve:
    """SGD on a noisy quadratic of 30 dimensions for one budget of examples: its expected loss, in closed form.

    Gradients have noise of their own and noise that grows with the distance from the optimum. The latter makes small
    batches diverge at high rates. Rates are spread over seven octaves, and the shape changes with them: at low rates
    steps are too few, at high ones there is too much noise. A rate's curve is used around its own best batch size.
    """
    curvature = np.arange(1.0, 31) ** -generator.uniform(0.6, 1.4)
    start = np.arange(1.0, 31) ** -generator.uniform(0.0, 0.8) * 30
    examples, noise, spread = 2.0 ** generator.uniform(11, 14), generator.uniform(0.5, 2), generator.uniform(2, 12)
    highest = generator.uniform(0.3, 1.0)
    log2_batch = np.arange(-6, 20, 0.02)

    def log_loss(place: float) -> Floats:
        rate, batch = highest * 2.0 ** (7 * (place - 1)), 2.0 ** log2_batch[:, None]
        factor = (1 - rate * curvature) ** 2 + rate**2 * curvature**2 * spread / batch
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            left = factor ** np.minimum(examples / batch, 1e5)
            second = left * start + rate**2 * curvature * noise / batch * (1 - left) / (1 - factor)
        untrained = 0.5 * (curvature * start).sum()
        second = np.minimum(np.nan_to_num(second, nan=np.inf), 1e9 * untrained)
        return np.log(np.minimum(0.5 * (curvature * second).sum(axis=1), 3 * untrained))

    def around_the_best(place: float, unit: float | None = None) -> tuple[Floats, Floats, float]:
        found = log_loss(place)
        best = log2_batch[found.argmin()]
        height = found - found.min()
        return log2_batch - best, height, unit or float(np.interp(best + 2, log2_batch, height))

    *_, unit = around_the_best(0.5)

    def curve(u: Floats, place: Floats) -> Floats:
        rows = np.empty(np.broadcast_shapes(u.shape, place.shape))
        full = np.broadcast_to(u, rows.shape)
        for row, at in enumerate(place.ravel()):
            offset, height, _ = around_the_best(float(at))
            rows[row] = np.interp(full[row], offset, height / unit)
        return np.minimum(rows, _TOP)

    return curve


def spline(generator: np.random.Generator) -> Curve:
    """A random monotone flank on each side of the best, through knots a random distance apart."""
    sides = []
    for steepness in (generator.uniform(1, 4), generator.uniform(0.4, 1.2)):
        knots = np.concatenate([[0], generator.uniform(0.4, 1.6, size=12).cumsum()])
        rises = np.concatenate([[0], (steepness * np.diff(knots) * generator.lognormal(-0.3, 0.8, 12)).cumsum()])
        sides.append(PchipInterpolator(knots, rises))

    def curve(u: Floats, _: Floats) -> Floats:
        far = np.minimum(np.abs(u), 9.0)
        return np.minimum(np.where(u < 0, sides[0](far), sides[1](far)) + 0.01 * np.abs(u), _TOP)

    return curve


def drifting_spline(generator: np.random.Generator) -> Curve:
    """One random spline at the lowest rate, which becomes another up to the highest."""
    low, high = spline(generator), spline(generator)
    return lambda u, place: (1 - place) * low(u, place) + place * high(u, place)


def cusp(generator: np.random.Generator) -> Curve:
    """Powers of the distance, between root and square, another on each side."""
    below, above = generator.uniform(0.6, 1.8, size=2)
    steepness = generator.uniform(1.5, 4)
    return lambda u, _: np.minimum(
        np.where(u < 0, steepness * (np.abs(u) / 2) ** below, (np.abs(u) / 2) ** above), _TOP
    )


def bathtub(generator: np.random.Generator) -> Curve:
    """Nearly level for an octave or two around the best, then steep on both sides, more on one."""
    below, above = generator.uniform(0.8, 1.5), generator.uniform(1.2, 2.2)
    return lambda u, _: np.minimum(np.abs(u / np.where(u < 0, below, above)) ** 3 + 0.05 * u**2, _TOP)


def shoulder(generator: np.random.Generator) -> Curve:
    """A steep flank below the best; above it a rise, a shoulder of two or three octaves, and another rise."""
    steep, first, second = generator.uniform(2, 5), generator.uniform(0.4, 0.8), generator.uniform(0.5, 1)
    at, length = generator.uniform(0.6, 1.2), generator.uniform(2, 3)

    def curve(u: Floats, _: Floats) -> Floats:
        above = np.maximum(u, 0)
        rise = first * np.tanh((above / at) ** 2) + 0.03 * above
        return np.minimum(np.where(u < 0, steep * u**2, rise + second * np.maximum(above - at - length, 0)), _TOP)

    return curve


SETTINGS = (
    Setting(shape=sgd, slopes=(0.7,), held_out=True),
    Setting(shape=sgd, slopes=(0.5,), batch_sizes=5, held_out=True),
    Setting(shape=sgd, slopes=(0.6, 1.0), heavy_tails=True, growth=0.3, diverges=True, held_out=True),
    Setting(shape=spline, slopes=(0.0, 0.74, 1.0, 1.26), held_out=True),
    Setting(shape=spline, slopes=(0.7, 1.0), seeds=3, spacing=0.5, rate_spacing=0.5, held_out=True),
    Setting(shape=drifting_spline, slopes=(0.5, 0.7, 1.0, 1.5), held_out=True),
    Setting(shape=cusp, slopes=(0.6, 0.74), batch_sizes=6, held_out=True),
    Setting(shape=bathtub, slopes=(1.0, 1.5), held_out=True),
    Setting(shape=shoulder, slopes=(0.7, 1.0), seed_shift=0.3, held_out=True),
    Setting(shape=sgd, slopes=(0.0, 0.7, 1.0, 1.26), seeds=2, holes="cells", diverges=True, held_out=True),
)
