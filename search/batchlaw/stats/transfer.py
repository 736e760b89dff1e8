"""The cost of transferring a learning rate to another batch size by a rule instead of tuning it there."""

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import Akima1DInterpolator

from batchlaw.stats.censored import Observations
from batchlaw.stats.contrast import Contrast, paired
from batchlaw.stats.curves import LINE, Curve
from batchlaw.stats.law import FEWEST_LEFT, left_out
from batchlaw.stats.optimum import ridge
from batchlaw.stats.surface import Bools, Floats, Surface

_REACH = 2.0  # octaves from the best cell: so far a parabola is fitted


@dataclass(frozen=True, eq=False)
class Transferred:
    """The learning rates that a rule gives, and their regrets: the score after tuning minus the score at that rate."""

    rates: Floats  # (n_given, n_seeds) log₂; for each seed from runs of the other seeds
    regrets: Floats  # (n_given, n_seeds) in units of scores
    beyond: Bools  # (n_given,) a rate lies outside those tried; its regret is that of the last rate tried

    def mean(self, rows: np.ndarray, alpha: float = 0.05) -> Contrast:
        """The mean regret over batch sizes, with Student's interval over seeds; `rows` are indices of batch sizes."""
        regret = self.regrets[rows].mean(axis=0)
        return paired(regret, np.zeros_like(regret), alpha)

    def less(self, other: "Transferred", rows: np.ndarray, alpha: float = 0.05) -> Contrast:
        """The mean regret less that of another rule, paired by seed."""
        return paired(self.regrets[rows].mean(axis=0), other.regrets[rows].mean(axis=0), alpha)


def comparable(surface: Surface) -> Bools:
    """Given levels at which a rate can be tuned and scored, (n_given,).

    Each seed has three scores there, or more, and some run is stable.
    """
    there = ~np.isnan(surface.scores)
    return np.asarray((there.sum(axis=1) >= 3).all(axis=1) & (there & ~surface.unstable).any(axis=(1, 2)))


def tuned_rates(surface: Surface) -> Floats:
    """The best rate at each batch size for each seed, found on the other seeds; log₂, (n_given, n_seeds).

    It is the top of a parabola through the cells within two octaves of the best one, between its neighbours. Where one
    of those has an unstable run, a rate between may diverge, and the best cell's own is taken. Levels at which the
    other seeds have no score are left out.
    """
    places, usable = np.log2(surface.tuned), surface.usable
    means = surface.means_of_others
    found = np.empty(means.shape[::2])
    for row, seed in np.ndindex(*found.shape):
        there = np.isfinite(means[row, :, seed])
        at, scores, stable = places[there], means[row, there, seed], usable[row, there]
        best = int(scores.argmax())
        found[row, seed] = at[best]
        near = (np.abs(at - at[best]) <= _REACH + 1e-9) & stable
        if 0 < best < len(at) - 1 and near[best - 1 : best + 2].all():
            curvature, slope, _ = np.polyfit(at[near] - at[best], scores[near], 2)
            if curvature < 0:
                inside = np.clip(-slope / (2 * curvature), *(at[[best - 1, best + 1]] - at[best]))
                found[row, seed] += inside
    return found


def scores_at(surface: Surface, rates: Floats) -> Floats:
    """The score of each seed at rates between the levels tried, (n_given, n_seeds).

    It is interpolated by Akima's local cubic (1970). This is exact for a parabola, so a rate between two levels is not
    at a disadvantage, and a cliff affects only the levels next to it. A rate outside the levels has the score of the
    last one. Levels at which a seed has no score are left out for that seed; one with fewer than two levels has NaN.

    Args:
        surface: the batch size given, the learning rate tuned.
        rates: (n_given, n_seeds) log₂.
    """
    log2_tuned = np.log2(surface.tuned)
    found = np.full(rates.shape, np.nan)
    for row, scores in enumerate(surface.scores):
        if not np.isnan(scores).any():
            inside = np.clip(rates[row], log2_tuned[0], log2_tuned[-1])
            found[row] = np.diag(Akima1DInterpolator(log2_tuned, scores)(inside))
            continue
        for seed, there in enumerate(~np.isnan(scores).T):
            if there.sum() >= 2:
                levels = log2_tuned[there]
                curve = Akima1DInterpolator(levels, scores[there, seed])
                found[row, seed] = curve(np.clip(rates[row, seed], levels[0], levels[-1]))
    return found


def transfer_by_rule(surface: Surface, reference: int, slope: float) -> Transferred:
    """The rate tuned at a reference batch size, multiplied by (B/B_ref)^slope.

    Args:
        surface: the batch size given, the learning rate tuned, paired seeds.
        reference: the index of the reference batch size.
        slope: 0, ½ or 1 for the constant, the square root and the linear rule.
    """
    octaves = np.log2(surface.given) - np.log2(surface.given[reference])
    return _judged(surface, tuned_rates(surface)[reference] + slope * octaves[:, None])


def transfer_by_law(surface: Surface, curve: Curve = LINE) -> Transferred | None:
    """The rate that a curve predicts which is fitted to the other batch sizes and the other seeds.

    Args:
        surface: the batch size given, the learning rate tuned, paired seeds.
        curve: to fit.

    Returns:
        None if too few optima are identified.
    """
    n = surface.n_replicates
    rates = np.empty((len(surface.given), n))
    for held_out in range(n):
        kept = np.arange(n) != held_out
        rest = Surface(
            surface.given, surface.tuned, surface.scores[:, :, kept], surface.unstable[:, :, kept], surface.paired
        )
        found = ridge(rest, np.random.default_rng(0))
        if found.lack_of_curve or found.identified.sum() <= FEWEST_LEFT:
            return None
        rates[:, held_out] = left_out(found, curve, *Observations.of(found).estimate(curve))
    return _judged(surface, rates)


def seed_error(surface: Surface) -> Floats:
    """The standard error over seeds of the score after tuning, (n_given,)."""
    retuned = scores_at(surface, tuned_rates(surface))
    return np.asarray(retuned.std(axis=1, ddof=1) / np.sqrt(retuned.shape[1]))


def _judged(surface: Surface, rates: Floats) -> Transferred:
    log2_tuned, last = np.log2(surface.tuned), len(surface.tuned) - 1
    there = ~np.isnan(surface.scores)  # the ends are those of the levels at which a seed has a score
    low, high = log2_tuned[there.argmax(axis=1)], log2_tuned[last - there[:, ::-1].argmax(axis=1)]
    beyond = np.any((rates < low - 1e-9) | (rates > high + 1e-9), axis=1)
    return Transferred(rates, scores_at(surface, tuned_rates(surface)) - scores_at(surface, rates), beyond)
