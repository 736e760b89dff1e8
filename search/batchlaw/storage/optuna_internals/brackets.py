"""Optuna's Hyperband, made fast for many trials."""

from collections.abc import Callable, Container
from functools import partial
from typing import Any, cast

from optuna.pruners import BasePruner, HyperbandPruner
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from batchlaw.storage.optuna_internals.cache import IncrementalFilter, TrialCache

Halving = Callable[[int, int], BasePruner]  # from the first report at which a bracket decides, and the reduction factor


def hyperband(reports: int, reduction_factor: int, halving: Halving) -> HyperbandPruner:
    """Hyperband over a number of reports, with a pruner by `halving` in each bracket."""
    return RememberingHyperbandPruner(reports, reduction_factor, halving)


class RememberingHyperbandPruner(HyperbandPruner):
    """`HyperbandPruner` for one study. It remembers the bracket of each trial that has ended.

    Optuna's computes the bracket of every trial anew at every rung. It also opens the study at every rung, and twice at
    every ask.
    """

    def __init__(self, reports: int, reduction_factor: int, halving: Halving) -> None:
        super().__init__(min_resource=1, max_resource=reports, reduction_factor=reduction_factor)
        self._halving, self._factor = halving, reduction_factor
        self._chosen: dict[int, IncrementalFilter] = {}  # by bracket

    def _try_initialization(self, study: Study) -> None:
        super()._try_initialization(study)
        factor = self._factor
        self._pruners = [self._halving(factor**bracket, factor) for bracket in range(len(self._pruners))]  # type: ignore[misc]

    def _create_bracket_study(self, study: Study, bracket_id: int) -> Study:
        if bracket_id not in self._chosen and self._pruners:  # the brackets exist from the first decision on
            self._chosen[bracket_id] = IncrementalFilter(partial(self._is_of, study, bracket_id))
        return cast(Study, _Bracket(study, self._chosen.get(bracket_id)))

    def _is_of(self, study: Study, bracket_id: int, trial: FrozenTrial) -> bool:
        return self._get_bracket_id(study, trial) == bracket_id


class _Bracket:
    """A study whose `get_trials` returns the trials of one bracket."""

    def __init__(self, study: Study, chosen: IncrementalFilter | None) -> None:
        self._study, self._chosen = study, chosen

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)

    def get_trials(self, deepcopy: bool = True, states: Container[TrialState] | None = None) -> list[FrozenTrial]:
        """The trials of the bracket, called as Optuna's successive halving calls it."""
        assert self._chosen is not None and not deepcopy and states is None
        storage, study_id = self._study._storage, self._study._study_id
        if isinstance(storage, TrialCache):
            return self._chosen.matches(storage.by_number(study_id))
        return self._chosen.matches(self._study.get_trials(deepcopy=False))


def keep_brackets(study: Study, first_name: str) -> None:
    """Have Hyperband compute the brackets of a study that was renamed from its first name, as it did before."""
    study.study_name = first_name
