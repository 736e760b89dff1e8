"""The means of cells whose runs differ in number and in seeds."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import special

from batchlaw.stats.surface import Bools, Floats, Surface

_REWEIGHTINGS = 3
_PRIOR_FREEDOM = 8.0  # weight of the common variance in a cell's own, in degrees of freedom (assumption; Smyth 2004)
_SEEDS = np.array([0.01, 0.1, 0.3, 1.0, 3.0, 10.0, 100.0])  # candidates: variance of seeds over that of a run
_LEAST_VARIANCE = 1e-12  # of a run, over that of all scores, which are not more precise than their digits
_NEAR_SHARE, _NEAR_CELLS = 0.125, 4.0  # standard deviation of the ranks that count as near: of all cells, at least
_LEAST_SHARE = 1e-3  # of the common variance: no cell counts as less noisy in that of others
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

    @classmethod
    def of(cls, surface: Surface) -> "Runs":
        """The runs of a surface that have a score. Where they are not paired, all count as of one seed."""
        there = np.isfinite(surface.scores)
        row, column, replicate = np.nonzero(there)
        seeds = replicate if surface.paired else np.zeros(len(row), dtype=np.int64)
        return cls(
            surface.given[row], surface.tuned[column], seeds, surface.scores[there], surface.unstable[there]
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Cells:
    """The mean score of each cell that has runs, with the variance of its error."""

    level: NDArray[np.intp]  # (n_cells,) index of the given level
    place: Floats  # (n_cells,) log₂ of the tuned level; ascending within a given level
    means: Floats  # (n_cells,) as if all cells had the same seeds
    own_variances: Floats  # (n_cells,) of the means, without what all cells have in common through their seeds
    usable: Bools  # (n_cells,) every run was stable
    dead: Bools  # (n_cells,) no run was stable
    given: Floats  # (n_levels,) the given levels that have runs, ascending
    degrees_of_freedom: float  # of the variances
    replicated: bool  # some cells have several runs, so that the noise is known
    n_seeds: int
    common_shift: float  # standard error of the seeds' mean shift of all optima together, octaves

    @classmethod
    def of(cls, runs: Runs) -> "Cells":
        """Fit a mixed model with a fixed effect for each cell and a random effect for each seed.

        A cell has a few runs at most, so its variance is shrunk towards that of the cells with a score like its own,
        since noise grows with the loss. That is robust: a minority of noisy cells, as beside a cliff, does not raise
        it. Unstable cells have no part in it and no seed effect, because a seed acts differently on a run that is no
        better than guessing.
        """
        given, level = np.unique(runs.given, return_inverse=True)
        place = np.log2(runs.tuned)
        places, at = np.unique(place, return_inverse=True)
        codes, cell = np.unique(level * len(places) + at, return_inverse=True)
        keys = np.stack([codes // len(places), places[codes % len(places)]], axis=1)
        seed = np.unique(runs.seeds, return_inverse=True)[1]
        count, n_unstable = np.bincount(cell), np.bincount(cell, runs.unstable)
        usable = n_unstable == 0
        model = _Mixed(cell, seed, runs.scores, usable)
        least = max(_LEAST_VARIANCE * float(runs.scores.var()), np.finfo(float).tiny ** 0.25)
        common = max(float(runs.scores.var()), least)
        variance = np.full(len(keys), common)
        free = np.zeros(len(keys))
        for _ in range(_REWEIGHTINGS):
            means, effects, left = model.fit(variance, common * _SEEDS)
            residual = runs.scores - means[cell] - np.where(usable[cell], effects[seed], 0.0)
            told = usable[cell] & (left > _LEAST_LEFT)
            common = max(common_variance(residual[told] ** 2 / left[told], left[told]), least)
            squares = np.bincount(cell, residual**2).astype(np.float64)
            free = np.bincount(cell, left).astype(np.float64)
            alike = np.maximum(_alike(means, squares, np.where(usable, free, 0.0), common), least)
            variance = (_PRIOR_FREEDOM * alike + squares) / (_PRIOR_FREEDOM + free)
        means, effects, _ = model.fit(variance, common * _SEEDS)
        residual = np.where(usable[cell], runs.scores - means[cell] - effects[seed], 0.0)
        steepness = _steepness(keys[:, 0], keys[:, 1], means)
        return cls(
            level=keys[:, 0].astype(int), place=keys[:, 1], means=means,
            own_variances=variance / count, usable=usable, dead=n_unstable == count, given=given,
            degrees_of_freedom=max(_prior_freedom(free[usable]) + float(np.median(free)), 1.0), n_seeds=len(effects),
            replicated=bool((count > 1).any()),
            common_shift=_common_shift(residual, steepness[cell], 1 / variance[cell], seed),
        )  # fmt: skip

    def of_levels(self, given: Floats) -> "Cells":
        """The cells of some of the given levels."""
        kept = np.isin(self.given[self.level], given)
        return replace(
            self,
            level=np.searchsorted(given, self.given[self.level[kept]]), place=self.place[kept], means=self.means[kept],
            own_variances=self.own_variances[kept], usable=self.usable[kept], dead=self.dead[kept], given=given,
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Mixed:
    """Scores with a fixed effect for each cell, and a random effect for each seed in the cells that have one."""

    cell: NDArray[np.intp]  # (n_runs,)
    seed: NDArray[np.intp]  # (n_runs,)
    scores: Floats  # (n_runs,)
    seeded: Bools  # (n_cells,)

    def fit(self, variance: Floats, random: Floats) -> tuple[Floats, Floats, Floats]:
        """The effects of cells and of seeds, and what is left of each run's freedom.

        The equations are Henderson's (1950). Cells are eliminated from them, each of which has one equation.

        Args:
            variance: (n_cells,) of a run.
            random: candidates for the variance of seeds; restricted maximum likelihood chooses one.
        """
        n_cells, n_seeds = len(variance), int(self.seed.max()) + 1
        weight = 1 / variance[self.cell]
        of_cell = np.bincount(self.cell, weight).astype(np.float64)
        toward = np.bincount(self.cell, weight * self.scores)
        shared = weight * self.seeded[self.cell]
        both = np.zeros((n_cells, n_seeds))
        np.add.at(both, (self.cell, self.seed), shared)
        of_seed = np.bincount(self.seed, shared, n_seeds).astype(np.float64)
        right = np.bincount(self.seed, shared * self.scores, n_seeds) - both.T @ (toward / of_cell)
        likeliest = -np.inf
        for each in random:
            seeds = _Seeds.of(of_cell, of_seed + 1 / each, both)
            effects = seeds.solve(right)
            twice = float(right @ effects - seeds.log_determinant - n_seeds * np.log(each))
            if twice > likeliest:
                likeliest, chosen, found = twice, seeds, effects
        own, cross, of_effects = chosen.variances()
        seeded = own[self.cell] + 2 * cross[self.cell, self.seed] + of_effects[self.seed]
        explained = np.where(self.seeded[self.cell], seeded, own[self.cell])
        return (toward - both @ found) / of_cell, found, np.maximum(1 - explained * weight, 0.0)


@dataclass(frozen=True, eq=False)
class _Seeds:
    """The equations of the seeds, diag(of_seed) - bothᵀ diag(of_cell)⁻¹ both, of which thousands may be.

    With fewer cells than seeds they are solved by the equations of the cells, by Woodbury's identity.
    """

    of_cell: Floats  # (n_cells,)
    of_seed: Floats  # (n_seeds,)
    both: Floats  # (n_cells, n_seeds)
    core: Floats  # (k, k), where k is the smaller number

    @classmethod
    def of(cls, of_cell: Floats, of_seed: Floats, both: Floats) -> "_Seeds":
        if len(of_cell) < len(of_seed):
            return cls(of_cell, of_seed, both, np.diag(of_cell) - (both / of_seed) @ both.T)
        return cls(of_cell, of_seed, both, np.diag(of_seed) - both.T @ (both / of_cell[:, None]))

    @property
    def _by_cells(self) -> bool:
        return len(self.of_cell) < len(self.of_seed)

    @property
    def log_determinant(self) -> float:
        found = float(np.linalg.slogdet(self.core)[1])
        return found + float(np.log(self.of_seed).sum() - np.log(self.of_cell).sum()) if self._by_cells else found

    def solve(self, right: Floats) -> Floats:
        """The effects of seeds, (n_seeds,)."""
        if not self._by_cells:
            return np.asarray(np.linalg.solve(self.core, right))
        alone = right / self.of_seed
        return np.asarray(alone + self.both.T @ np.linalg.solve(self.core, self.both @ alone) / self.of_seed)

    def variances(self) -> tuple[Floats, Floats, Floats]:
        """Of the effects of cells, (n_cells,), their covariances with those of seeds, and of those, (n_seeds,)."""
        inverse = np.linalg.inv(self.core)
        if self._by_cells:
            share = self.both / self.of_seed
            cross = -inverse @ share
            return np.diag(inverse), cross, 1 / self.of_seed - (cross * share).sum(axis=0)
        share = self.both / self.of_cell[:, None]
        cross = -share @ inverse
        return 1 / self.of_cell - (cross * share).sum(axis=1), cross, np.diag(inverse)


def _prior_freedom(free: Floats) -> float:
    """The degrees of freedom of the common variance: it is known no better than the residuals of all cells allow."""
    return min(_PRIOR_FREEDOM, float(free.sum()))


def _alike(means: Floats, squares: Floats, free: Floats, common: float) -> Floats:
    """The variance of a run in the cells whose means are near, weighted by the distance in rank, (n_cells,).

    It is a mean of logarithms, so that one cell beside a cliff does not speak for the others.

    Args:
        means: (n_cells,)
        squares: (n_cells,) sums of squared residuals.
        free: (n_cells,) degrees of freedom of the squares; 0 leaves a cell out.
        common: the variance over all cells, which counts a little everywhere.
    """
    rank = np.argsort(np.argsort(means))
    near = np.exp(-(((rank[:, None] - rank) / max(_NEAR_SHARE * len(means), _NEAR_CELLS)) ** 2) / 2) * free
    told = free > 0
    # The mean of the logarithm of χ²/n with n degrees of freedom is digamma(n/2) - log(n/2). The residual of a single
    # run is a normal variable, however small a share of a degree of freedom the seeds leave it.
    half = np.maximum(free, 1.0) / 2
    each = np.maximum(squares / np.where(told, free, 1.0), _LEAST_SHARE * common)
    logs = np.where(told, np.log(each) - special.digamma(half) + np.log(half), 0.0)
    return np.asarray(np.exp((near @ logs + np.log(common)) / (near.sum(axis=1) + 1)))


def _steepness(level: Floats, place: Floats, means: Floats) -> Floats:
    """The change of the means with the place, an octave, (n_cells,); 0 where a level has a single cell."""
    found = np.zeros(len(means))
    for each in np.unique(level):
        row = np.flatnonzero(level == each)
        if len(row) > 1:
            found[row] = np.gradient(means[row], place[row])
    return found


def _common_shift(residual: Floats, steepness: Floats, weight: Floats, seed: NDArray[np.intp]) -> float:
    """The standard error of the mean over seeds of how far a seed moves all optima, octaves.

    A seed that moves the curves by δ changes each score by -δ times the curve's steepness there.
    """
    information = np.bincount(seed, weight * steepness**2)
    known = information > 0
    if known.sum() < 2:
        return 0.0
    moved = -np.bincount(seed, weight * steepness * residual)[known] / information[known]
    excess = float(moved.var(ddof=1)) - float((1 / information[known]).mean())
    return float(np.sqrt(max(excess, 0.0) / known.sum()))


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
