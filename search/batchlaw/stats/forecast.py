"""How the best learning rate moves with the batch size, the horizon and the size, and what follows for others.

A group has the runs of one horizon and one size. The law (`stats.kinked_law`) goes through the optima of all groups.
How far groups are off it (`stats.deviations`), and whether it bends (`stats.departures`), is not known. So a forecast
is an average over a grid of deviations, weighted by the marginal likelihood (Laplace's approximation) and by what is
usual. An interval is one of a prediction for a new group, and its ends are quantiles of the mixture. The weight of the
bends tells whether the runs contradict a straight law.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from scipy import optimize

from batchlaw.stats.departures import Departures
from batchlaw.stats.deviations import USUAL_OFFSET, USUAL_ROW, Deviations
from batchlaw.stats.kinked_law import law_of, prior_of, with_departures
from batchlaw.stats.predicted import Predicted
from batchlaw.stats.surface import Floats
from batchlaw.stats.valleys import Shape, Valleys

_KNOWN_BEFOREHAND = 3  # groups that this counts as, for intervals of exponents (assumption)
_NEGLIGIBLE = 0.01  # weight, over that of the most probable
_UNLIKELY = 1e-4  # the same, before the law is fitted
_STEPS = 12  # of Gauss and Newton
# How many times more probable by a bend runs must be for it to be told. Of simulated straight laws 0.4 % are told so,
# and at most 4 % in a setting, also where groups are three times as far off (`tests/benchmarks/plan_forecasts.py`).
BENT = 10.0


@dataclass(frozen=True, eq=False)
class Group:
    """The optima of the runs of one horizon and one size."""

    at: Floats  # (n_axes,) log₂, less the middle of all groups
    optima: Valleys


@dataclass(frozen=True, eq=False)
class Forecast:
    """The law over groups, as an average over the deviations between them."""

    groups: tuple[Group, ...]
    middle: float  # log₂ of a typical batch size: the kink is expected there beforehand, and groups are tilted about it
    departures: Departures
    deviations: Deviations  # (n,)
    weights: Floats  # (n,)
    found: Floats  # (n, n_parameters) of the law, and of the departures
    covariances: Floats  # (n, n_parameters, n_parameters)
    bend_odds: Floats  # (n_axes,) how many times more probable the runs are if the effect of an axis bends

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
        """The law's exponents with their deviations: of the axes, the kink, the rise below it, and the slope on B."""
        mean = self.weights @ self.found
        variance = self.weights @ np.diagonal(self.covariances, axis1=1, axis2=2)
        variance = variance + self.weights @ (self.found - mean) ** 2
        axes = range(self.n_axes)
        names = ["level", *(f"axis {i}" for i in axes), "kink", *(f"kink {i}" for i in axes), "rise"]
        names += [f"tilt {i}" for i in axes]
        told = list(zip(mean.tolist(), np.sqrt(variance).tolist(), strict=True))
        return dict(zip(names, told[: len(names)], strict=True))

    def rate(self, at: Floats, batch_size: Floats) -> Predicted:
        """The best rate in a group that was not seen.

        Args:
            at: (n_axes,) as `Group.at`.
            batch_size: (n,) log₂.
        """
        mean, slopes = self._law(at, batch_size)
        of_law = np.einsum("dij,djk,dik->di", slopes, self.covariances, slopes, optimize=True)
        own = self.deviations.own(batch_size - self.middle) + self._unseen(at)
        return Predicted.of(self.weights, mean, of_law + own)

    def ends(self, axis: int) -> tuple[float, float]:
        """The exponent of the best rate on an axis between the lowest two levels seen, and between the highest two."""
        levels = self.departures.bends[axis].levels
        at = np.eye(self.n_axes)[axis]
        means = [float(self.rate(at * level, np.array([self.middle])).mean[0]) for level in levels]
        slopes = np.diff(means) / np.diff(levels)
        return float(slopes[0]), float(slopes[-1])

    def narrowed(self, at: Floats, batch_size: float, more: Floats, sizes: Floats) -> float:
        """The deviation of a predicted rate, had one more group been run.

        Args:
            at: (n_axes,) of the prediction.
            batch_size: log₂, of the prediction.
            more: (n_axes,) of the group.
            sizes: (n,) log₂ of the batch sizes at which its best rates would be known as well as the usual one is.
        """
        error = float(np.median(np.concatenate([np.diag(group.optima.covariance) for group in self.groups])))
        rows, asked = self._law(more, sizes)[1], self._law(at, np.array([batch_size]))[1]
        known = self.deviations.within(sizes - self.middle, np.eye(len(sizes)) * error)
        known = known + self._unseen(more)[:, :, None]
        told = np.swapaxes(rows, 1, 2) @ np.linalg.solve(known, rows)
        covariances = np.linalg.inv(np.linalg.inv(self.covariances) + told)
        of_law = np.einsum("dij,djk,dik->di", asked, covariances, asked, optimize=True)
        own = self.deviations.own(np.array([batch_size - self.middle])) + self._unseen(at)
        return float(np.sqrt(self.weights @ (of_law + own)[:, 0]))

    def _law(self, at: Floats, batch_size: Floats) -> tuple[Floats, Floats]:
        """At each choice of the deviations log₂ of the best rate, (n, n_rows), and its derivatives."""
        apart = batch_size - self.middle
        return with_departures(self.found, np.tile(at, (len(batch_size), 1)), apart, self.departures)

    def _unseen(self, at: Floats) -> Floats:
        """The variance of what nothing tells of a place, (n, 1)."""
        return self.departures.unseen(at, self.deviations.size, self.deviations.bends)[:, None]

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
    middle, n_axes = float(np.median(sizes)), len(groups[0].at)
    departures = Departures.of(np.array([group.at for group in groups]), of_size=of_size)
    prior, spread = prior_of(float(best.mean()), n_axes, of_size=of_size)
    start = _start(groups, middle, prior, spread)
    tried = Deviations.tried(n_axes, of_size=of_size)
    prior = np.append(prior, np.zeros(departures.n_columns))
    spreads = departures.spreads(tried.size, tried.bends)
    spreads = np.hstack([np.tile(spread, (len(spreads), 1)), spreads])
    fit = _Fit.of(groups, middle, departures, tried, prior, spreads)
    fit, found = fit.likely(np.append(start, np.zeros(departures.n_columns)))
    found, covariances, logs = fit.solved(found)
    deviations = fit.deviations
    weights = np.exp(logs - logs.max())
    odds = _odds(weights, deviations, tried)
    kept = np.flatnonzero(weights > _NEGLIGIBLE)
    weights = weights[kept] / weights[kept].sum()
    return Forecast(
        tuple(groups), middle, departures, deviations.of(kept), weights, found[kept], covariances[kept], odds
    )


@dataclass(frozen=True, eq=False)
class _Fit:
    """The law at all choices of the deviations at once."""

    groups: tuple[Group, ...]
    middle: float  # as of `Forecast`
    departures: Departures
    deviations: Deviations  # (n,)
    prior: Floats  # (n_parameters,)
    spreads: Floats  # (n, n_parameters) beforehand
    precisions: tuple[Floats, ...]  # of each group (n, n_rows, n_rows)
    usual: Floats  # (n,) logarithm of the evidence, but for the squares and what the law's parameters are known to

    @classmethod
    def of(
        cls, groups: Sequence[Group], middle: float, departures: Departures, deviations: Deviations, prior: Floats,
        spreads: Floats,
    ) -> Self:  # fmt: skip
        """With the precision of each group."""
        known = [deviations.within(group.optima.batch_size - middle, group.optima.covariance) for group in groups]
        usual = np.log(deviations.usual) - np.log(spreads).sum(axis=1)
        usual = usual - sum(np.linalg.slogdet(each)[1] for each in known) / 2
        precisions = tuple(np.asarray(np.linalg.inv(each), dtype=float) for each in known)
        return cls(tuple(groups), middle, departures, deviations, prior, spreads, precisions, usual)

    def likely(self, start: Floats) -> tuple[Self, Floats]:
        """The choices that are not out of question by the law's tangent at a start, and parameters for each."""
        cost, step, information = self._step(np.tile(start, (len(self.spreads), 1)))
        cost = cost - np.einsum("di,dij,dj->d", step, information, step) / 2
        logs = self._evidence(cost, information)
        kept = np.flatnonzero(logs > logs.max() + np.log(_UNLIKELY))
        part = replace(
            self, deviations=self.deviations.of(kept), spreads=self.spreads[kept], usual=self.usual[kept],
            precisions=tuple(each[kept] for each in self.precisions),
        )  # fmt: skip
        return part, start + step[kept]

    def solved(self, found: Floats) -> tuple[Floats, Floats, Floats]:
        """The parameters (n, n_parameters) from a start, their covariances, and the logarithm of the evidence (n,).

        By Gauss and Newton's method; a step that raises the squares is shortened.
        """
        cost, step, information = self._step(found)
        share = np.ones(len(found))
        for _ in range(_STEPS):
            tried = found + share[:, None] * step
            new_cost, new_step, new_information = self._step(tried)
            better = new_cost <= cost
            found = np.where(better[:, None], tried, found)
            step = np.where(better[:, None], new_step, step)
            information = np.where(better[:, None, None], new_information, information)
            cost = np.where(better, new_cost, cost)
            share = np.where(better, np.minimum(share * 2, 1.0), share / 4)
        return found, np.asarray(np.linalg.inv(information), dtype=float), self._evidence(cost, information)

    def _evidence(self, cost: Floats, information: Floats) -> Floats:
        return np.asarray(self.usual - cost - np.linalg.slogdet(information)[1] / 2)

    def _step(self, found: Floats) -> tuple[Floats, Floats, Floats]:
        """Half the weighted squares, the step to their minimum, and the information."""
        off = self.prior - found
        cost = ((off / self.spreads) ** 2).sum(axis=1) / 2
        slope = off / self.spreads**2
        information = np.eye(found.shape[1]) / (self.spreads**2)[:, None]
        for group, precision in zip(self.groups, self.precisions, strict=True):
            y = group.optima.batch_size - self.middle
            mean, slopes = with_departures(found, np.tile(group.at, (len(y), 1)), y, self.departures)
            left = (group.optima.best - mean)[:, :, None]
            weighted = np.swapaxes(slopes, 1, 2) @ precision
            cost += (np.swapaxes(left, 1, 2) @ precision @ left)[:, 0, 0] / 2
            slope += (weighted @ left)[:, :, 0]
            information += weighted @ slopes
        step = np.linalg.solve(information, slope[:, :, None])[:, :, 0]
        return cost, np.asarray(step, dtype=float), information


def _start(groups: Sequence[Group], middle: float, prior: Floats, spread: Floats) -> Floats:
    """The parameters of the law at the usual deviations, from several places of the kink."""
    at = np.concatenate([np.tile(group.at, (len(group.optima.best), 1)) for group in groups])
    y = np.concatenate([group.optima.batch_size for group in groups]) - middle
    best = np.concatenate([group.optima.best for group in groups])
    errors = np.concatenate([np.diag(group.optima.covariance) for group in groups])
    errors = np.sqrt(errors + USUAL_OFFSET**2 + USUAL_ROW**2)

    def residuals(parameters: Floats) -> Floats:
        return np.concatenate([(law_of(parameters, at, y)[0] - best) / errors, (parameters - prior) / spread])

    def slopes(parameters: Floats) -> Floats:
        return np.concatenate([law_of(parameters, at, y)[1] / errors[:, None], np.diag(1 / spread)])

    kinks = [prior + np.eye(len(prior))[1 + at.shape[1]] * shift for shift in (-1.5, 0.0, 1.5)]
    tried = [optimize.least_squares(residuals, kink, jac=slopes, method="lm") for kink in kinks]
    return np.asarray(min(tried, key=lambda each: float(each.cost)).x)


def _odds(weights: Floats, deviations: Deviations, tried: Deviations) -> Floats:
    """How many times more probable the runs are if the effect of an axis bends than if none does, (n_axes,).

    Args:
        weights: (n,) of those of the deviations that were not out of question.
        deviations: (n,)
        tried: all of them. Where all of a kind are out of question, they count as the best of these.
    """
    least = _UNLIKELY * weights.max() * tried.usual.min()
    straight, usual = (~each.bends.any(axis=1) for each in (deviations, tried))
    bent = (deviations.bends > 0).T @ weights / ((tried.bends > 0).T @ tried.usual)
    return np.asarray(bent / max(weights[straight].sum() / tried.usual[usual].sum(), least))


def degrees_of_freedom(n_groups: int, n_axes: int) -> int:
    """Groups that the axes leave, and what is known of the deviations beforehand."""
    return max(n_groups - 1 - n_axes, 1) + _KNOWN_BEFOREHAND
