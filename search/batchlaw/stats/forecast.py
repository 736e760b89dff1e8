"""How the best learning rate moves with the batch size, the horizon and the size, and what follows for others.

A group has the runs of one horizon and one size. Over the optima of all groups, in log₂, with B the batch size, D the
axes (horizon, size) and b_k the place of a kink:

    log ε_opt = e₀ + Σ e_i D_i - (s / p) · log₂(1 + 2^{p (b_k - log B)}),    b_k = k₀ + Σ k_i D_i,    p = 3

The best rate rises as B^s below a critical batch size B_k, which moves with the axes, and is flat above it (as seen on
the runs of arXiv 2503.04715; B_k grows with the horizon in arXiv 2410.21676). Each group is off the law by an offset
and a slope of its own, each row by an error of its own beside that of its optimum. Groups of one size of model share an
offset, too: they share an architecture, and another size has another one. The deviations are averaged over a few
values, weighted by the marginal likelihood (Laplace's approximation) and by what is usual, so that an interval is one
of a prediction for a new group. Its quantiles are those of the mixture.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy import optimize, sparse

from batchlaw.stats.predicted import Predicted
from batchlaw.stats.surface import Floats
from batchlaw.stats.valleys import Shape, Valleys

_SHARPNESS = 3.0  # p
_OFFSETS, _ROWS, _SLOPES = (0.04, 0.12, 0.36), (0.03, 0.08, 0.2), (0.0, 0.05, 0.12)  # octaves; octaves an octave
_SIZES = (0.01, 0.08, 0.2)  # octaves
_USUAL_OFFSET, _USUAL_ROW = 0.1, 0.08  # octaves, beforehand within a factor of e (assumption)
_RISE = (0.75, 0.35)  # s beforehand: from √B, as for Adam (Malladi 2022), to B, as for SGD
OF_AXES, _OF_KINK, _KINK = 1.0, 0.6, 3.0  # deviations beforehand of e_i, of k_i, and of k₀ from the middle of log B
_KNOWN_BEFOREHAND = 3  # groups that this counts as, for intervals of exponents (assumption)
_OF_SIZE = (-0.5, 0.5)  # e_i of the size beforehand: as 1/width, which grows as √size (arXiv:2203.03466)
_NEGLIGIBLE = 0.01  # weight
_SAME = 0.01  # octaves between sizes of models that are one


@dataclass(frozen=True, eq=False)
class Group:
    """The optima of the runs of one horizon and one size."""

    at: Floats  # (n_axes,) log₂, less the middle of all groups
    optima: Valleys


@dataclass(frozen=True, eq=False)
class _Solution:
    """The law at one choice of the deviations."""

    parameters: Floats
    covariance: Floats
    offset: float
    row: float
    slope: float
    size: float
    log_evidence: float


@dataclass(frozen=True, eq=False)
class Forecast:
    """The law over groups, as an average over the deviations between them."""

    groups: tuple[Group, ...]
    middle: float  # log₂ of the batch size where the kink is expected beforehand, and about which groups are tilted
    solutions: tuple[_Solution, ...]
    weights: Floats  # (n_solutions,)
    models: Floats  # (n_models,) their sizes, as the last axis of `Group.at`; their offsets are the last parameters

    @property
    def n_axes(self) -> int:
        """How many of horizon and size differ."""
        return len(self.groups[0].at)

    @property
    def degrees_of_freedom(self) -> int:
        """Groups that the axes leave, and what is known of the deviations beforehand."""
        return degrees_of_freedom(len(self.groups), self.n_axes)

    @property
    def parameters(self) -> dict[str, tuple[float, float]]:
        """The law's exponents with their standard deviations: of the axes, of the kink, and of the rise below it."""
        found = [each.parameters for each in self.solutions]
        mean = self.weights @ np.array(found)
        variance = self.weights @ np.array([np.diag(each.covariance) for each in self.solutions])
        variance = variance + self.weights @ (np.array(found) - mean) ** 2
        axes = range(self.n_axes)
        names = ["level", *(f"axis {i}" for i in axes), "kink", *(f"kink {i}" for i in axes), "rise"]
        told = list(zip(mean.tolist(), np.sqrt(variance).tolist(), strict=True))
        return dict(zip(names, told[: len(names)], strict=True))

    def rate(self, at: Floats, batch_size: Floats) -> Predicted:
        """The best rate in a group that was not seen.

        Args:
            at: (n_axes,) as `Group.at`.
            batch_size: (n,) log₂.
        """
        means, variances = [], []
        for each in self.solutions:
            mean, slopes = law_with_models(each.parameters, np.tile(at, (len(batch_size), 1)), batch_size, self.models)
            of_law = np.einsum("ij,jk,ik->i", slopes, each.covariance, slopes)
            means.append(mean)
            variances.append(of_law + self._own(each, at, batch_size))
        return Predicted.of(self.weights, np.array(means), np.array(variances))

    def narrowed(self, at: Floats, batch_size: float, more: Floats, sizes: Floats) -> float:
        """The deviation of a predicted rate, had one more group been run.

        Args:
            at: (n_axes,) of the prediction.
            batch_size: log₂, of the prediction.
            more: (n_axes,) of the group.
            sizes: (n,) log₂ of the batch sizes at which its best rates would be known as well as the usual one is.
        """
        error = float(np.median(np.concatenate([np.diag(group.optima.covariance) for group in self.groups])))
        variances = []
        for each in self.solutions:
            _, rows = law_with_models(each.parameters, np.tile(more, (len(sizes), 1)), sizes, self.models)
            _, asked = law_with_models(each.parameters, at[None], np.array([batch_size]), self.models)
            apart = sizes - self.middle
            known = np.eye(len(sizes)) * (error + each.row**2) + each.offset**2 + each.slope**2 * np.outer(apart, apart)
            covariance = np.linalg.inv(np.linalg.inv(each.covariance) + rows.T @ np.linalg.solve(known, rows))
            own = self._own(each, at, np.array([batch_size]))[0]
            variances.append(float((asked @ covariance @ asked.T)[0, 0] + own))
        return float(np.sqrt(self.weights @ np.array(variances)))

    def _own(self, solution: _Solution, at: Floats, batch_size: Floats) -> Floats:
        """The variance of a group that was not seen about the law, (n,)."""
        own = solution.offset**2 + solution.row**2 + (solution.slope * (batch_size - self.middle)) ** 2
        known = _has_size(at[None], self.models).any()
        return np.asarray(own + (not known) * solution.size**2)

    def shape(self, at: Floats, batch_size: float) -> Shape:
        """The valley of a group that was not seen, at log₂ of a batch size, which is the middle of the shape."""
        shapes = [group.optima.shape for group in self.groups]
        logs = np.array([each.log_curvature for each in shapes])
        design = np.column_stack([np.ones(len(shapes)), np.array([group.at for group in self.groups])])
        ridge = np.diag([0.0, *[1.0] * self.n_axes]) * 0.1  # slopes of a few groups stay near 0
        solved = np.linalg.solve(design.T @ design + ridge, design.T @ logs)
        tilt, middle = np.mean([each.tilt for each in shapes]), np.mean([each.middle for each in shapes])
        curvature = float(solved[0] + at @ solved[1:] + tilt * (batch_size - middle))
        return Shape(curvature, float(np.mean([each.asymmetry for each in shapes])), float(tilt), batch_size)


def forecast(groups: Sequence[Group], *, of_size: bool = False) -> Forecast:
    """Fit the law to the optima of groups.

    Args:
        groups: three or more.
        of_size: whether the last axis is the size of a model.
    """
    sizes = np.concatenate([group.optima.batch_size for group in groups])
    best = np.concatenate([group.optima.best for group in groups])
    at = np.concatenate([np.tile(group.at, (len(group.optima.best), 1)) for group in groups])
    middle, n_axes = float(np.median(sizes)), at.shape[1]
    prior, deviation = prior_of(float(best.mean()), middle, n_axes, of_size=of_size)
    models = np.unique(np.round([group.at[-1] for group in groups], 6)) if of_size else np.empty(0)
    prior = np.append(prior, np.zeros(len(models)))

    def law(parameters: Floats) -> tuple[Floats, Floats]:
        return law_with_models(parameters, at, sizes, models)

    def solve(offset: float, row: float, slope: float, size: float, start: Floats) -> tuple[_Solution, float]:
        whitening, log_determinant = [], 0.0
        for group in groups:
            apart = group.optima.batch_size - middle
            covariance = group.optima.covariance + offset**2 + slope**2 * np.outer(apart, apart)
            lower = np.linalg.cholesky(covariance + np.eye(len(apart)) * row**2)
            whitening.append(np.linalg.inv(lower))
            log_determinant += float(np.log(np.diag(lower)).sum())
        whiten = sparse.block_diag(whitening, format="csr")
        spread = np.append(deviation, np.full(len(models), size))

        def residuals(parameters: Floats) -> Floats:
            return np.concatenate([whiten @ (law(parameters)[0] - best), (parameters - prior) / spread])

        def slopes(parameters: Floats) -> Floats:
            return np.concatenate([whiten @ law(parameters)[1], np.diag(1 / spread)])

        found = optimize.least_squares(residuals, start, jac=slopes, method="lm")
        covariance = np.linalg.inv(found.jac.T @ found.jac)
        evidence = -found.cost - log_determinant + np.linalg.slogdet(covariance)[1] / 2
        evidence += _known(offset, row) - np.log(spread).sum()
        return _Solution(found.x, covariance, offset, row, slope, size, float(evidence)), float(found.cost)

    starts = [prior + np.eye(len(prior))[1 + n_axes] * shift for shift in (-1.5, 0.0, 1.5)]
    first = min(
        (solve(_OFFSETS[1], _ROWS[1], _SLOPES[1], _SIZES[1], start) for start in starts), key=lambda each: each[1]
    )[0]
    solutions = [solve(*each, first.parameters)[0] for each in _tried(of_size=of_size)]
    logs = np.array([each.log_evidence for each in solutions])
    weights = np.exp(logs - logs.max())
    weights /= weights.sum()
    kept = np.flatnonzero(weights > _NEGLIGIBLE)
    weights = weights[kept] / weights[kept].sum()
    return Forecast(tuple(groups), middle, tuple(solutions[k] for k in kept), weights, models)


def law_with_models(parameters: Floats, at: Floats, batch_size: Floats, models: Floats) -> tuple[Floats, Floats]:
    """As `law_of`; further parameters are the offsets of models, by their sizes (n_models,), which have them."""
    law, offsets = np.split(parameters, [len(parameters) - len(models)])
    mean, slopes = law_of(law, at, batch_size)
    member = _has_size(at, models)
    return mean + member @ offsets, np.concatenate([slopes, member], axis=1)


def _has_size(at: Floats, models: Floats) -> Floats:
    """1 where a place (n, n_axes) has the size of a model, else 0, (n, n_models)."""
    return (np.abs(at[:, -1:] - models) < _SAME).astype(float)


def prior_of(level: float, middle: float, n_axes: int, *, of_size: bool) -> tuple[Floats, Floats]:
    """What is known of the parameters beforehand: means and deviations.

    Args:
        level: log₂ of a typical best rate.
        middle: log₂ of a typical batch size.
        n_axes: horizon, size, or both.
        of_size: whether the last axis is the size of a model.
    """
    mean = np.array([level, *[0.0] * n_axes, middle, *[0.0] * n_axes, _RISE[0]])
    deviation = np.array([50.0, *[OF_AXES] * n_axes, _KINK, *[_OF_KINK] * n_axes, _RISE[1]])
    if of_size:
        mean[n_axes], deviation[n_axes] = _OF_SIZE
    return mean, deviation


def deviations_beforehand(*, of_size: bool) -> tuple[Floats, Floats]:
    """Weights (n,), and the deviations that they are for: of groups, of rows, of groups' slopes, of sizes, (n, 4)."""
    deviations = np.array(list(_tried(of_size=of_size)))
    weights = np.exp([_known(offset, row) for offset, row, *_ in deviations])
    return weights / weights.sum(), deviations


def _tried(*, of_size: bool) -> Iterator[tuple[float, float, float, float]]:
    return product(_OFFSETS, _ROWS, _SLOPES, _SIZES if of_size else (0.0,))


def _known(offset: float, row: float) -> float:
    """The logarithm of how usual deviations are, less a constant."""
    return float(-(np.log(offset / _USUAL_OFFSET) ** 2 + np.log(row / _USUAL_ROW) ** 2) / 2)


def law_of(parameters: Floats, at: Floats, batch_size: Floats) -> tuple[Floats, Floats]:
    """log₂ of the best rate, (n,), and its derivatives, (n, n_parameters).

    Args:
        parameters: e₀, e_i, k₀, k_i, s.
        at: (n, n_axes)
        batch_size: (n,) log₂.
    """
    n_axes = at.shape[1]
    level, axes, kink, of_kink, rise = np.split(parameters, [1, 1 + n_axes, 2 + n_axes, 2 + 2 * n_axes])
    below = _SHARPNESS * (kink + at @ of_kink - batch_size)
    bend = np.logaddexp2(0.0, below) / _SHARPNESS
    share = 1 / (1 + 2 ** np.clip(-below, -500, 500))  # derivative of bend
    one = np.ones(len(batch_size))
    slopes = np.column_stack([one, at, -rise * share, (-rise * share)[:, None] * at, -bend])
    return level + at @ axes - rise * bend, slopes


def degrees_of_freedom(n_groups: int, n_axes: int) -> int:
    """Groups that the axes leave, and what is known of the deviations beforehand."""
    return max(n_groups - 1 - n_axes, 1) + _KNOWN_BEFOREHAND
