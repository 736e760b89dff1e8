"""The trials of a database as the dashboard shows them: with readable values instead of JSON, and with their curves."""

import contextlib
import copy
import json
import math
import shlex
from collections.abc import Callable, Container, Mapping
from typing import Any

from optuna.storages import BaseStorage, RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from batchlaw.dashboard.curves import artifacts_of
from batchlaw.results.result import TrialResult
from batchlaw.spec.knobs import KNOBS
from batchlaw.storage import TrialHead, heads_of, n_trials_of, trials_of
from batchlaw.storage.attributes import ARGUMENTS, CONFIG, OUTPUT, REASON, RESULT
from batchlaw.storage.stored_values import Unreadable

# Shown of a configuration, beside the hyperparameters that are not among the suggested parameters.
_DERIVED = (
    "peak_lr", "lr_per_example", "noise_scale", "steps", "warmup_steps", "examples", "beta2", "budget_clipped", "seeds",
)  # fmt: skip
# Shown of a result, beside its metrics.
_MEASURED = (
    "replicate_values", "train_seconds", "seconds", "examples_per_second", "stacked", "micro_batch_size",
    "grad_accum_steps", "device", "threads", "flags",
)  # fmt: skip
# The page of a study draws a line for each trial with reports. Measured on two busy cores: 5,000 lines block it for
# 110 s. Where there are more trials than this, it gets the reports of every second, third, … ended trial alone.
_MOST_LINES = 200
# A trial is 3 KB of the answer to the page and takes 0.2 ms. Whether one is sent depends on those before it alone: the
# page asks for what follows the trials that it has, by their count.
_ALL_BELOW, _EVERY = 2000, 8
_SOME = f"the first {_ALL_BELOW:,}, every {_EVERY}th of the others, and each that was the best so far"


def _passed_on(name: str) -> Callable[..., Any]:
    def method(shown: "ShownTrials", *arguments: Any, **options: Any) -> Any:
        return getattr(shown.storage, name)(*arguments, **options)

    return method


_PassedOn: Any = type("_PassedOn", (BaseStorage,), {name: _passed_on(name) for name in BaseStorage.__abstractmethods__})


class ShownTrials(_PassedOn):  # type: ignore[misc]  # a class made by `type`
    """A storage for the dashboard, which passes on every other call to the database's.

    It caches nothing, since a database may give the number of a deleted study or trial to a new one.
    """

    def __init__(self, storage: RDBStorage) -> None:
        self.storage = storage

    def get_all_studies(self) -> list[Any]:
        """Every study, with a remark if not all of its trials are sent; JSON gets spaces, which break it into lines."""
        studies = self.storage.get_all_studies()
        for study in studies:
            study.user_attrs = {key: _breakable(value) for key, value in study.user_attrs.items()}
            n_trials = n_trials_of(self.storage, self.storage.get_study_id_from_name(study.study_name))
            if n_trials > _ALL_BELOW and len(study.directions) == 1:
                study.user_attrs["trials on this page"] = f"{_SOME}; there are {n_trials:,}"
        return studies

    def recorded(self, study_id: int, number: int) -> FrozenTrial:
        """A trial as it is in the database.

        Raises:
            KeyError: there is none.
        """
        return self.storage.get_trial(self.storage.get_trial_id_from_study_id_trial_number(study_id, number))

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """A trial as it is shown; the dashboard asks for it before it serves an image."""
        trial = self.storage.get_trial(trial_id)
        for study in self.storage.get_all_studies():
            study_id = self.storage.get_study_id_from_name(study.study_name)
            with contextlib.suppress(KeyError):  # that study has no trial of this number
                if self.storage.get_trial_id_from_study_id_trial_number(study_id, trial.number) == trial_id:
                    return _shown(study_id, trial)
        return trial

    def get_best_trial(self, study_id: int) -> FrozenTrial:
        """The best trial of a study, as it is shown."""
        return _shown(study_id, self.storage.get_best_trial(study_id))

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """The trials of a study, or those in some states, as they are shown: `_some` of them."""
        direction, *others = self.storage.get_study_directions(study_id)
        if others:  # a study that batchlaw did not make
            return self.storage.get_all_trials(study_id, deepcopy, states)
        some = _some(heads_of(self.storage, study_id), direction)
        trials = trials_of(self.storage, study_id, numbers=some, without=(OUTPUT,))
        return _thinned([_shown(study_id, trial) for trial in trials if states is None or trial.state in states])


def _breakable(value: Any) -> Any:
    return value.replace(",", ", ") if isinstance(value, str) and value.startswith("{") else value


def _shown(study_id: int, trial: FrozenTrial) -> FrozenTrial:
    """The trial with readable attributes and its curves; one that has not begun has no more than its attributes."""
    shown = copy.copy(trial)
    if CONFIG not in trial.user_attrs:
        shown.user_attrs = {name: _without_braces(value) for name, value in trial.user_attrs.items()}
        return shown
    try:
        result = TrialResult.from_record(trial.user_attrs.get(RESULT, {}))
    except Unreadable as error:
        shown.user_attrs = {REASON: f"cannot be read: {error}"}
        return shown
    shown.user_attrs = _attributes(trial, result)
    shown.system_attrs = trial.system_attrs | artifacts_of(
        study_id, trial.number, result.curve, is_program=ARGUMENTS in trial.user_attrs
    )
    return shown


def _some(trials: list[TrialHead], direction: StudyDirection) -> list[int]:
    """The numbers of the trials that are shown: of many, those of `_SOME`, and the ones that have not ended."""
    sign = -1 if direction == StudyDirection.MAXIMIZE else 1
    shown, best = [], math.inf
    for trial in trials:
        value = sign * trial.value if trial.state == TrialState.COMPLETE and trial.value is not None else math.inf
        kept = trial.number < _ALL_BELOW or trial.number % _EVERY == 0 or not trial.state.is_finished()
        if kept or value < best:
            shown.append(trial.number)
        best = min(best, value)
    return shown


def _thinned(trials: list[FrozenTrial]) -> list[FrozenTrial]:
    """The trials, most of them without their reports where there are many."""
    every = math.ceil(len(trials) / _MOST_LINES)
    return [
        trial if trial.number % every == 0 or not trial.state.is_finished() else _without_reports(trial)
        for trial in trials
    ]


def _without_reports(trial: FrozenTrial) -> FrozenTrial:
    bare = copy.copy(trial)
    bare.intermediate_values = {}
    return bare


def _attributes(trial: FrozenTrial, result: TrialResult) -> dict[str, Any]:
    """The attributes of a trial, with readable values instead of its configuration and its result."""
    # As stored, so that the page also shows a configuration that another version wrote.
    config: Mapping[str, Any] = trial.user_attrs[CONFIG]
    names = [knob.name for knob in KNOBS if knob.name not in trial.params]
    values = {name: config.get(name) for name in (*names, *_DERIVED)} | dict(result.metrics)
    values |= {name: getattr(result, name) for name in _MEASURED}
    if result.peak_memory_bytes is not None:
        values["peak_memory_mib"] = round(result.peak_memory_bytes / 2**20)
    values["versions"] = [f"{name} {version}" for name, version in result.versions.items()]
    others = {name: _without_braces(value) for name, value in trial.user_attrs.items() if name not in (CONFIG, RESULT)}
    if ARGUMENTS in others:
        others[ARGUMENTS] = shlex.join(others[ARGUMENTS])
    if OUTPUT in others:
        others[OUTPUT] = "\n".join(others[OUTPUT])
    known = {name: value for name, value in values.items() if value or (value == 0 and value is not False)}
    fixed = config.get("parameters", {})
    known |= {
        name: value
        for name, value in dict(fixed if isinstance(fixed, dict) else {}).items()
        if name not in trial.params
    }
    return others | {name: _readable(value) for name, value in known.items()}


def _without_braces(value: Any) -> Any:
    """A mapping, such as the parameters that a trial was queued with, as text; anything else as it is."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_readable(entry)}" for name, entry in value.items())
    return value


def _readable(value: Any) -> Any:
    """A number with five digits; a list as text."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, list | tuple):
        return ", ".join(str(_readable(entry)) for entry in value)
    return value if isinstance(value, int | str) else json.dumps(value)
