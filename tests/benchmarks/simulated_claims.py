"""Simulated studies with a planted ridge, for measuring how often verdicts and confidence sets are wrong.

The best log₂ batch size of a rate lies on a line a + slope × log₂ ε, whose phase within the grid is random. Around it
stands a curve of the loss, one octave a unit of u. Heights are in units of the rise two octaves above the best batch
size, roughly: walls rise to 6 to 10. A score is minus the loss. Noise is the standard deviation of a run in the same
units; every seed has, besides, an offset of this size that is common to all its runs.

Where seeds move the ridge, the best batch size is that of the expected loss, which is not the line's where the curve is
asymmetric. It is found numerically, and the curve is then moved until it lies on the line: so the line is the truth.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from batchlaw.stats.surface import Bools, Floats, Surface
from scipy import ndimage

# Heights from octaves u above the best batch size and the rate's place among the rates, from 0 (lowest) to 1 (highest).
# Both arrays can be broadcast. The steep side, that of divergence, is u < 0.
Curve = Callable[[Floats, Floats], Floats]
DIVERGED = 4.0  # a run whose height on the steep side is above this diverges, where the setting says that runs do
WORST = 12.0  # height of a diverged run above the worst of the rows' best losses
STEP = 0.005  # octaves, of the search for the best batch size of the expected loss


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What studies have in common. Its name is made of what is not the default."""

    shape: Callable[[np.random.Generator], Curve]  # draws the curve of a study
    slopes: tuple[float, ...]  # planted, in turn
    rates: int = 8  # of H6 the number of batch sizes
    batch_sizes: int = 9  # of H6 the number of rates
    seeds: int = 5
    spacing: float = 1.0  # octaves between batch sizes
    rate_spacing: float = 1.0  # octaves between rates
    noise: float = 0.25
    heavy_tails: bool = False  # Student's t with 3 degrees of freedom, of the same standard deviation
    growth: float = 0.0  # the noise grows by this share for each unit of height
    seed_shift: float = 0.0  # octaves, standard deviation: a seed moves the whole ridge
    run_shift: float = 0.0  # octaves: each run moves its ridge
    centre: float = 0.0  # octaves from the middle of the grid to the middle of the ridge
    kink: bool = False  # the slope is 1 below the middle rate and 0 above: no slope is right
    diverges: bool = False  # runs on the steep side diverge
    holes: Literal["", "runs", "cells", "corner"] = ""  # 8 % missing, or the largest batch sizes at half of the rates
    mirrored: bool = False  # the steep side is that of large batch sizes
    hypothesis: Literal["H9", "H6"] = "H9"  # H6: rates and batch sizes change places, the ridge is ε_opt(B)
    held_out: bool = False  # its shapes are not looked at while an estimator is made

    @property
    def name(self) -> str:
        """Readable and unique: shape, slopes, rates × batch sizes × seeds (of H6 batch sizes × rates), and more."""
        spacings = {1.0: "octaves", 0.5: "half octaves", 0.25: "quarter octaves"}
        parts = [
            self.shape.__name__.replace("_", " "),
            "slope " + ", ".join(f"{slope:g}" for slope in self.slopes) if self.slopes else "no slope",
            f"{self.rates}×{self.batch_sizes}×{self.seeds}",
            spacings[self.spacing],
        ]
        parts += [f"noise {self.noise:g}"] * (self.noise != 0.25)
        parts += ["heavy tails"] * self.heavy_tails + ["growing noise"] * (self.growth > 0)
        parts += ["seeds shift"] * (self.seed_shift > 0) + ["runs shift"] * (self.run_shift > 0)
        parts += [f"centre {self.centre:+g}"] * (self.centre != 0)
        parts += ["kink"] * self.kink + ["diverges"] * self.diverges + [f"missing {self.holes}"] * bool(self.holes)
        parts += ["mirrored"] * self.mirrored + ["H6"] * (self.hypothesis == "H6") + ["held out"] * self.held_out
        return " · ".join(parts)


@dataclass(frozen=True)
class Grid:
    """The levels and seeds of a study that has others than its setting says."""

    x: Floats  # log₂ of the rates
    y: Floats  # log₂ of the batch sizes
    seeds: int


def grid_of(setting: Setting) -> Grid:
    """The levels and seeds that the setting says."""
    x = setting.rate_spacing * np.arange(1 - setting.rates, 1)
    return Grid(x, 1 + setting.spacing * np.arange(setting.batch_sizes), setting.seeds)


def simulated(setting: Setting, number: int, grid: Grid | None = None) -> tuple[Surface, tuple[float | None, Floats]]:
    """One study, which depends on the setting and its number alone.

    Another grid leaves the ridge and the curves as they are. Beyond the setting's rates the shape is that at their
    ends.

    Returns:
        The surface, and the truth: the planted slope, None where there is none, and the log₂ of the best tuned level at
        each given level, (n_given,), of H6 at each batch size. It is infinite where the loss falls for ever, and NaN
        where every level is the best.
    """
    generator = np.random.default_rng([number, *setting.name.encode()])
    own = grid_of(setting)
    grid = grid or own
    x, y = grid.x, grid.y
    slope = setting.slopes[number % len(setting.slopes)] if setting.slopes else None
    rises = [
        np.minimum(of, 0) if setting.kink else (slope or 0.0) * of for of in (own.x - own.x.mean(), x - own.x.mean())
    ]
    rise = rises[1] - rises[0].mean()
    optimum = own.y.mean() + setting.centre + setting.spacing * generator.uniform(-0.5, 0.5) + rise
    place = np.clip((x - own.x[0]) / np.ptp(own.x), 0, 1)[:, None]
    # The best loss of a rate: a parabola over the rates with an optimum somewhere among them.
    floor = generator.uniform(0, 3) * (place - generator.uniform(0.2, 1)) ** 2
    drawn, sign = setting.shape(generator), -1.0 if setting.mirrored else 1.0

    def heights(u: Floats) -> tuple[Floats, Bools]:
        """The height of runs u octaves above the best, (n_given, ...), and whether they diverge."""
        of_row = (-1, *[1] * (u.ndim - 1))
        height = drawn(sign * u, place.reshape(of_row))
        lost = (height > DIVERGED) & (sign * u < 0) & setting.diverges
        return np.where(lost, floor.max() + WORST - floor.reshape(of_row), height), lost

    if setting.shape in (flat, falling):
        optimum = np.full(len(x), np.nan if setting.shape is flat else np.inf)
        u = np.broadcast_to(y - own.y[0], (len(x), len(y)))
    else:
        shift = float(np.hypot(setting.seed_shift, setting.run_shift))
        u = y - optimum[:, None] + _lowest(lambda u: heights(u)[0], shift)
    shape = (len(x), len(y), grid.seeds)
    common = setting.seed_shift * generator.normal(size=(1, 1, grid.seeds))
    u = u[:, :, None] - common - setting.run_shift * generator.normal(size=shape)
    height, lost = heights(u)
    noise = generator.standard_t(3, size=shape) / np.sqrt(3) if setting.heavy_tails else generator.normal(size=shape)
    noise = noise * (1 + setting.growth * np.maximum(height, 0)) + generator.normal(size=grid.seeds)
    scores = -(floor[:, :, None] + height + np.where(lost, 0.0, setting.noise * noise))
    scores[lost] = min(-(floor.max() + WORST), scores.min())
    missing = _holes(setting, generator, shape)
    scores[missing] = np.nan
    lost &= ~missing
    if setting.hypothesis == "H6":
        surface = Surface(2.0 ** (x - x[0] + 1), 2.0 ** (y - y[-1]), scores, lost)
        return surface.transposed(), (slope, optimum - y[-1])
    return Surface(2.0**x, 2.0**y, scores, lost), (slope, optimum)


def _lowest(height: Callable[[Floats], Floats], shift: float) -> Floats:
    """Where the expected height of each row is lowest, (n_rows, 1), octaves; shifts are normal with this deviation."""
    u = np.arange(-8, 8 + STEP / 2, STEP)
    expected = height(u[None])
    if shift:
        expected = ndimage.gaussian_filter1d(expected, shift / STEP, axis=1, mode="nearest")
    return u[expected.argmin(axis=1)][:, None]


def _holes(setting: Setting, generator: np.random.Generator, shape: tuple[int, int, int]) -> Bools:
    """Which runs are missing, (rates, batch_sizes, seeds)."""
    share = generator.random(shape)
    if setting.holes == "runs":
        return share < 0.08
    if setting.holes == "cells":
        return np.broadcast_to(share[:, :, :1] < 0.08, shape)
    missing = np.zeros(shape, dtype=bool)
    if setting.holes == "corner":
        missing[shape[0] // 2 :, -3:] = True
    return missing


# Shapes. What they draw is the same for all rates of a study, unless the shape is one that changes with the rate.


def parabola(_: np.random.Generator) -> Curve:
    return lambda u, _: u**2 / 4


def log_cosh(generator: np.random.Generator) -> Curve:
    """A smooth valley, two to five times as steep below the best as above it."""
    steep, gentle = generator.uniform(0.35, 0.6), generator.uniform(1.2, 1.8)
    return lambda u, _: _log_cosh(u / np.where(u < 0, steep, gentle)) / _log_cosh(2 / gentle)


def _log_cosh(u: Floats | float) -> Floats:
    return np.logaddexp(u, -np.asarray(u)) - np.log(2)


def wall(generator: np.random.Generator) -> Curve:
    """Below the best a rise within .1 to .3 octaves to the loss of an untrained model; above it a slow power law."""
    rise, power, top = generator.uniform(0.1, 0.3), generator.uniform(0.6, 1.2), generator.uniform(6, 10)
    return lambda u, _: np.where(u < 0, top * (1 - np.exp(-((u / rise) ** 2))), (np.abs(u) / 2) ** power)


def quadratic(generator: np.random.Generator) -> Curve:
    """The loss of SGD on a noisy quadratic with two curvatures after one pass: the bias left, and noise ∝ ε/B."""
    fast, ratio, noise = generator.uniform(4, 10), generator.uniform(4, 12), generator.uniform(0.05, 0.2)

    def loss(u: Floats) -> Floats:
        steps = 2.0 ** -np.clip(u, -12, 12)
        return 0.5 * np.exp(-fast * steps) + 0.5 * np.exp(-fast / ratio * steps) + noise * steps

    fine = np.arange(-8, 8, STEP)
    best = fine[loss(fine).argmin()]
    unit = loss(best + 2) - loss(best)
    return lambda u, _: np.minimum((loss(u) - loss(best)) / unit, 10.0)


def cliff(generator: np.random.Generator) -> Curve:
    """Nearly flat above the best, where the loss rises by .1 to .4 in two octaves; a cliff below."""
    rise, gentle, top = generator.uniform(0.05, 0.2), generator.uniform(0.1, 0.4), generator.uniform(5, 10)
    reach = generator.choice([1.5, 20.0])  # the rise levels off, or does not

    def curve(u: Floats, _: Floats) -> Floats:
        flank = gentle * -np.expm1(-np.maximum(u, 0) / reach) / -np.expm1(-2 / reach)
        return np.where(u < 0, top * (1 - np.exp(-((u / rise) ** 2))), flank)

    return curve


def still_falling(generator: np.random.Generator) -> Curve:
    """From large batch sizes down the loss falls, seems to level off, and falls slowly on to the best."""
    slow, reach, drop = generator.uniform(0.06, 0.15), generator.uniform(2, 3.5), generator.uniform(1, 2)
    turn = generator.uniform(0.3, 1.5)

    def curve(u: Floats, _: Floats) -> Floats:
        above = np.maximum(u, 0)
        step = 1 / (1 + np.exp(-(above - reach) / 0.35)) - 1 / (1 + np.exp(reach / 0.35))
        return np.where(u < 0, np.minimum(turn * u**2, 10), slow * above + drop * step)

    return curve


def smooth_then_wall(generator: np.random.Generator) -> Curve:
    """A log-cosh at the lower half of the rates, a wall at the upper half."""
    return _blend(log_cosh(generator), wall(generator), 0.01)


def smooth_into_wall(generator: np.random.Generator) -> Curve:
    """A log-cosh whose steep side gets 8 to 20 times as steep from the lowest rate to the highest."""
    steep, gentle = generator.uniform(0.5, 1.2), generator.uniform(1.2, 1.8)
    factor, top = generator.uniform(8, 20), generator.uniform(6, 10)

    def curve(u: Floats, place: Floats) -> Floats:
        width = np.where(u < 0, steep * factor**-place, gentle)
        return top * -np.expm1(-_log_cosh(u / width) / _log_cosh(2 / gentle) / top)

    return curve


def parabola_into_cliff(generator: np.random.Generator) -> Curve:
    """A parabola that becomes flat beside a cliff little by little."""
    return _blend(parabola(generator), cliff(generator), 0.15)


def turning_skew(generator: np.random.Generator) -> Curve:
    """A log-cosh that is steeper above the best at low rates and steeper below it at high ones."""
    one, other = log_cosh(generator), log_cosh(generator)
    return _blend(lambda u, place: one(-u, place), other, 0.2)


def _blend(low: Curve, high: Curve, width: float) -> Curve:
    """One shape at low rates and another at high ones, changing over this share of the rates."""

    def curve(u: Floats, place: Floats) -> Floats:
        share = 1 / (1 + np.exp(-np.clip((place - 0.5) / width, -50, 50)))
        return (1 - share) * low(u, place) + share * high(u, place)

    return curve


def fading(generator: np.random.Generator) -> Curve:
    """A log-cosh that is eight times as shallow at the lowest rate as at the highest."""
    drawn = log_cosh(generator)
    return lambda u, place: drawn(u, place) * 2.0 ** (3 * (place - 1)) * 2


def flat(_: np.random.Generator) -> Curve:
    """The batch size does not matter."""
    return lambda u, _: 0 * u


def falling(generator: np.random.Generator) -> Curve:
    """The loss falls beyond the largest batch size, more and more slowly; u counts from the smallest."""
    reach = generator.uniform(3, 8)
    return lambda u, _: 3 * np.exp(-u / reach)


SETTINGS = (
    Setting(shape=parabola, slopes=(0.0,)),
    Setting(shape=parabola, slopes=(0.5,), batch_sizes=5, noise=0.1),
    Setting(shape=parabola, slopes=(0.7,), batch_sizes=5, noise=0.1),
    Setting(shape=parabola, slopes=(0.74,), seeds=10, noise=0.1),
    Setting(shape=parabola, slopes=(1.0,), noise=0.75),
    Setting(shape=parabola, slopes=(1.26, 1.5), rates=10, seeds=3),
    Setting(shape=log_cosh, slopes=(0.0, 0.5), batch_sizes=5),
    Setting(shape=log_cosh, slopes=(0.6,), rates=5, batch_sizes=7, seeds=2),
    Setting(shape=log_cosh, slopes=(0.7, 1.26)),
    Setting(shape=log_cosh, slopes=(0.74,), spacing=0.5, rate_spacing=0.5),
    Setting(shape=log_cosh, slopes=(1.0,), heavy_tails=True),
    Setting(shape=log_cosh, slopes=(0.5, 0.7, 1.0, 1.26), seeds=1),
    Setting(shape=log_cosh, slopes=(0.5, 0.74, 1.0, 1.5), holes="runs"),
    Setting(shape=wall, slopes=(0.0,)),
    Setting(shape=wall, slopes=(0.5,), batch_sizes=5),
    Setting(shape=wall, slopes=(0.7,)),
    Setting(shape=wall, slopes=(0.7,), batch_sizes=5),
    Setting(shape=wall, slopes=(0.74,), seeds=10, noise=0.1),
    Setting(shape=wall, slopes=(1.0,)),
    Setting(shape=wall, slopes=(0.6, 1.0), diverges=True, seed_shift=0.3),
    Setting(shape=wall, slopes=(1.26,), spacing=0.5, rate_spacing=0.5),
    Setting(shape=wall, slopes=(1.5,), seeds=3, diverges=True),
    Setting(shape=wall, slopes=(0.0, 0.7, 1.0), batch_sizes=17, spacing=0.25, rate_spacing=0.5),
    Setting(shape=wall, slopes=(0.6, 0.7, 1.0, 1.26), seeds=1),
    Setting(shape=wall, slopes=(0.74,), heavy_tails=True, mirrored=True),
    Setting(shape=wall, slopes=(0.0, 0.6, 0.74, 1.0), diverges=True, holes="cells"),
    Setting(shape=wall, slopes=(0.7, 1.0), holes="corner"),
    Setting(shape=wall, slopes=(0.6, 1.0), centre=-2.5),
    Setting(shape=quadratic, slopes=(0.0, 0.5, 1.5), growth=0.5),
    Setting(shape=quadratic, slopes=(0.7,), rates=6, batch_sizes=6),
    Setting(shape=quadratic, slopes=(1.0,), seeds=3, heavy_tails=True, growth=0.5),
    Setting(shape=quadratic, slopes=(0.74, 1.26), run_shift=0.2),
    Setting(shape=cliff, slopes=(0.0, 0.7)),
    Setting(shape=cliff, slopes=(0.5, 1.0), batch_sizes=4),
    Setting(shape=cliff, slopes=(1.0, 1.26), noise=0.1, diverges=True, run_shift=0.2),
    Setting(shape=still_falling, slopes=(0.6, 0.7)),
    Setting(shape=still_falling, slopes=(0.5, 1.0), noise=0.1, centre=-2.5),
    Setting(shape=smooth_then_wall, slopes=(0.7,)),
    Setting(shape=smooth_then_wall, slopes=(0.5, 1.26), seeds=10, noise=0.1),
    Setting(shape=smooth_into_wall, slopes=(0.74,)),
    Setting(shape=smooth_into_wall, slopes=(0.6, 1.0), batch_sizes=6),
    Setting(shape=parabola_into_cliff, slopes=(0.7, 1.0), diverges=True),
    Setting(shape=turning_skew, slopes=(0.7, 1.5), noise=0.1),
    Setting(shape=fading, slopes=(0.7, 1.0)),
    Setting(shape=log_cosh, slopes=(), kink=True),
    Setting(shape=wall, slopes=(), kink=True, batch_sizes=6, diverges=True),
    Setting(shape=flat, slopes=()),
    Setting(shape=falling, slopes=()),
    Setting(shape=wall, slopes=(0.7, 1.0), mirrored=True, diverges=True, hypothesis="H6"),
    Setting(shape=quadratic, slopes=(0.5, 1.26), mirrored=True, seeds=3, hypothesis="H6"),
)
