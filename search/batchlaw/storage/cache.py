"""Optuna's cache of trials, for many of them."""

import copy
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from optuna.storages import RDBStorage
from optuna.storages._cached_storage import _CachedStorage
from optuna.trial import FrozenTrial, TrialState

_looked: ContextVar[set[int] | None] = ContextVar("_looked", default=None)  # studies that were, in this thread's look


@dataclass
class IncrementalFilter:
    """The trials of a study that meet a condition, of which each is asked until it has ended, and not again."""

    condition: Callable[[FrozenTrial], bool]
    _asked: int = 0  # the trials of lower numbers, which have ended
    _found: list[FrozenTrial] = field(default_factory=list)  # among them

    def among(self, trials: Sequence[FrozenTrial | None]) -> list[FrozenTrial]:
        """Those that do, of all trials by number; a number may have none yet."""
        ended = self._asked
        while ended < len(trials) and (trial := trials[ended]) is not None and trial.state.is_finished():
            ended += 1
        self._found += self._those(trials[self._asked : ended])
        self._asked = ended
        return [*self._found, *self._those(trials[ended:])]

    def _those(self, trials: Iterable[FrozenTrial | None]) -> list[FrozenTrial]:
        return [trial for trial in trials if trial is not None and self.condition(trial)]


class TrialCache(_CachedStorage):
    """Optuna's cache, which keeps the trials of a study in order, and in one look asks the database once for the new.

    Optuna's asks the database and sorts all trials for everyone who reads them, five times a trial: with 10,000 trials
    a quarter of what one of no seconds costs (profiled).
    """

    def __init__(self, backend: RDBStorage) -> None:
        super().__init__(backend)
        self._ordered: defaultdict[int, list[FrozenTrial | None]] = defaultdict(list)  # by study, by number
        self._chosen: dict[tuple[int, tuple[TrialState, ...]], IncrementalFilter] = {}  # by study and states
        self._made: FrozenTrial | None = None  # in this look

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Who makes a trial in a look, and reads it next, is spared the database."""
        trial_id = super().create_new_trial(study_id, template_trial)
        if _looked.get() is not None:
            _, number = self._trial_id_to_study_id_and_number[trial_id]
            self._made = self._ordered[study_id][number]
        return trial_id

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """One trial."""
        made, self._made = self._made, None
        if made is not None and made._trial_id == trial_id and _looked.get() is not None:
            return copy.deepcopy(made)
        return super().get_trial(trial_id)

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """By number."""
        self._read_trials_from_remote_storage(study_id)
        wanted = tuple(TrialState) if states is None else tuple(state for state in TrialState if state in states)
        with self._lock:
            if (study_id, wanted) not in self._chosen:
                self._chosen[study_id, wanted] = IncrementalFilter(partial(_is_in, wanted))
            trials = self._chosen[study_id, wanted].among(self._ordered[study_id])
        return copy.deepcopy(trials) if deepcopy else trials

    def by_number(self, study_id: int) -> Sequence[FrozenTrial | None]:
        """All trials of a study as they are kept, not to be changed; a copy of the list alone touches each of them."""
        self._read_trials_from_remote_storage(study_id)
        return self._ordered[study_id]

    def get_trial_system_attrs(self, trial_id: int) -> dict[str, Any]:
        """Of a trial, as of the look."""
        if _looked.get() is None or trial_id not in self._trial_id_to_study_id_and_number:
            return super().get_trial_system_attrs(trial_id)
        study_id, number = self._trial_id_to_study_id_and_number[trial_id]
        self._read_trials_from_remote_storage(study_id)
        return self._studies[study_id].trials[number].system_attrs

    def delete_study(self, study_id: int) -> None:
        """With its trials."""
        super().delete_study(study_id)
        self._ordered.pop(study_id, None)
        self._chosen = {key: chosen for key, chosen in self._chosen.items() if key[0] != study_id}

    def _read_trials_from_remote_storage(self, study_id: int) -> None:
        looked = _looked.get()
        if looked is None or study_id not in looked:
            super()._read_trials_from_remote_storage(study_id)
        if looked is not None:
            looked.add(study_id)

    def _add_trials_to_cache(self, study_id: int, trials: list[FrozenTrial]) -> None:
        super()._add_trials_to_cache(study_id, trials)
        ordered = self._ordered[study_id]
        for trial in trials:
            ordered.extend([None] * (trial.number + 1 - len(ordered)))
            ordered[trial.number] = trial


def _is_in(states: tuple[TrialState, ...], trial: FrozenTrial) -> bool:
    return trial.state in states


@contextmanager
def cached_reads() -> Iterator[None]:
    """Meanwhile this thread sees the trials as they are when it first asks for them."""
    before = _looked.set(set())
    try:
        yield
    finally:
        _looked.reset(before)
