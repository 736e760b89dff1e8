"""Optuna's Hyperband for many trials."""

from optuna.pruners import HyperbandPruner
from optuna.study import Study
from optuna.trial import FrozenTrial


class RememberingHyperbandPruner(HyperbandPruner):
    """`HyperbandPruner` of one study, which knows the bracket of a trial from the second time on.

    It would hash the name of every trial at every rung and every ask: with 10,000 trials a fifth of what a trial of no
    seconds costs (profiled).
    """

    def __init__(self, *, min_resource: int, max_resource: int, reduction_factor: int) -> None:
        super().__init__(min_resource=min_resource, max_resource=max_resource, reduction_factor=reduction_factor)
        self._brackets: dict[int, int] = {}  # by the trial's number

    def _get_bracket_id(self, study: Study, trial: FrozenTrial) -> int:
        if not self._pruners:  # until the first decision, all are one bracket
            return super()._get_bracket_id(study, trial)
        number = trial.number
        if number not in self._brackets:
            self._brackets[number] = super()._get_bracket_id(study, trial)
        return self._brackets[number]
