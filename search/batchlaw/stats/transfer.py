"""What it costs to carry a learning rate to another batch size by a rule, in place of tuning it there."""

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import Akima1DInterpolator

from batchlaw.stats.censored import Observations
from batchlaw.stats.contrast import Contrast, paired
from batchlaw.stats.curves import LINE, Curve
from batchlaw.stats.law import FEWEST_LEFT, left_out
from batchlaw.stats.optimum import optima, ridge
from batchlaw.stats.slope import shortfall
from batchlaw.stats.surface import Bools, Floats, Surface

_RESAMPLES = 100  # for the errors of optima, which only weigh them here


@dataclass(frozen=True, eq=False)
class Carried:
    """The rates that a rule gives, and the regret of each: the score after tuning less the score at that rate."""

    rates: Floats  # (n_given, n_seeds), log₂; of each seed the rate tuned on the others
    regrets: Floats  # (n_given, n_seeds)
    beyond: Bools  # (n_given,): the rate lies beyond those tried for a seed, whose regret is that of the last one tried

    def mean(self, rows: np.ndarray, alpha: float = 0.05) -> Contrast:
        """Over batch sizes, with Student's interval over seeds."""
        regret = self.regrets[rows].mean(axis=0)
        return paired(regret, np.zeros_like(regret), alpha)


def tuned_rates(surface: Surface) -> Floats:
    """The best rate, log₂, at each batch size for each seed, on the other seeds alone, (n_given, n_seeds)."""
    n = surface.n_replicates
    others = (surface.scores.sum(axis=2, keepdims=True) - surface.scores) / (n - 1)
    return optima(surface, others.transpose(2, 0, 1)).T


def scores_at(surface: Surface, rates: Floats) -> Floats:
    """The score of each seed at rates (n_given, n_seeds), log₂, between levels by Akima's local cubic (1970).

    It passes through a parabola exactly, so that a rate between two levels is at no disadvantage, and a cliff does not
    spoil what lies further off.

    A rate beyond the levels tried has the score of the last one.
    """
    log2_tuned = np.log2(surface.tuned)
    inside = np.clip(rates, log2_tuned[0], log2_tuned[-1])
    found = np.empty_like(inside)
    for row, scores in enumerate(surface.scores):
        found[row] = np.diag(Akima1DInterpolator(log2_tuned, scores)(inside[row]))
    return found


def carry(surface: Surface, reference: int, slope: float) -> Carried:
    """The rate tuned at a reference, times (B/B_ref)^slope.

    Args:
        surface: the batch size given, the learning rate tuned, paired seeds.
        reference: the row of the batch size at which the rate is tuned.
        slope: 0, ½ or 1 for the constant, square root and linear rules.
    """
    octaves = np.log2(surface.given) - np.log2(surface.given[reference])
    return _judged(surface, tuned_rates(surface)[reference] + slope * octaves[:, None])


def carry_by_law(surface: Surface, curve: Curve = LINE, *, seed: int = 0) -> Carried | None:
    """The rate of a curve fitted to the other batch sizes and the other seeds; None where those tell too little."""
    n = surface.n_replicates
    rates = np.empty((len(surface.given), n))
    for held_out in range(n):
        kept = np.arange(n) != held_out
        rest = Surface(
            surface.given, surface.tuned, surface.scores[:, :, kept], surface.unstable[:, :, kept], surface.paired
        )
        found = ridge(rest, np.random.default_rng(seed), n_resamples=_RESAMPLES)
        if shortfall(found) or found.identified.sum() <= FEWEST_LEFT:
            return None
        rates[:, held_out] = left_out(found, curve, *Observations.of(found).estimate(curve))
    return _judged(surface, rates)


def difference(first: Carried, second: Carried, rows: np.ndarray) -> Contrast:
    """The mean regret of one rule less that of another, seed by seed."""
    return paired(first.regrets[rows].mean(axis=0), second.regrets[rows].mean(axis=0))


def seed_error(surface: Surface) -> Floats:
    """The standard error over seeds of the score after tuning, at each batch size."""
    retuned = scores_at(surface, tuned_rates(surface))
    return np.asarray(retuned.std(axis=1, ddof=1) / np.sqrt(retuned.shape[1]))


def _judged(surface: Surface, rates: Floats) -> Carried:
    log2_tuned = np.log2(surface.tuned)
    beyond = np.any((rates < log2_tuned[0] - 1e-9) | (rates > log2_tuned[-1] + 1e-9), axis=1)
    return Carried(rates, scores_at(surface, tuned_rates(surface)) - scores_at(surface, rates), beyond)
