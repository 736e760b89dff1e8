"""An adaptive design for a ridge: it runs what tells most about the best levels, for the seconds that it takes.

A *stack* is a few learning rates at one batch size that train as one network on the same seeds. Which stack is next
follows from the runs so far.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from batchlaw.stats.draws import normal_draws
from batchlaw.stats.gaussian_process import Kernel, Process, normal_scores, squared_exponential
from batchlaw.stats.surface import Bools, Floats

LOOKS = 2  # batch sizes of the first look
_WINDOW_OCTAVES = 2.0  # octaves from the best level in which runs tell where it is
_DRAWS = 64  # of the best level, from what the runs tell of it
_SCALES = np.array([3.0, 2.0])  # octaves of the learning rate and of the batch size: length scales (assumption)
_NOISES = (0.02, 0.06, 0.2, 0.6, 2.0)  # candidates for the variance of a run's error beside the surface's of 1


@dataclass(frozen=True, eq=False)
class Tried:
    """The runs of a study so far, in any order."""

    rate: NDArray[np.intp]  # (n,) index of the learning rate
    size: NDArray[np.intp]  # (n,) index of the batch size
    turns: NDArray[np.int64]  # (n,) runs of the same turn share their seeds
    scores: Floats  # (n,) higher is better; NaN while a run has none
    unstable: Bools  # (n,) the run diverged, ran out of memory, was pruned, or is no better than guessing


@dataclass(frozen=True)
class Stack:
    """Runs that train as one network."""

    size: int  # index of the batch size
    rates: tuple[int, ...]  # indices of the learning rates, the most telling first
    turn: int  # none of these cells has been run on the seeds of this turn


@dataclass(frozen=True, eq=False)
class Design:
    """The levels of both factors, and what their runs cost."""

    rates: Floats  # (n_rates,) log₂, ascending
    sizes: Floats  # (n_sizes,) log₂, ascending
    costs: Floats  # (n_sizes, 2) relative seconds of a stack beside its runs, and of each run

    def look(self, slot: int) -> Stack | None:
        """The first look is bound to slots: each rate in the middle and at the cheaper end. None after it."""
        column, rate = divmod(slot, len(self.rates))
        if column >= LOOKS:
            return None
        last = len(self.sizes) - 1
        size = last // 2 if column == 0 else last if self.costs[last].sum() <= self.costs[0].sum() else 0
        return Stack(size, tuple(range(rate, len(self.rates))), 0)

    def choose(self, tried: Tried, generator: np.random.Generator, most: int) -> Stack:
        """The stack that tells most for its seconds, of `most` learning rates at most.

        The variance of a cell's mean falls as 1/n, so one more run of a cell that has n counts as about 1/n². It counts
        as far as the best level may lie within two octaves, inside the levels tried. The sum is divided by the root of
        the seconds: by the seconds themselves, intervals were no narrower for the same seconds and took half as many
        runs again (replays of a table of digits). Cells with an unstable run are not run again.
        """
        shape = len(self.rates), len(self.sizes)
        runs, unstable = np.zeros(shape), np.zeros(shape, dtype=bool)
        np.add.at(runs, (tried.rate, tried.size), 1)
        unstable[tried.rate[tried.unstable], tried.size[tried.unstable]] = True
        telling = np.where(unstable, 0.0, self._near_the_best(tried, generator))
        if not telling.any():  # nothing is known, or all that is left is unstable
            telling = np.where(unstable.all(), 1.0, ~unstable)
        gains = telling / ((runs + 0.5) * (runs + 1.5))
        order = np.argsort(-gains, axis=0, kind="stable")[:most]
        seconds = self.costs[:, 0] + np.arange(1, len(order) + 1)[:, None] * self.costs[:, 1]
        worth = np.take_along_axis(gains, order, axis=0).cumsum(axis=0) / np.sqrt(seconds)
        last, size = (int(place) for place in np.unravel_index(int(worth.argmax()), worth.shape))
        rates = order[: last + 1, size]
        taken = set(tried.turns[(tried.size == size) & np.isin(tried.rate, rates)].tolist())
        turn = next(turn for turn in range(len(taken) + 1) if turn not in taken)
        return Stack(size, tuple(rates.tolist()), turn)

    def _near_the_best(self, tried: Tried, generator: np.random.Generator) -> Floats:
        """How probable it is that a cell is near the best one of its level, (n_rates, n_sizes)."""
        scored = np.isfinite(tried.scores)
        if not scored.any():
            return np.zeros((len(self.rates), len(self.sizes)))
        points = np.stack([self.rates[tried.rate], self.sizes[tried.size]], axis=1)
        process = process_of(points[scored], tried.scores[scored], tried.turns[scored]).fantasized(points[~scored])
        grid = np.stack(np.meshgrid(self.rates, self.sizes, indexing="ij"), axis=2)
        return np.array([_near(process, row, self.sizes, generator) for row in grid])


def _near(process: Process, places: Floats, levels: Floats, generator: np.random.Generator) -> Floats:
    """How probable it is that the best of some places (n, 2) lies inside them and near each, (n,).

    Levels (n,), log₂, are near within two octaves, and beside one another. Optima are drawn from the posterior
    (Thompson 1933).
    """
    best = normal_draws(*process.posterior(places), _DRAWS, generator).argmax(axis=1)
    inside = (best > 0) & (best < len(levels) - 1)
    beside = np.abs(best[:, None] - np.arange(len(levels))) <= 1
    within = np.abs(levels[best][:, None] - levels) <= _WINDOW_OCTAVES + 1e-9
    return np.asarray(((beside | within) & inside[:, None]).mean(axis=0))


def process_of(points: Floats, scores: Floats, turns: NDArray[np.int64]) -> Process:
    """The most likely process for the ranks of scores.

    Args:
        points: (n, 2) log₂ of the learning rate and of the batch size of each run.
        scores: (n,), higher is better.
        turns: (n,); runs of the same turn share their seeds, and with them half of the variance of their errors.
    """
    alike = ((turns[:, None] == turns) + np.eye(len(points))) / 2
    fits = [
        Process.of(
            Kernel(_SCALES, noise, np.zeros(2, dtype=bool), squared_exponential), points, normal_scores(scores),
            alike=alike, variance=1.0,
        )
        for noise in _NOISES
    ]  # fmt: skip
    return max(fits, key=lambda fit: fit.log_likelihood)
