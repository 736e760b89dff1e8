"""The means of cells whose runs differ in number and in seeds."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from batchlaw.stats.draws import normal_draws
from batchlaw.stats.surface import Bools, Floats

_REWEIGHTINGS = 3
_PRIOR_FREEDOM = 8.0  # weight of the common variance in a cell's own, in degrees of freedom (assumption; Smyth 2004)
_SEEDS = np.array([0.01, 0.1, 0.3, 1.0, 3.0, 10.0, 100.0])  # candidates: variance of seeds over that of a run
_LEAST_VARIANCE = 1e-12  # of a run, over that of all scores, which are not more precise than their digits
_LEAST_LEFT = 1e-6  # residuals with less than this share of a degree of freedom do not count
_HUBER, _HUBER_STEPS = 1.5, 20
_HUBER_SHARE = float(special.chdtr(3, _HUBER**2) + _HUBER**2 * special.chdtrc(1, _HUBER**2))  # E min(z², 1.5²)


@dataclass(frozen=True, eq=False)
class Runs:
    """Single runs over two factors. A run that diverged has a score as well."""

    given: Floats  # (n,) levels, positive
    tuned: Floats  # (n,) levels, positive
    seeds: NDArray[np.int64]  # (n,) runs with the same number share the effect of their seed
    scores: Floats  # (n,) finite, higher is better
    unstable: Bools  # (n,) the run diverged, or is no better than guessing


@dataclass(frozen=True, eq=False)
class Cells:
    """The mean score of each cell that has runs, with the covariance of their errors."""

    level: NDArray[np.intp]  # (n_cells,) index of the given level
    place: Floats  # (n_cells,) log₂ of the tuned level; ascending within a given level
    means: Floats  # (n_cells,) as if all cells had the same seeds
    covariance: Floats  # (n_cells, n_cells) of the errors of the means
    usable: Bools  # (n_cells,) every run was stable
    degrees_of_freedom: float  # of the variances

    @classmethod
    def of(cls, runs: Runs) -> "Cells":
        """Fit a mixed model with a fixed effect for each cell and a random effect for each seed.

        A cell has a few runs at most, so its variance is shrunk towards a common one. The common variance is robust:
        a minority of noisy cells, as beside a cliff, does not raise it. Unstable cells have no part in the common
        variance and no seed effect, because a seed acts differently on a run that is no better than guessing.
        """
        level, place = np.unique(runs.given, return_inverse=True)[1], np.log2(runs.tuned)
        keys, cell = np.unique(np.stack([level, place], axis=1), axis=0, return_inverse=True)
        n, seed = len(keys), np.unique(runs.seeds, return_inverse=True)[1]
        usable = np.bincount(cell, runs.unstable) == 0
        design = np.concatenate([np.eye(n)[cell], usable[cell, None] * np.eye(seed.max() + 1)[seed]], axis=1)
        spread = float(runs.scores.var())
        least = max(_LEAST_VARIANCE * spread, np.finfo(float).tiny ** 0.25)
        common, total = max(spread, least), 1.0
        variance = np.full(n, common)
        for _ in range(_REWEIGHTINGS):
            effects, covariance = _mixed(design, runs.scores, variance[cell], common * _SEEDS, n)
            residual = runs.scores - design @ effects
            left = np.maximum(1 - np.einsum("ij,jk,ik->i", design, covariance, design) / variance[cell], 0.0)
            told = usable[cell] & (left > _LEAST_LEFT)
            common = max(common_variance(residual[told] ** 2 / left[told], left[told]), least)
            squares, degrees_of_freedom = np.bincount(cell, residual**2), np.bincount(cell, left)
            variance = (_PRIOR_FREEDOM * common + squares) / (_PRIOR_FREEDOM + degrees_of_freedom)
            total = max(float(left[told].sum()), 1.0)
        effects, covariance = _mixed(design, runs.scores, variance[cell], common * _SEEDS, n)
        return cls(keys[:, 0].astype(int), keys[:, 1], effects[:n], covariance[:n, :n], usable, total)

    def draws(self, size: int, generator: np.random.Generator) -> Floats:
        """Draws of the means from their errors, (size, n_cells)."""
        return normal_draws(self.means, self.covariance, size, generator)


def _mixed(design: Floats, scores: Floats, variance: Floats, random: Floats, n: int) -> tuple[Floats, Floats]:
    """The effects (n_effects,) of a mixed model and the covariance of their errors (Henderson 1950).

    Args:
        design: (n_runs, n_effects), the fixed effects first.
        scores: (n_runs,)
        variance: (n_runs,) of a run.
        random: candidates for the variance of random effects; restricted maximum likelihood chooses one.
        n: the number of fixed effects.
    """
    weighted = design / variance[:, None]
    information, toward, n_random = design.T @ weighted, scores @ weighted, design.shape[1] - n
    found: list[tuple[float, Floats, Floats]] = []
    for each in random:
        equations = information + np.diag(np.repeat([0.0, 1 / each], [n, n_random]))
        effects = np.asarray(np.linalg.solve(equations, toward), float)
        twice = toward @ effects - np.linalg.slogdet(equations)[1] - n_random * np.log(each)
        found.append((float(twice), effects, equations))
    _, effects, equations = max(found, key=lambda candidate: candidate[0])
    return effects, np.asarray(np.linalg.inv(equations))


def common_variance(squares: Floats, weights: Floats) -> float:
    """The variance of residuals, of which a minority may be much larger than the rest; 0 if there are none.

    Residuals beyond 1.5 standard deviations count as 1.5 (Huber 1964, "Robust estimation of a location parameter",
    proposal 2).

    Args:
        squares: (n,) squared residuals.
        weights: (n,)
    """
    if not len(squares):
        return 0.0
    variance = float(np.average(squares, weights=weights))
    for _ in range(_HUBER_STEPS):
        variance = float(np.average(np.minimum(squares, _HUBER**2 * variance), weights=weights)) / _HUBER_SHARE
    return variance
