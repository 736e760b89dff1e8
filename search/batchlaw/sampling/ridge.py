"""An adaptive design for a ridge: it looks for the best level of one factor at each level of the other."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import log2
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from batchlaw.recipe.result import Outcome
from batchlaw.stats.draws import normal_draws
from batchlaw.stats.gaussian_process import Kernel, Process, normal_scores, squared_exponential
from batchlaw.stats.surface import Bools, Floats
from batchlaw.storage.attributes import OUTCOME

_WINDOW_OCTAVES = 2.0  # octaves from the best cell in which runs are chosen
LOOKS = 3  # rounds of the first look: both ends, with which the gate compares the best cell, and the middle
_UNSTABLE = (Outcome.DIVERGED, Outcome.OUT_OF_MEMORY)
_SCALES = np.array([3.0, 2.0])  # octaves of the given and of the tuned factor: length scales (assumption)
_NOISES = (0.02, 0.06, 0.2, 0.6, 2.0)  # candidates for the variance of a run's error beside the surface's of 1


@dataclass(frozen=True, eq=False)
class Tried:
    """The trials of a study so far, in any order."""

    given: NDArray[np.intp]  # (n,) index of the given level
    tuned: NDArray[np.intp]  # (n,) index of the tuned level
    rounds: NDArray[np.int64]  # (n,) trials of the same round share their seeds
    scores: Floats  # (n,) higher is better; NaN while a trial runs
    unstable: Bools  # (n,) the trial diverged, ran out of memory, was pruned, or is no better than guessing


@dataclass(frozen=True, eq=False)
class Posterior:
    """The surface, given the trials so far."""

    mean: Floats  # (n_given, n_tuned)
    covariance: Floats  # (n_given, n_tuned, n_tuned)
    runs: NDArray[np.int64]  # (n_given, n_tuned) number of trials, running ones included
    unstable: Bools  # (n_given, n_tuned) some trial was unstable


@dataclass(frozen=True, eq=False)
class Design:
    """The levels of both factors, and the rules by which cells are chosen."""

    given: Floats  # (n_given,) log₂, ascending
    tuned: Floats  # (n_tuned,) log₂, ascending

    def level(self, slot: int) -> tuple[int, int]:
        """The index of the given level of a slot, and its round; each round has one slot for each given level."""
        return slot % len(self.given), slot // len(self.given)

    def look(self, slot: int) -> int | None:
        """The index of the tuned level of a slot in the first look; None after the first look."""
        level, turn = self.level(slot)
        last = len(self.tuned) - 1
        return (0, last, last // 2)[(turn + level) % LOOKS] if turn < LOOKS else None

    def posterior(self, tried: Tried) -> Posterior:
        """The surface, given trials of which one or more have a score."""
        scored, n = np.isfinite(tried.scores), len(self.tuned)
        points = np.stack([self.given[tried.given], self.tuned[tried.tuned]], axis=1)
        process = process_of(points[scored], tried.scores[scored], tried.rounds[scored]).fantasized(points[~scored])
        places = [np.stack([np.full(n, given), self.tuned], axis=1) for given in self.given]
        unstable = np.zeros((len(self.given), n), dtype=bool)
        unstable[tried.given[tried.unstable], tried.tuned[tried.unstable]] = True
        runs = np.zeros(unstable.shape, dtype=int)
        np.add.at(runs, (tried.given, tried.tuned), 1)
        mean, covariance = (np.stack(part) for part in zip(*map(process.posterior, places), strict=True))
        return Posterior(mean, covariance, runs, unstable)

    def choose(self, slot: int, posterior: Posterior, generator: np.random.Generator) -> int:
        """The index of the tuned level to run in a slot after the first look.

        An optimum is drawn from the posterior (Thompson 1933). Of the stable levels within two octaves of it, one
        with the fewest runs is chosen.
        """
        level, _ = self.level(slot)
        best = int(normal_draws(posterior.mean[level], posterior.covariance[level], 1, generator).argmax())
        near = np.abs(self.tuned - self.tuned[best]) <= _WINDOW_OCTAVES + 1e-9
        near[max(best - 1, 0) : best + 2] = True
        near &= ~posterior.unstable[level]
        near[best] = True
        runs = np.where(near, posterior.runs[level], np.inf)
        return int(generator.choice(np.flatnonzero(runs == runs.min())))


def process_of(points: Floats, scores: Floats, rounds: NDArray[np.int64]) -> Process:
    """The most likely process for the ranks of scores.

    Args:
        points: (n, 2) log₂ of the given and of the tuned level of each run.
        scores: (n,), higher is better.
        rounds: (n,); runs of the same round share their seeds, and with them half of the variance of their errors.
    """
    alike = ((rounds[:, None] == rounds) + np.eye(len(points))) / 2
    fits = [
        Process.of(
            Kernel(_SCALES, noise, np.zeros(2, dtype=bool), squared_exponential), points, normal_scores(scores),
            alike=alike, variance=1.0,
        )
        for noise in _NOISES
    ]  # fmt: skip
    return max(fits, key=lambda fit: fit.log_likelihood)


class RidgeSampler(BaseSampler):
    """A sampler that spends trials where the ridge is still uncertain.

    Trials are spread evenly over the given levels. The slot of a trial fixes its given level and its round. The trials
    so far and the seed fix its tuned level, so workers need no agreement. Running trials count as runs of their cells.
    Other parameters are drawn at random.

    Args:
        given: the name of the given parameter.
        tuned: the name of the tuned parameter.
        space: the distributions of both: positive numbers to choose from, or integer exponents of 2.
        seed: of the draws.
        slot: the slot of the trial; None takes the number of the trial.
        chance: the value of guessing. A trial that is not better counts as unstable, like one that diverged.
    """

    def __init__(
        self,
        given: str,
        tuned: str,
        space: Mapping[str, BaseDistribution],
        *,
        seed: int | None = None,
        slot: int | None = None,
        chance: float | None = None,
    ) -> None:
        self._given, self._tuned, self._space, self._slot = given, tuned, dict(space), slot
        self._chance = chance
        self._values = {name: sorted(_octaves(space[name]).items(), key=lambda each: each[1]) for name in self._names}
        self._design = Design(*(np.array([place for _, place in self._values[name]]) for name in self._names))
        self._seed = int(np.random.SeedSequence(seed).generate_state(1)[0])
        self._random = RandomSampler(seed=seed)

    @property
    def _names(self) -> tuple[str, str]:
        return self._given, self._tuned

    def reseed_rng(self) -> None:
        """Draw a new seed, as Optuna asks of samplers in forked processes and in threads."""
        self._random.reseed_rng()

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The two factors."""
        return {name: self._space[name] for name in self._names}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Both factors of a trial. If the search space lacks one of them, all its parameters are drawn at random."""
        if not set(self._names) <= search_space.keys():
            return {
                name: self.sample_independent(study, trial, name, distribution)
                for name, distribution in search_space.items()
            }
        slot = trial.number if self._slot is None else self._slot
        level, _ = self._design.level(slot)
        chosen = self._design.look(slot)
        if chosen is None:
            tried = self.tried(study, trial)
            generator = np.random.default_rng([self._seed, slot])
            if np.isfinite(tried.scores).any():
                chosen = self._design.choose(slot, self._design.posterior(tried), generator)
            else:
                chosen = int(generator.integers(len(self._design.tuned)))
        return {self._given: self._values[self._given][level][0], self._tuned: self._values[self._tuned][chosen][0]}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A random value."""
        return self._random.sample_independent(study, trial, param_name, param_distribution)

    def tried(self, study: Study, trial: FrozenTrial) -> Tried:
        """The trials that have both factors. By number, the n-th trial of a given level belongs to the n-th round."""
        states = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)
        sign = 1.0 if study.direction == StudyDirection.MAXIMIZE else -1.0
        index = {name: {value: i for i, (value, _) in enumerate(self._values[name])} for name in self._names}
        seen = [0] * len(self._design.given)
        rows: list[tuple[int, int, int, float, bool]] = []
        for other in sorted(study.get_trials(deepcopy=False, states=states), key=lambda each: each.number):
            places = [index[name].get(other.params.get(name)) for name in self._names]
            if other.number == trial.number or places[0] is None or places[1] is None:
                continue
            score = sign * other.value if other.state == TrialState.COMPLETE and other.value is not None else np.nan
            unstable = (
                other.state == TrialState.PRUNED
                or other.user_attrs.get(OUTCOME) in _UNSTABLE
                or (self._chance is not None and score <= sign * self._chance)
            )
            rows.append((places[0], places[1], seen[places[0]], score, unstable))
            seen[places[0]] += 1
        table = np.array(rows, float).reshape(len(rows), 5)
        level, tuned, turn = table[:, :3].astype(int).T
        return Tried(level, tuned, turn, table[:, 3], table[:, 4].astype(bool))


def _octaves(distribution: BaseDistribution) -> dict[Any, float]:
    """The log₂ of each value of a factor.

    Raises:
        ValueError: the values are not levels of a positive factor.
    """
    if isinstance(distribution, IntDistribution):
        return {value: float(value) for value in range(distribution.low, distribution.high + 1, distribution.step)}
    if isinstance(distribution, CategoricalDistribution):
        values = [value for value in distribution.choices if isinstance(value, int | float) and value > 0]
        if len(values) == len(distribution.choices):
            return {value: log2(value) for value in values}
    raise ValueError(f"must be positive numbers to choose from, or integer exponents of 2; got {distribution}")
