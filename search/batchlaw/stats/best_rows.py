"""Which rows of a surface have the best score where their best column is taken, and which cannot be told from it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from batchlaw.stats.fitted_surface import FittedSurface
from batchlaw.stats.surface import Floats, Surface

_DRAWS = 4000
_RATES = 25  # at which the best of a batch size is sought


@dataclass(frozen=True, eq=False)
class BestRows:
    """The best of each row.

    The intervals of what is lost hold for all rows together (Bonferroni), so that the rows whose interval reaches 0 are
    a set that holds the best one.
    """

    tuned: Floats  # (n_rows,) the level of the best column
    means: Floats  # (n_rows,) its mean score, higher is better; NaN where a row has none
    errors: Floats  # (n_rows,) standard errors
    lost: Floats  # (n_rows, 3) score lost against the best row, and the ends of its interval

    @property
    def best(self) -> int:
        """The best row."""
        return int(np.nanargmax(self.means))

    @property
    def tied(self) -> NDArray[np.bool_]:
        """The rows that cannot be told from the best, (n_rows,)."""
        return np.asarray(self.lost[:, 1] <= 0)


def of_replicates(surface: Surface, alpha: float) -> BestRows:
    """By the scores of seeds; the deviation is common to the best cells of all rows.

    Args:
        surface: with replicates.
        alpha: one less the confidence of all intervals together.
    """
    usable = surface.usable if surface.usable.any() else surface.counts > 0
    means = np.where(usable, surface.means, -np.inf)
    rows = np.arange(len(surface.given))
    at = means.argmax(axis=1)
    there = np.isfinite(means[rows, at])
    scores = np.where(there[:, None], surface.scores[rows, at], np.nan)  # (n_rows, n_seeds)
    counts = (~np.isnan(scores)).sum(axis=1)
    found = np.where(there, means[rows, at], np.nan)
    off = scores - found[:, None]
    if surface.paired and there.sum() > 1 and not np.isnan(off[there]).any():
        off = off - off[there].mean(axis=0)  # a seed's own level is in all rows
        freedom = (int(there.sum()) - 1) * (scores.shape[1] - 1)
    else:
        freedom = int((counts[there] - 1).sum())
    deviation = float(np.sqrt(np.nansum(off**2) / freedom)) if freedom > 0 else np.inf
    errors = deviation / np.sqrt(np.maximum(counts, 1))
    best = int(np.nanargmax(found))
    reach = special.stdtrit(max(freedom, 1), 1 - alpha / 2 / max(int(there.sum()) - 1, 1))
    gap = found[best] - found
    half = reach * np.sqrt(errors**2 + errors[best] ** 2)
    half[best] = 0.0
    lost = np.stack([gap, gap - half, gap + half], axis=1)
    return BestRows(surface.tuned[at], found, errors, lost)


def of_surface(surface: FittedSurface, batch_sizes: Floats, alpha: float) -> BestRows:
    """By draws of a fitted surface at batch sizes (n_rows,); means are scores less that of the best runs.

    Rates beyond those tried near a batch size have no part.
    """
    runs = surface.heights
    rates, sizes = [], []
    for size in np.log2(batch_sizes):
        near = np.abs(runs.y - size) <= max(float(np.abs(runs.y - size).min()), 0.5) + 1e-9
        rates.append(np.linspace(runs.x[near].min(), runs.x[near].max(), _RATES))
        sizes.append(np.full(_RATES, size))
    places = np.stack([np.concatenate(rates), np.concatenate(sizes)], axis=1)
    shape = (len(batch_sizes), _RATES)
    mean, at = surface.costly(places)[0].reshape(shape), np.arange(shape[0])
    best_rate = mean.argmax(axis=1)
    drawn = surface.costly_draws(places, _DRAWS, np.random.default_rng(0)).reshape(_DRAWS, *shape).max(axis=2)
    found = mean[at, best_rate]
    best = int(found.argmax())
    gaps = drawn[:, [best]] - drawn
    level = alpha / 2 / max(len(at) - 1, 1)
    ends = np.quantile(gaps, [level, 1 - level], axis=0)
    # Draws of a smooth surface are too sure of its best (see `fitted_surface`): two single runs tell no more than this.
    half = np.sqrt(2) * surface.noise * special.stdtrit(max(surface.degrees_of_freedom, 1.0), 1 - level)
    half = np.where(at == best, 0.0, half)
    gap = found[best] - found
    lost = np.stack([gap, np.minimum(ends[0], gap - half), np.maximum(ends[1], gap + half)], axis=1)
    tuned = 2 ** np.stack(rates)[at, best_rate]
    return BestRows(tuned, found, drawn.std(axis=0), lost)
