"""A search for the largest gain per second: a Gaussian process and a model of what a candidate costs."""

import heapq
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.search_space import intersection_search_space
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from batchlaw.recipe.cube import Cube
from batchlaw.sampling.costs import Costs, full_seconds
from batchlaw.sampling.improvement import log_improvement
from batchlaw.stats.gaussian_process import Kernel, Prior, Process, matern, normal_scores
from batchlaw.stats.surface import Floats
from batchlaw.storage.attributes import BREAKS

# With these, an ask takes two to three times as long as TPE's with 100 trials, and a ninth with 10,000 (measured).
_KEPT = 200  # trials that the process is given: half are the best, half the latest
_FITTED = 60  # of these, trials that its kernel is fitted to: half are the best, half are drawn
_CANDIDATES = 200  # at random, and as many next to the best trials
_PARENTS = 10  # best trials that have candidates next to them
_STEPS = 10  # of the search for its kernel
_FLOOR = -0.5  # lowest normal score
_SPREAD = 0.15  # standard deviation of a candidate's distance from its parent, as a share of a side


class PerSecondSampler(BaseSampler):
    """Expected improvement per second, by a Gaussian process.

    A candidate is worth its expected improvement divided by its predicted seconds to the power of `cost_exponent`. An
    exponent of 1 is Snoek et al. 2012, section 3.2; it keeps choosing cheap configurations. Lee et al. 2020
    (arXiv:2003.10870) lower it from 1 to 0 as a budget is spent, but a sampler does not know the budget. The default of
    0.75 was chosen on two of the four grids of tests/benchmarks/replay.py.

    The first trial is the middle of the space. The next ones fill the largest gaps per second, as in Lee et al. From
    `n_startup_trials` on the process decides.

    Scores enter by their rank. A pruned trial has the last score that it reported, and is charged the seconds that it
    would have taken in full. Running trials are assumed to end as predicted. A configuration that was tried is not
    proposed again, because the trials of a study share their seeds.

    Args:
        seed: the same seed and history give the same configuration.
        cost_exponent: 0 for the largest gain per trial, 1 for the largest gain per second.
        n_startup_trials: the number of ended trials from which on the process decides.
        space: the parameters; None gathers those that every trial has from the trials.
        conditional: groups of names among them that only some trials have. A trial without one counts as if it had the
            first choice, or the middle of the range.
        study: the study that it serves. Under Hyperband it sees the trials of every bracket only by this.
    """

    def __init__(
        self,
        *,
        seed: int | None = None,
        cost_exponent: float = 0.75,
        n_startup_trials: int = 10,
        space: Mapping[str, BaseDistribution] | None = None,
        conditional: Sequence[Collection[str]] = (),
        study: Study | None = None,
    ) -> None:
        self._study = study
        self._known = space
        self._some = {name for group in conditional for name in group}
        self._cost_exponent = cost_exponent
        self._first = n_startup_trials
        self._generator = np.random.default_rng(seed)
        self._random = RandomSampler(seed=seed)

    def reseed_rng(self) -> None:
        """Draw a new seed, as Optuna asks of samplers in forked processes and in threads."""
        self._generator = np.random.default_rng()
        self._random.reseed_rng()

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The known space, or else the parameters that all of the latest complete trials have."""
        if self._known is not None:
            return {name: of for name, of in self._known.items() if not of.single()}
        latest = self._trials(study, (TrialState.COMPLETE,))[-_KEPT:]
        return {name: of for name, of in intersection_search_space(latest).items() if not of.single()}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The parameters of a trial; empty before the first trial has ended.

        Raises:
            ValueError: the study has more than one objective.
        """
        _check_one_objective(study)
        trials = self._trials(study, (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING))
        always = search_space.keys() - self._some
        history = History.of(trials, always, maximize=study.direction == StudyDirection.MAXIMIZE)
        if not search_space or not history.ended:
            return {}
        cube = Cube.of(search_space)
        absent = cube.configuration(np.array([0.0 if side.categorical else 0.5 for side in cube.sides]))
        points = cube.points(absent | other.params for other in history.ended)
        pending = cube.points(absent | other.params for other in history.running) if history.running else points[:0]
        costs = Costs.of(cube.coordinates(points), full_seconds(history.ended))
        parents = np.argsort(-history.scores, kind="stable")[:_PARENTS]
        candidates = self._candidates(cube, points[parents])
        if history.n_ended < self._first:
            worth = _room(cube, candidates, np.concatenate([points, pending]))
        else:
            worth = self._gain(cube, candidates, points, pending, history.scores, parents)
        worth = worth - self._cost_exponent * costs.log_seconds(cube.coordinates(candidates))
        ranked = candidates[np.argsort(-worth, kind="stable")]
        # In a discrete space a candidate may equal any trial, in a continuous one only a trial that the process knows.
        return _first_untried(cube, ranked, trials if cube.discrete else [*history.ended, *history.running])

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """The middle of the parameter's range in the first trial, and a random value later.

        A trial in a corner of the space might take as long as all later ones together. Optuna asks here for parameters
        that some trials lack, and for all of them before the first trial has ended.
        """
        _check_one_objective(study)
        if len(self._trials(study, None)) <= 1 and not isinstance(param_distribution, CategoricalDistribution):
            return Cube.of({param_name: param_distribution}).configuration(np.array([0.5]))[param_name]
        return self._random.sample_independent(study, trial, param_name, param_distribution)

    def _trials(self, study: Study, states: tuple[TrialState, ...] | None) -> list[FrozenTrial]:
        """The trials of all brackets, where Hyperband's study would return those of one bracket."""
        return (self._study or study).get_trials(deepcopy=False, states=states)

    def _candidates(self, cube: Cube, parents: Floats) -> Floats:
        chosen = parents[self._generator.integers(len(parents), size=_CANDIDATES)]
        everywhere = cube.at_random(_CANDIDATES, self._generator)
        return np.concatenate([everywhere, cube.neighbours(chosen, _SPREAD, self._generator)])

    def _gain(
        self, cube: Cube, candidates: Floats, points: Floats, pending: Floats, scores: Floats, parents: NDArray[np.intp]
    ) -> Floats:
        """The log of the expected improvement over the best prediction at a parent, (n_candidates,)."""
        scores = levelled(scores)
        ranked, half = np.argsort(-scores, kind="stable"), _FITTED // 2
        drawn = self._generator.permutation(ranked[half:])[:half]
        fitted = np.concatenate([ranked[:half], drawn])
        kernel = Kernel.fitted(
            points[fitted], scores[fitted] - scores[fitted].mean(), cube.categorical, matern, _prior(len(cube.sides)),
            steps=_STEPS,
        )  # fmt: skip
        process = Process.of(kernel, points, scores)
        best = float(process.predict(points[parents])[0].max())
        if len(pending):
            process = process.fantasized(pending)
        return log_improvement(*process.predict(candidates), best)


def _check_one_objective(study: Study) -> None:
    if len(study.directions) > 1:
        raise ValueError("PerSecondSampler searches for the best of one objective")


def _prior(d: int) -> Prior:
    """The prior of a kernel on a cube with d sides."""

    def parameters(scale: float, noise: float) -> Floats:
        return np.append(np.full(d, scale), noise)

    # The median length scale grows with √d (Hvarfner et al. 2024, arXiv:2402.02229). The noise is a hundredth of the
    # surface's variance, to within a factor of e (assumption).
    return Prior(
        middle=parameters(np.sqrt(2.0) + np.log(d) / 2, np.log(0.01)),
        deviation=parameters(np.sqrt(3.0), 1.0),
        low=np.log(parameters(0.05, 1e-5)),
        high=np.log(parameters(30.0, 3.0)),
        start=np.log(parameters(0.5, 0.01)),
    )


@dataclass(frozen=True, eq=False)
class History:
    """The trials that a choice is based on: if there are many, the best complete ones and the latest ones."""

    ended: list[FrozenTrial]
    scores: Floats  # (n,) of the ended trials, higher is better
    running: list[FrozenTrial]
    n_ended: int  # all trials that have ended, including those that are left out

    @classmethod
    def of(cls, trials: list[FrozenTrial], names: set[str], *, maximize: bool) -> "History":
        """The trials that have all named parameters, and a finite score if they have ended."""
        sign = 1.0 if maximize else -1.0
        finished = [trial for trial in trials if trial.state != TrialState.RUNNING]
        kept = finished
        if len(finished) > _KEPT:
            complete = [trial for trial in finished[: -_KEPT // 2] if trial.state == TrialState.COMPLETE]
            best = heapq.nlargest(_KEPT // 2, complete, key=lambda trial: sign * _score(trial))
            kept = sorted(best, key=lambda trial: trial.number) + finished[-_KEPT // 2 :]
        ended = [trial for trial in kept if names <= trial.params.keys() and math.isfinite(_score(trial))]
        running = [trial for trial in trials if trial.state == TrialState.RUNNING and names <= trial.params.keys()]
        scores = np.array([sign * _score(trial) for trial in ended])
        broken = np.array([bool(trial.user_attrs.get(BREAKS)) for trial in ended], bool)
        scores[broken] = scores.min(initial=np.inf)  # what exceeds a bound is as bad as the worst
        return cls(ended, scores, running[-_KEPT:], len(finished))


def _score(trial: FrozenTrial) -> float:
    if trial.state == TrialState.COMPLETE:
        return trial.value if trial.value is not None else math.nan
    return trial.intermediate_values[trial.last_step] if trial.last_step is not None else math.nan


def levelled(scores: Floats) -> Floats:
    """Normal scores of the ranks with mean 0 and standard deviation 1, (n,).

    The lower third all get the same score, so that the process does not model differences between bad trials.
    """
    normal = np.maximum(normal_scores(scores), _FLOOR)
    return np.asarray((normal - normal.mean()) / max(float(normal.std()), 1e-12))


def _room(cube: Cube, candidates: Floats, others: Floats) -> Floats:
    """The log of the empty volume around each candidate, (n_candidates,)."""
    apart = (cube.coordinates(candidates)[:, None] - cube.coordinates(others)[None]) ** 2
    distance = np.sqrt(apart.sum(axis=2)).min(axis=1)
    return np.asarray(len(cube.sides) * np.log(np.maximum(distance, 1e-9)))


def _first_untried(cube: Cube, candidates: Floats, tried: list[FrozenTrial]) -> dict[str, Any]:
    """The first candidate that no trial had; the first of all if every one was tried."""
    names = [side.name for side in cube.sides]
    taken = {tuple(map(trial.params.get, names)) for trial in tried}
    configurations = map(cube.configuration, candidates)
    new = (found for found in configurations if tuple(found.values()) not in taken)
    return next(new, None) or cube.configuration(candidates[0])
