"""Optuna's cache of trials, made fast for studies of many trials."""

import copy
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from optuna.storages import BaseStorage, RDBStorage
from optuna.storages._cached_storage import _CachedStorage
from optuna.trial import FrozenTrial, TrialState

from batchlaw.storage.attributes import CONFIG, shortened

# Ids of the studies that were read within `cached_reads`; None outside of it.
_studies_read: ContextVar[set[int] | None] = ContextVar("_studies_read", default=None)


@dataclass
class IncrementalFilter:
    """The trials of one study that meet a condition. Finished trials do not change, so each is tested once."""

    condition: Callable[[FrozenTrial], bool]
    _n_tested: int = 0  # the first trials, all finished, whose answer is in `_matches`
    _matches: list[FrozenTrial] = field(default_factory=list)

    def matches(self, trials: Sequence[FrozenTrial | None]) -> list[FrozenTrial]:
        """The trials that meet the condition.

        Args:
            trials: all trials of the study by number; None where a number has not been read yet.
        """
        finished = self._n_tested
        while finished < len(trials) and (trial := trials[finished]) is not None and trial.state.is_finished():
            finished += 1
        self._matches += self._test(trials[self._n_tested : finished])
        self._n_tested = finished
        return [*self._matches, *self._test(trials[finished:])]

    def _test(self, trials: Iterable[FrozenTrial | None]) -> list[FrozenTrial]:
        return [trial for trial in trials if trial is not None and self.condition(trial)]


class TrialCache(_CachedStorage):
    """Optuna's cache, with the trials in order, and with one query for new trials within `cached_reads`.

    Of a trial that has ended it keeps only the attributes by which other trials are chosen.

    Optuna's own cache queries the database and sorts all trials at every read, five times a trial. With 10,000 trials
    this is a quarter of the overhead of a trial (profiled).
    """

    def __init__(self, backend: RDBStorage) -> None:
        super().__init__(backend)
        self._ordered: defaultdict[int, list[FrozenTrial | None]] = defaultdict(list)  # by study, then by number
        self._filters: dict[tuple[int, tuple[TrialState, ...]], IncrementalFilter] = {}  # by study and states
        self._under_way: dict[int, FrozenTrial] = getattr(backend, "under_way", {})
        self._created: FrozenTrial | None = None  # the latest, within `cached_reads`

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Create a trial; within `cached_reads` the next read of it needs no query."""
        trial_id = super().create_new_trial(study_id, template_trial)
        if _studies_read.get() is not None:
            _, number = self._trial_id_to_study_id_and_number[trial_id]
            self._created = self._ordered[study_id][number]
        return trial_id

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """One trial."""
        created, self._created = self._created, None
        if created is not None and created._trial_id == trial_id and _studies_read.get() is not None:
            return copy.deepcopy(created)
        return super().get_trial(trial_id)

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """The trials of a study, in the order of their numbers."""
        self._read_trials_from_remote_storage(study_id)
        wanted = tuple(TrialState) if states is None else tuple(state for state in TrialState if state in states)
        with self._lock:
            if (study_id, wanted) not in self._filters:
                self._filters[study_id, wanted] = IncrementalFilter(partial(_is_in, wanted))
            trials = self._filters[study_id, wanted].matches(self._ordered[study_id])
        return copy.deepcopy(trials) if deepcopy else trials

    def by_number(self, study_id: int) -> Sequence[FrozenTrial | None]:
        """All trials of a study: the cache's own list, which callers must not change; a copy would take long."""
        self._read_trials_from_remote_storage(study_id)
        return self._ordered[study_id]

    def get_trial_system_attrs(self, trial_id: int) -> dict[str, Any]:
        """The system attributes of a trial; within `cached_reads`, from the cache."""
        if _studies_read.get() is None or trial_id not in self._trial_id_to_study_id_and_number:
            return super().get_trial_system_attrs(trial_id)
        study_id, number = self._trial_id_to_study_id_and_number[trial_id]
        self._read_trials_from_remote_storage(study_id)
        trial = self._ordered[study_id][number]
        assert trial is not None
        return trial.system_attrs

    def delete_study(self, study_id: int) -> None:
        """Delete a study and its trials."""
        super().delete_study(study_id)
        self._ordered.pop(study_id, None)
        self._filters = {key: kept for key, kept in self._filters.items() if key[0] != study_id}

    def _read_trials_from_remote_storage(self, study_id: int) -> None:
        read = _studies_read.get()
        if read is None or study_id not in read:
            super()._read_trials_from_remote_storage(study_id)
        if read is not None:
            read.add(study_id)

    def _add_trials_to_cache(self, study_id: int, trials: list[FrozenTrial]) -> None:
        super()._add_trials_to_cache(study_id, trials)
        ordered = self._ordered[study_id]
        for trial in trials:
            if trial.state.is_finished() or CONFIG not in trial.user_attrs:
                self._under_way.pop(trial._trial_id, None)
            else:  # the rest of it is written with its configuration or earlier
                self._under_way[trial._trial_id] = trial
            if trial.state.is_finished():
                trial.user_attrs = shortened(trial.user_attrs)
            ordered.extend([None] * (trial.number + 1 - len(ordered)))
            ordered[trial.number] = trial


def study_storage(storage: RDBStorage) -> BaseStorage:
    """The storage that a study works on: the database's, behind the cache."""
    return TrialCache(storage)


def _is_in(states: tuple[TrialState, ...], trial: FrozenTrial) -> bool:
    return trial.state in states


@contextmanager
def cached_reads(read: set[int] | None = None) -> Iterator[None]:
    """In this context this thread reads the trials of a study once; later reads see the same trials.

    Args:
        read: the studies that were read, which are added to. A later context with the same set reads nothing anew.
    """
    before = _studies_read.set(set() if read is None else read)
    try:
        yield
    finally:
        _studies_read.reset(before)
