"""A smooth surface through single or ragged runs: one seed, holes, random designs, the trials of a search.

Example: 100 runs of one seed on a grid with holes, of which some diverged. No cell tells how much a run varies. A
smooth surface does: what it leaves of the scores is noise or its own lack of fit, and neither may count as a signal.

The surface is a Gaussian process over u = log₂ ε - s·log₂ B and log₂ B, on a scale on which walls are low (see
`scattered.Heights`). Where the curves of all batch sizes are copies of one, it is long in the second. Runs that
diverged are as bad as the worst, and no worse. Blocks have levels of their own.

Where a given factor has levels, the ridge over it is that of `optimum.ridge_of`: sets that assume nothing of a curve
but that it falls and rises, with the noise of the surface in place of that of replicates. Where it has none, runs that
are near in it are moved along the surface until they share one. (Optima of draws of the surface are no substitute:
beside walls their 95 % sets held the best in 4 to 40 % of simulated random designs, as a smooth surface has no wall.)
"""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from batchlaw.stats.cells import Cells, common_variance
from batchlaw.stats.censored import fit
from batchlaw.stats.curves import LINE
from batchlaw.stats.draws import normal_draws
from batchlaw.stats.gaussian_process import Kernel, Prior, Process, matern, penalty, squared_differences
from batchlaw.stats.law import slope_of
from batchlaw.stats.optimum import Ridge, ridge_of
from batchlaw.stats.scattered import Factor, Heights, Scattered
from batchlaw.stats.slope import Slope
from batchlaw.stats.surface import Bools, Floats

FEWEST_RUNS = 16  # with a score, for the five parameters of a surface and its noise (assumption)
FEWEST_LEVELS, FEWEST_OCTAVES = 3, 1.5  # of each factor, for a surface over both (assumption)
_SHEARS = np.linspace(-0.5, 1.5, 9)  # slopes of the ridge that are tried; the surface bends to those between
_FEWEST_OF_A_LEVEL, _LEVEL_OCTAVES = 4, 2.0  # runs at a level, and their reach, for a set of its own
_LEVELLED = 0.8  # share of runs at such levels, for a ridge by levels
_OF_A_BIN, _MOST_BINS = 8, 10  # runs of a bin, where the given factor has no levels
_FINE = 41  # places at which the best of the surface is sought
_USUAL, _SLOPES = 0.7, (-0.5, 2.0)  # first slope of a ridge, where the surface shows none, and its bounds
_LOOSE, _FULL = 0.5, 0.65  # share of the cells of a grid that were run, for a grid at all, and to decide
_UNKNOWN = 0.35  # standard deviation of the surface, over that without runs, beyond which nothing is known
_FEWEST_TO_DECIDE = 7  # learning rates and batch sizes
_WIDER = 1.5  # of the interval of a slope; set by simulation with shapes that drift
_NOISY = 3.0  # standard deviation, on the scale of heights, of what is only known to be bad
_LEAST_LEFT = 1e-3  # of a degree of freedom
# A few, since critical values are simulated for each.
_FREEDOMS = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 40.0)
_SMALLEST = 1e-9  # noise over the spread of heights: scores are no more precise than their digits


class Lack(NamedTuple):
    """Why there is no surface, and how many more runs would do."""

    reason: str
    n_more: int


@dataclass(frozen=True, eq=False)
class FittedSurface:
    """The surface, its noise, and what it says of the optima."""

    heights: Heights
    process: Process  # of the scaled heights less `middle` and the block's offset, over u and log₂ B
    shear: float  # s: octaves of the rate an octave of the batch size
    offsets: Floats  # (n_blocks,) of the blocks, on the scale of heights
    noise: float  # standard deviation of a run near the optima, in units of scores: residuals, with lack of fit
    degrees_of_freedom: float  # of the noise
    alpha: float
    best: float  # the best score of a run
    doubt: str | None = None  # why no verdict may rest on the runs, as a clause
    _ridges: dict[Factor, Ridge] = field(default_factory=dict, repr=False)

    @property
    def decides(self) -> bool:
        """Whether verdicts may rest on it; calibrated by `tests/benchmarks/fitted_calibration.py`."""
        return self.guide is None

    @property
    def guide(self) -> str | None:
        """Why it is a guide only, as a clause; None where verdicts may rest on it.

        Simulated verdicts on grids of 8 × 9 with up to 30 % of the cells missing were wrong in 5 % or less, and
        their slopes and levels covered in 93 % or more, on all shapes. Of other designs that is not shown
        (`tests/benchmarks/fitted_calibration.py`).
        """
        if self.doubt is not None:
            return self.doubt
        levels = [len(np.unique(axis)) for axis in self.heights.places.T]
        filled = len(np.unique(self.heights.places, axis=0)) / (levels[0] * levels[1])
        if filled < _LOOSE:
            return "the runs lie on no grid"
        if filled < _FULL:
            return f"{1 - filled:.0%} of the cells of the grid have no run"
        if min(levels) < _FEWEST_TO_DECIDE:
            return f"it has {levels[0]} learning rates and {levels[1]} batch sizes, fewer than {_FEWEST_TO_DECIDE}"
        if len(self.offsets) > 1:
            return "the runs differ in other factors, too"
        return None

    def ridge(self, given: Factor = "batch_size") -> Ridge:
        """The set of the best tuned level at each given level, with its slope where there is one.

        Args:
            given: the factor that is given: "batch_size" for ε_opt(B), "lr" for B_opt(ε).
        """
        if given not in self._ridges:
            self._ridges[given] = self._by_levels(given) if self._has_levels(given) else self._by_bins(given)
        return self._ridges[given]

    def slope(self, given: Factor = "batch_size") -> Slope | None:
        """The slope of the ridge, octaves of the tuned factor an octave of the given one; None where it has none."""
        found = self.ridge(given)
        if found.slope is not None or found.lack_of_curve is not None:
            return found.slope
        return slope_of(fit(found, LINE), self.alpha)

    @property
    def has_slope(self) -> bool:
        """Whether the best level of one factor is seen to move, or to stay, with the other."""
        slopes = [self.slope(given) for given in ("lr", "batch_size")]
        return any(slope is not None and not slope.undetermined for slope in slopes)

    @property
    def lack_of_fit(self) -> str | None:
        """What the surface shows that its model does not have, as a sentence; None where nothing is seen."""
        if self.ridge("batch_size").slope is not None and not self.ridge("batch_size").copies:
            return "the curves of the batch sizes differ in shape"
        return None

    def predict(self, log2_lr: Floats, log2_batch_size: Floats) -> tuple[Floats, Floats, Floats]:
        """The score less that of the best runs of the first block, with the ends of its interval, each (n,).

        Args:
            log2_lr: (n,)
            log2_batch_size: (n,)
        """
        mean, deviation = self.process.predict(self._points(np.stack([log2_lr, log2_batch_size], axis=1)))
        reach = float(special.stdtrit(max(self.degrees_of_freedom, 1.0), 1 - self.alpha / 2)) * deviation
        middle = mean + self.middle
        found = [-self.heights.unit * np.sinh(middle + off) for off in (0.0, reach, -reach)]
        return found[0], found[1], found[2]

    @cached_property
    def middle(self) -> float:
        """The mean of the scaled heights, which the process leaves out."""
        return float((self.heights.scaled - self.offsets[self.heights.block]).mean())

    def known(self, places: Floats) -> Bools:
        """Whether runs near places (n, 2) of log₂ rate and log₂ batch size tell the surface there, (n,)."""
        _, deviation = self.process.predict(self._points(places))
        return np.asarray(deviation <= _UNKNOWN * np.sqrt(self.process.variance))

    def costly(self, places: Floats) -> tuple[Floats, Floats]:
        """The score at places (n, 2) of log₂ rate and log₂ batch size, and its standard deviation, (n,) each.

        It is less that of the best runs. Unlike the surface of the optima it tells how bad bad runs are.
        """
        mean, deviation = self._costly.predict(self._points(places))
        scaled = mean + self._costly_middle
        return -self.heights.unit * np.sinh(scaled), self.heights.unit * np.cosh(scaled) * deviation

    def costly_draws(self, places: Floats, size: int, generator: np.random.Generator) -> Floats:
        """Surfaces that the runs allow, as `costly`, (size, n)."""
        mean, covariance = self._costly.posterior(self._points(places))
        drawn = normal_draws(mean + self._costly_middle, covariance, size, generator)
        return np.asarray(-self.heights.unit * np.sinh(drawn))

    @property
    def _costly_scaled(self) -> Floats:
        return np.asarray(np.arcsinh(self.heights.full / self.heights.unit) - self.offsets[self.heights.block])

    @property
    def _costly_middle(self) -> float:
        return float(self._costly_scaled.mean())

    @cached_property
    def _costly(self) -> Process:
        values = self._costly_scaled - self._costly_middle
        return Process.of(
            self.process.kernel, self.process.points, values, alike=np.diag(_errors(self.heights)),
            variance=self.process.variance,
        )  # fmt: skip

    def _points(self, places: Floats) -> Floats:
        return sheared(places, self.shear)

    def _factors(self, given: Factor) -> tuple[Floats, Floats]:
        """log₂ of the given and of the tuned factor, (n_runs,) each."""
        return (self.heights.y, self.heights.x) if given == "batch_size" else (self.heights.x, self.heights.y)

    def _has_levels(self, given: Factor) -> bool:
        fixed, tuned = self._factors(given)
        return float(_at_levels(fixed, tuned).mean()) >= _LEVELLED

    def _by_bins(self, given: Factor) -> Ridge:
        """The ridge where the given factor has no levels: runs that are near in it are one level, the middle of a bin.

        A run is moved there along the surface: its tuned factor by a first slope of the ridge, its score by the best
        score at its given factor. What the first slope is wrong by counts within a bin only.
        """
        fixed, tuned = self._factors(given)
        centres, bin_of = _bins(fixed, self.heights.diverged)
        best, _ = self._best(given, fixed)
        middle, places = self._best(given, centres)
        inside = (places > tuned.min()) & (places < tuned.max())
        slope = self.shear if given == "batch_size" else _USUAL
        if inside.sum() >= FEWEST_LEVELS:
            slope = float(np.clip(np.polyfit(centres[inside], places[inside], 1)[0], *_SLOPES))
        moved = tuned + slope * (centres[bin_of] - fixed)
        return self._ridge_of(centres[bin_of], moved, self._scores + (middle[bin_of] - best), self.heights.diverged)

    def _best(self, given: Factor, at: Floats) -> tuple[Floats, Floats]:
        """The best score on the surface at given levels (n,), log₂, and its place, (n,) each."""
        fixed, tuned = self._factors(given)
        levels = np.linspace(fixed.min(), fixed.max(), _FINE)
        steps = np.linspace(tuned.min(), tuned.max(), 2 * _FINE)
        places = np.stack([part.ravel() for part in np.meshgrid(levels, steps, indexing="ij")], axis=1)
        places = places if given == "lr" else places[:, ::-1]
        mean = self.process.predict(self._points(places))[0].reshape(len(levels), -1)
        lowest = -self.heights.unit * np.sinh(mean.min(axis=1) + self.middle)
        return np.interp(at, levels, lowest), np.interp(at, levels, steps[mean.argmin(axis=1)])

    def _by_levels(self, given: Factor) -> Ridge:
        fixed, tuned = self._factors(given)
        kept = _at_levels(fixed, tuned)
        return self._ridge_of(fixed[kept], tuned[kept], self._scores[kept], self.heights.diverged[kept])

    @property
    def _scores(self) -> Floats:
        """The scores less those of the best runs, and less the offset of their block, (n_runs,)."""
        return np.asarray(-self.heights.unit * np.sinh(self.heights.scaled - self.offsets[self.heights.block]))

    def _ridge_of(self, fixed: Floats, tuned: Floats, scores: Floats, diverged: Bools) -> Ridge:
        cells = _cells(fixed, tuned, scores, diverged, self.noise**2, self.degrees_of_freedom)
        levels = [2 ** np.unique(each) for each in (fixed, tuned)]
        found = ridge_of(cells, levels[0], levels[1], np.random.default_rng(0), alpha=self.alpha)
        slope = found.slope
        if slope is None or slope.bounded:
            return found
        # Single runs do not show that flanks change from level to level as well as replicates do.
        reach = _WIDER * (slope.ci_high - slope.ci_low) / 2
        return replace(found, slope=Slope.between(slope.slope - reach, slope.slope + reach, self.alpha))


def fitted_surface(runs: Scattered, *, alpha: float = 0.05) -> FittedSurface | Lack:
    """Fit a smooth surface to runs, or say what is missing for one.

    Args:
        runs: single runs, replicates or both.
        alpha: 1 minus the confidence of every interval.
    """
    runs = runs.told
    lack = _lack(runs)
    if lack is not None:
        return lack
    heights = Heights.of(runs)
    return _fit(heights, alpha, float(runs.scores[~runs.diverged].max()))


def _lack(runs: Scattered) -> Lack | None:
    stable = ~runs.diverged
    n = int(stable.sum())
    if n < FEWEST_RUNS:
        return Lack(f"{n} runs with a score; a surface needs {FEWEST_RUNS}", FEWEST_RUNS - n)
    if np.ptp(runs.scores[stable]) == 0:
        return Lack("every run has the same score", 1)
    for name, values in (("learning rates", runs.lr), ("batch sizes", runs.batch_size)):
        distinct = len(np.unique(values[stable]))
        octaves = float(np.ptp(np.log2(values[stable])))
        if distinct < FEWEST_LEVELS or octaves < FEWEST_OCTAVES:
            needs = f"a surface needs {FEWEST_LEVELS} over {FEWEST_OCTAVES:g}"
            return Lack(f"{distinct} {name} over {octaves:.1f} octaves; {needs}", max(FEWEST_LEVELS - distinct, 1))
    apart = np.corrcoef(np.log2(runs.lr[stable]), np.log2(runs.batch_size[stable]))[0, 1]
    if abs(apart) > 0.98:
        return Lack("the rate was moved with the batch size in every run, so neither was varied at a fixed other", 3)
    return None


def _fit(heights: Heights, alpha: float, best: float) -> FittedSurface:
    scaled, places = heights.scaled, heights.places
    offsets = np.array([scaled[heights.block == number].mean() for number in range(heights.block.max() + 1)])
    offsets -= offsets.mean()
    prior = _prior(places)
    for _ in range(2 if len(offsets) > 1 else 1):
        values = scaled - offsets[heights.block]
        values -= values.mean()
        shear, kernel = _kernel(places, values, prior)
        process = Process.of(kernel, sheared(places, shear), values, alike=np.diag(_errors(heights)))
        fitted = process.predict(process.points)[0]
        if len(offsets) > 1:
            moved = np.bincount(heights.block, values - fitted) / np.bincount(heights.block)
            offsets = offsets + moved - moved.mean()
    values = scaled - offsets[heights.block]
    values -= values.mean()
    process = Process.of(kernel, sheared(places, shear), values, alike=np.diag(_errors(heights)))
    noise, freedom = _noise(heights, process, values, offsets)
    return FittedSurface(heights, process, shear, offsets, noise, freedom, alpha, best)


def sheared(places: Floats, shear: float) -> Floats:
    """u = log₂ ε - s·log₂ B and log₂ B, (n, 2)."""
    return np.stack([places[:, 0] - shear * places[:, 1], places[:, 1]], axis=1)


def _prior(places: Floats) -> Prior:
    """Of the length scales along u and along the batch size, octaves, and of the noise over the surface's variance."""
    spacing = [max(float(np.median(np.diff(np.unique(axis)))), 0.25) for axis in places.T]
    low = np.log([spacing[0], 2 * spacing[1], 1e-5])
    high = np.log([20.0, 60.0, 3.0])
    middle = np.clip(np.log([3.0, 8.0, 0.02]), low, high)
    return Prior(middle=middle, deviation=np.array([1.0, 1.0, 3.0]), low=low, high=high, start=middle)


def _kernel(places: Floats, values: Floats, prior: Prior) -> tuple[float, Kernel]:
    """The most probable shear and kernel: the shear at the prior's middle, then both in turn."""
    flat = np.zeros(2, dtype=bool)
    apart = [squared_differences(points, points, flat) for points in (sheared(places, shear) for shear in _SHEARS)]
    logs = prior.start
    best = -1
    for _ in range(3):
        at = int(np.argmin([penalty(logs, squared, values, matern, prior)[0] for squared in apart]))
        if at == best:
            break
        best = at
        kernel = Kernel.fitted(sheared(places, float(_SHEARS[best])), values, flat, matern, prior, steps=40)
        logs = np.log(np.append(kernel.scales, kernel.noise))
    return float(_SHEARS[best]), kernel


def _errors(heights: Heights) -> Floats:
    """The variance of each run's scaled height, over that of a run at height 0, (n_runs,)."""
    errors = 1 / (1 + (heights.heights / heights.unit) ** 2)
    return np.where(heights.worst, 1.0, errors)


def _noise(heights: Heights, process: Process, values: Floats, offsets: Floats) -> tuple[float, float]:
    """The standard deviation of a run near the optima, in units of scores, and its degrees of freedom.

    It is that of the residuals of the better half of the runs, over what the fit has left of their freedom. What the
    surface does not fit counts as noise.
    """
    errors = process.kernel.noise * _errors(heights)
    inverse = np.linalg.inv(process.kernel.between(process.points, process.points) + np.diag(errors))
    left_matrix = errors[:, None] * inverse  # residuals from values
    residual = left_matrix @ values
    left = (left_matrix**2).sum(axis=1)
    fitted = np.sinh(values - residual + (heights.scaled - offsets[heights.block]).mean())
    near = (fitted <= np.median(fitted)) & ~heights.worst & (left > _LEAST_LEFT)
    raw = residual[near] * heights.unit * np.sqrt(1 + fitted[near] ** 2)
    variance = common_variance(raw**2 / left[near], left[near])
    smallest = _SMALLEST * float(np.ptp(heights.heights))
    known = float(left[near].sum())
    return max(float(np.sqrt(variance)), smallest), max((n for n in _FREEDOMS if n <= known), default=1.0)


def _at_levels(fixed: Floats, tuned: Floats) -> Bools:
    """Which runs are at a given level that has enough others for a set of its own, (n_runs,)."""
    _, level = np.unique(fixed, return_inverse=True)
    enough = []
    for number in range(level.max() + 1):
        own = np.unique(tuned[level == number])
        enough.append(len(own) >= _FEWEST_OF_A_LEVEL and np.ptp(own) >= _LEVEL_OCTAVES - 1e-9)
    return np.array(enough)[level]


def _bins(fixed: Floats, diverged: Bools) -> tuple[Floats, NDArray[np.intp]]:
    """The middles of bins with as many stable runs each, (n_bins,) log₂, and the bin of each run, (n_runs,)."""
    stable = fixed[~diverged]
    n = int(np.clip(len(stable) // _OF_A_BIN, FEWEST_LEVELS, _MOST_BINS))
    ends = np.unique(np.quantile(stable, np.linspace(0, 1, n + 1)[1:-1]))
    _, bin_of = np.unique(np.searchsorted(ends, fixed), return_inverse=True)
    return np.bincount(bin_of, fixed) / np.bincount(bin_of), bin_of


def _cells(
    fixed: Floats, tuned: Floats, scores: Floats, diverged: Bools, variance: float, degrees_of_freedom: float
) -> Cells:
    """The mean of each cell, with the noise of the surface in place of that of replicates."""
    keys, cell = np.unique(np.stack([fixed, tuned], axis=1), axis=0, return_inverse=True)
    count, n_diverged = np.bincount(cell), np.bincount(cell, diverged)
    given = np.unique(fixed)
    level: NDArray[np.intp] = np.searchsorted(given, keys[:, 0])
    return Cells(
        level=level, place=keys[:, 1], means=np.bincount(cell, scores) / count, own_variances=variance / count,
        usable=n_diverged == 0, dead=n_diverged == count, given=2**given, degrees_of_freedom=degrees_of_freedom,
        replicated=True, n_seeds=1, common_shift=0.0,
    )  # fmt: skip
