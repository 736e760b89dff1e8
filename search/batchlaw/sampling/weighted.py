"""A search for good scores in few seconds, beside the pruner: of each trial its own weight says how much either counts.

Optuna prunes no study of two objectives, so the study has one, its metric. Each trial is sampled as if the objective
were a weighted one (ParEGO; Knowles 2006, IEEE Trans. Evol. Comput. 10(1), eq. 2), with a weight drawn for it. Trials
are pruned by the metric, but for those that are faster than all that are as good (replay_front.py measures both).
"""

import copy
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from batchlaw.sampling.halving import Halving
from batchlaw.sampling.known_space import KnownSpaceTPESampler
from batchlaw.storage.attributes import RESULT

_SUM = 0.05  # weight of the sum beside the larger part (Knowles 2006)
_SLOWER = 1.1  # times the seconds that are no longer: clocks vary by as much (assumption)
_LEAST_SECONDS = 1e-3


class WeightedTPESampler(KnownSpaceTPESampler):
    """TPE on a weighted sum of the rank of the score and the logarithm of the seconds; see `KnownSpaceTPESampler`."""

    def __init__(self, *arguments: Any, seed: int, **options: Any) -> None:
        super().__init__(*arguments, seed=seed, **options)
        self._weight = float(np.random.default_rng(seed).uniform())  # of the score

    def seen_as(self, study: Study, trials: list[FrozenTrial]) -> list[FrozenTrial]:
        """The trials with the weighted objective as their value, where they have ended."""
        changed: dict[int, FrozenTrial] = {}
        for state in (TrialState.COMPLETE, TrialState.PRUNED):  # TPE compares those of a state with each other
            own = [trial for trial in trials if trial.state == state and _score(trial) is not None]
            changed |= self._weighted(own, 1 if study.direction == StudyDirection.MAXIMIZE else -1)
        return [changed.get(trial.number, trial) for trial in trials]

    def _weighted(self, trials: list[FrozenTrial], sign: int) -> dict[int, FrozenTrial]:
        if not trials:
            return {}
        scores = np.array([sign * (_score(trial) or 0.0) for trial in trials])
        behind = len(scores) - np.searchsorted(np.sort(scores), scores, side="right")
        most = max((trial.last_step or 1 for trial in trials), default=1)
        logs = np.log([_seconds(trial, most) for trial in trials])
        slow = (logs - logs.min()) / max(float(np.ptp(logs)), 1e-9)
        parts = np.stack([self._weight * behind / len(trials), (1 - self._weight) * slow])
        objective = -sign * (parts.max(axis=0) + _SUM * parts.sum(axis=0))
        return {trial.number: _with(trial, value) for trial, value in zip(trials, objective.tolist(), strict=True)}


def _score(trial: FrozenTrial) -> float | None:
    if trial.state == TrialState.COMPLETE:
        return trial.value
    return None if trial.last_step is None else trial.intermediate_values[trial.last_step]


def _seconds(trial: FrozenTrial, most: int) -> float:
    """Of the whole trial, or what it would have taken; trials of code that told no time have their duration."""
    result: Mapping[str, Any] = trial.user_attrs.get(RESULT) or {}
    known = result.get("seconds") or (trial.duration.total_seconds() if trial.duration else 0.0)
    return float(max(known, _LEAST_SECONDS)) * (most / (trial.last_step or most))


def _with(trial: FrozenTrial, value: float) -> FrozenTrial:
    changed = copy.copy(trial)
    if trial.state == TrialState.COMPLETE:
        changed.value = value
    else:
        assert trial.last_step is not None
        changed.intermediate_values = {trial.last_step: value}
    return changed


class FastKept(Halving):
    """`Halving` that lets a trial go on if it is faster than all that are as good at its report."""

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether the trial is to end at its last report."""
        if not super().prune(study, trial):
            return False
        step = trial.last_step
        assert step is not None
        sign = 1 if study.direction == StudyDirection.MAXIMIZE else -1
        value, pace = sign * trial.intermediate_values[step], _pace(trial)
        return not value > float("-inf") or any(  # NaN is not worth its seconds
            sign * other.intermediate_values[step] >= value and _pace(other) <= _SLOWER * pace
            for other in study.get_trials(deepcopy=False)
            if step in other.intermediate_values and other.number != trial.number
        )


def _pace(trial: FrozenTrial) -> float:
    """Seconds a report."""
    assert trial.datetime_start is not None and trial.last_step
    return ((trial.datetime_complete or datetime.now()) - trial.datetime_start).total_seconds() / trial.last_step
