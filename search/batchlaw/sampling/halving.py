"""Successive halving over what trials reported at the same share of their budget."""

import math
from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass, field

from optuna.pruners import BasePruner
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial


@dataclass
class _Ended:
    """The values at one report of the first trials of a study, all of which have ended and change no more."""

    trials: int = 0
    values: list[float] = field(default_factory=list)  # in order

    def extend(self, trials: Sequence[FrozenTrial], step: int) -> None:
        """Take in what has ended since; the trials are all of the study by number."""
        while self.trials < len(trials) and trials[self.trials].state.is_finished():
            value = trials[self.trials].intermediate_values.get(step, math.nan)
            if not math.isnan(value):
                insort(self.values, value)
            self.trials += 1


class Halving(BasePruner):
    """Asynchronous successive halving (Li et al. 2020, "A system for massively parallel hyperparameter tuning").

    One object is for one study, of whose ended trials it remembers the values.

    At reports `first`, `first * factor`, … a trial goes on if it is among the best 1/factor of those that have a value
    at that report. Optuna's `SuccessiveHalvingPruner` decides the same where every trial has every report. Where a
    trial has none, since its program first told its metric later, Optuna's takes the later value for the missing one;
    here the trial passes.
    """

    def __init__(self, first: int, factor: int) -> None:
        """Decide at reports `first`, `first * factor`, …"""
        self._first, self._factor = first, factor
        self._ended: dict[int, _Ended] = {}  # by report

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether the trial is to end at its last report."""
        step = trial.last_step
        if step is None or not self._decides_at(step):
            return False
        value = trial.intermediate_values[step]
        if math.isnan(value):
            return True
        trials = study.get_trials(deepcopy=False)
        ended = self._ended.setdefault(step, _Ended())
        ended.extend(trials, step)
        others = (other for other in trials[ended.trials :] if other.number != trial.number)
        rest = [told for other in others if not math.isnan(told := other.intermediate_values.get(step, math.nan))]
        if study.direction == StudyDirection.MAXIMIZE:
            better = len(ended.values) - bisect_right(ended.values, value) + sum(other > value for other in rest)
        else:
            better = bisect_left(ended.values, value) + sum(other < value for other in rest)
        return better >= max((len(ended.values) + len(rest) + 1) // self._factor, 1)

    def _decides_at(self, step: int) -> bool:
        rung = self._first
        while rung < step:
            rung *= self._factor
        return rung == step
