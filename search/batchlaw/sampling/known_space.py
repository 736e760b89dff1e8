"""Optuna's TPE, made fast for a space that is known beforehand and for many trials."""

from collections.abc import Container, Mapping
from functools import cached_property
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import TPESampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

# TPE models the 25 best as good, and gives the others less weight the older they are.
_BEST, _LATEST = 100, 900
_SEEN = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)


class KnownSpaceTPESampler(TPESampler):
    """`TPESampler` with a fixed search space and a bounded history.

    Optuna's gathers the space from all trials at every ask, which takes half of an ask with 1,000 trials. Of more than
    1,000 trials this one sees the 100 best complete ones and the 900 latest. With 10,000 trials Optuna's own work on
    them takes three fifths of the cost of an empty trial (profiled).

    Args:
        space: the parameters that every trial has.
        options: of `TPESampler`.
    """

    def __init__(self, space: Mapping[str, BaseDistribution], **options: Any) -> None:
        super().__init__(**options)
        self._known = {name: space[name] for name in sorted(space) if not space[name].single()}

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The whole space."""
        return dict(self._known)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The parameters of a trial, by the bounded history."""
        return super().sample_relative(cast(Study, _BoundedHistory(study)), trial, search_space)

    def _get_internal_repr(
        self, trials: list[FrozenTrial], search_space: dict[str, BaseDistribution], study: Study
    ) -> dict[str, NDArray[np.float64]]:
        """Optuna's internal values of each parameter, (n_trials,).

        For all trials at once, which takes a third of the time of Optuna's own.
        """
        found = [self._get_params(trial, study) for trial in trials]
        whole = [params for params in found if search_space.keys() <= params.keys()]
        columns = {}
        for name, distribution in search_space.items():
            values = [params[name] for params in whole]
            if isinstance(distribution, CategoricalDistribution):
                number_of = {choice: number for number, choice in enumerate(distribution.choices)}
                values = [number_of[value] for value in values]
            columns[name] = np.array(values, dtype=float)
        return columns


class _BoundedHistory:
    """A study of one objective, with the trials that a sampler sees in one draw."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self.direction = study.direction  # kept, because TPE asks for it once for every trial

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)

    def _get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        return [trial for trial in self._seen if states is None or trial.state in states]

    @cached_property
    def _seen(self) -> list[FrozenTrial]:
        trials = self._study._get_trials(deepcopy=False, states=_SEEN)
        if len(trials) <= _BEST + _LATEST:
            return trials
        older = [trial for trial in trials[:-_LATEST] if trial.state == TrialState.COMPLETE]
        values = np.array([cast(float, trial.value) for trial in older])
        best = np.argsort(-values if self.direction == StudyDirection.MAXIMIZE else values, kind="stable")[:_BEST]
        return [*(older[index] for index in np.sort(best)), *trials[-_LATEST:]]
