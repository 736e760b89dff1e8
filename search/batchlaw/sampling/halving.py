"""Successive halving over what trials reported at the same share of their budget."""

import math

from optuna.pruners import BasePruner
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial


class Halving(BasePruner):
    """Asynchronous successive halving (Li et al. 2020, "A system for massively parallel hyperparameter tuning").

    At reports `first`, `first * factor`, … a trial goes on if it is among the best 1/factor of those that have a value
    at that report. Optuna's `SuccessiveHalvingPruner` decides the same where every trial has every report. Where a
    trial has none, since its program first told its metric later, Optuna's takes the later value for the missing one;
    here the trial passes.
    """

    def __init__(self, first: int, factor: int) -> None:
        """Decide at reports `first`, `first * factor`, …"""
        self._first, self._factor = first, factor

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether the trial is to end at its last report."""
        step = trial.last_step
        if step is None or not self._decides_at(step):
            return False
        value = trial.intermediate_values[step]
        if math.isnan(value):
            return True
        others = [
            other.intermediate_values[step]
            for other in study.get_trials(deepcopy=False)
            if step in other.intermediate_values and other.number != trial.number
        ]
        best_first = sorted([*others, value], reverse=study.direction == StudyDirection.MAXIMIZE)
        worst = best_first[max(len(best_first) // self._factor, 1) - 1]
        return value < worst if study.direction == StudyDirection.MAXIMIZE else value > worst

    def _decides_at(self, step: int) -> bool:
        rung = self._first
        while rung < step:
            rung *= self._factor
        return rung == step
