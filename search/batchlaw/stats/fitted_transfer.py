"""What it costs to move a learning rate by a rule, on a fitted surface in place of replicates."""

from dataclasses import dataclass

import numpy as np

from batchlaw.stats.censored import Observations
from batchlaw.stats.contrast import Contrast
from batchlaw.stats.curves import Curve
from batchlaw.stats.fitted_surface import FittedSurface
from batchlaw.stats.law import FEWEST_LEFT, left_out
from batchlaw.stats.surface import Bools, Floats
from batchlaw.stats.transfer import Transferred

_DRAWS = 1000
_STEPS_AN_OCTAVE = 8  # of the search for the best rate
_NEAR = 0.75  # octaves: runs at batch sizes this near say how far rates were tried


@dataclass(frozen=True, eq=False)
class DrawnTransfer(Transferred):
    """As `Transferred`, with draws of the surface in place of seeds: the regrets are (n_given, n_draws)."""

    def mean(self, rows: np.ndarray, alpha: float = 0.05) -> Contrast:
        """The mean regret over batch sizes, with its interval over draws."""
        return _contrast(self.regrets[rows].mean(axis=0), alpha)

    def less(self, other: Transferred, rows: np.ndarray, alpha: float = 0.05) -> Contrast:
        """The mean regret less that of another rule, paired by draw."""
        return _contrast((self.regrets[rows] - other.regrets[rows]).mean(axis=0), alpha)


def _contrast(drawn: Floats, alpha: float) -> Contrast:
    low, high = np.quantile(drawn, [alpha / 2, 1 - alpha / 2])
    either = min(float((drawn <= 0).mean()), float((drawn >= 0).mean()))
    return Contrast(float(drawn.mean()), float(low), float(high), min(2 * max(either, 1 / len(drawn)), 1.0))


@dataclass(frozen=True, eq=False)
class Carrying:
    """A fitted surface at the batch sizes between which learning rates are moved."""

    surface: FittedSurface
    given: Floats  # (n_given,) batch sizes
    grids: tuple[Floats, ...]  # n_given times: log₂ of rates within those tried near by
    tuned: Floats  # (n_given,) log₂ of the best rate on the surface

    @classmethod
    def of(cls, surface: FittedSurface) -> "Carrying | None":
        """At the batch sizes of the surface's ridge near which rates were tried; None at fewer than two."""
        found = [(size, grid) for size in surface.ridge("batch_size").given if len(grid := _grid(surface, size)) > 1]
        if len(found) < 2:
            return None
        given, grids = np.array([size for size, _ in found]), tuple(grid for _, grid in found)
        tuned = [grid[surface.costly(_places(grid, size))[0].argmax()] for size, grid in found]
        return cls(surface, given, grids, np.array(tuned))

    def by_slope(self, reference: int, slope: float, generator: np.random.Generator) -> DrawnTransfer:
        """The rate tuned at a reference batch size, multiplied by (B/B_ref)^slope; `reference` is its index."""
        octaves = np.log2(self.given) - np.log2(self.given[reference])
        return self._judged(self.tuned[reference] + slope * octaves, generator)

    def by_law(self, curve: Curve, generator: np.random.Generator) -> DrawnTransfer | None:
        """The rate that a curve predicts which is fitted to the other batch sizes; None if too few are identified."""
        ridge = self.surface.ridge("batch_size")
        if ridge.lack_of_curve or ridge.identified.sum() <= FEWEST_LEFT:
            return None
        rates = left_out(ridge, curve, *Observations.of(ridge).estimate(curve))
        return self._judged(rates[np.isin(ridge.given, self.given)], generator)

    def errors(self, generator: np.random.Generator) -> Floats:
        """The standard error of the surface at the best rate, (n_given,)."""
        return np.asarray(self._draws(self.tuned[:, None], generator)[:, :, 0].std(axis=0))

    def _judged(self, rates: Floats, generator: np.random.Generator) -> DrawnTransfer:
        ends = np.array([(grid[0], grid[-1]) for grid in self.grids])
        beyond: Bools = (rates < ends[:, 0] - 1e-9) | (rates > ends[:, 1] + 1e-9)
        drawn = self._draws(np.stack([self.tuned, np.clip(rates, *ends.T)], axis=1), generator)
        regrets = (drawn[:, :, 0] - drawn[:, :, 1]).T
        return DrawnTransfer(np.tile(rates[:, None], (1, _DRAWS)), regrets, beyond)

    def _draws(self, rates: Floats, generator: np.random.Generator) -> Floats:
        """Scores at rates (n_given, n), log₂, on surfaces that the runs allow: (n_draws, n_given, n)."""
        n = rates.shape[1]
        places = np.stack([rates.ravel(), np.repeat(np.log2(self.given), n)], axis=1)
        return self.surface.costly_draws(places, _DRAWS, generator).reshape(_DRAWS, len(self.given), n)


def _places(rates: Floats, batch_size: float) -> Floats:
    return np.stack([rates, np.full_like(rates, np.log2(batch_size))], axis=1)


def _grid(surface: FittedSurface, batch_size: float) -> Floats:
    tried = surface.heights.x[np.abs(surface.heights.y - np.log2(batch_size)) <= _NEAR]
    if not len(tried) or np.ptp(tried) == 0:
        return np.array([])
    return np.linspace(tried.min(), tried.max(), max(round(float(np.ptp(tried)) * _STEPS_AN_OCTAVE), 2) + 1)
