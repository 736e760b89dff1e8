"""Stored trials as frozen records, which everything that reads a study works on."""

import gc
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from math import isfinite
from typing import Any

from optuna.trial import FrozenTrial, TrialState
from pydantic import ValidationError

from batchlaw.errors import BatchlawError, StudyError
from batchlaw.recipe.result import ENDED, Outcome
from batchlaw.recipe.space import point_of
from batchlaw.results.result import TrialResult
from batchlaw.results.search_run import Confirms
from batchlaw.spec import StudySpec, TrainConfig
from batchlaw.spec.families import FAMILIES
from batchlaw.spec.knobs import Point
from batchlaw.storage import StoredStudy, heads_of, trials_of, with_retries
from batchlaw.storage.attributes import BREAKS, CONFIG, CONFIRMS, OUTCOME, OUTPUT, REASON, RESULT, THREADS, TRACEBACK
from batchlaw.storage.stored_values import Unreadable, check_whole, shown

_OF_STATE = {
    TrialState.COMPLETE: Outcome.COMPLETE,
    TrialState.PRUNED: Outcome.PRUNED,
    TrialState.FAIL: Outcome.FAILED,
    TrialState.RUNNING: Outcome.RUNNING,
    TrialState.WAITING: Outcome.WAITING,
}
_OF_NAME = {str(outcome): outcome for outcome in Outcome}
_NO_RESULT = TrialResult()
# Fields of a configuration that are as the trial's parameters say.
_AS_SUGGESTED = ("batch_size", "base_lr", "scaling_rule", "optimizer", "decay", "weight_decay", "parameters")
_ABOVE_0 = ("batch_size", "peak_lr", "examples")  # of a configuration, where they are known
_PARSED = (CONFIG, RESULT)  # read as text, and parsed here
_READ = ("value", "param", "report", "user")  # all but what samplers and pruners note


@dataclass(frozen=True, kw_only=True)
class TrialBrief:
    """The outcome of one trial."""

    number: int
    outcome: Outcome
    value: float | None
    started: datetime | None
    ended: datetime | None
    confirms: Confirms | None = None  # of a trial on fresh seeds: whose configuration it trains, and what for
    breaks: tuple[str, ...] = ()  # the bounds of its search that it exceeds, by key of [search]


@dataclass(frozen=True, kw_only=True)
class TrialRecord(TrialBrief):
    """One trial with all that was recorded of it."""

    params: dict[str, Any]  # as suggested
    config: TrainConfig | None  # None where the trial has not drawn its parameters
    result: TrialResult
    reason: str | None
    intermediate_values: dict[int, float]
    point: Point | None = None  # of the parameters, where it is known; see `point_in`

    @property
    def known_config(self) -> TrainConfig:
        """The configuration, of a trial that has one.

        Raises:
            StudyError: it has none.
        """
        if self.config is None:
            raise StudyError(f"trial {self.number} is {self.outcome} and has no configuration")
        return self.config

    def point_in(self, spec: StudySpec) -> Point:
        """The point of the trial's parameters in its study."""
        return self.point or point_of(self.params, spec)


def briefs_of(stored: StoredStudy) -> list[TrialBrief]:
    """The outcome of every trial of a study, by number; cheaper to read than their records."""
    return [
        TrialBrief(
            number=head.number,
            outcome=_outcome(stored, head.number, head.state, head.attributes.get(OUTCOME)),
            value=head.value if head.state == TrialState.COMPLETE else None,
            started=head.started,
            ended=head.ended,
            confirms=confirms_of(head.attributes),
            breaks=tuple(head.attributes.get(BREAKS, ())),
        )
        for head in heads_of(stored.storage, stored.study_id, OUTCOME, CONFIRMS, BREAKS)
    ]


def records_of(stored: StoredStudy, numbers: Collection[int] | None = None) -> list[TrialRecord]:
    """Every trial of a study, or those of some numbers, by number.

    What is stored of one that cannot be read is told, and it counts as failed.
    """
    with _collector_paused():
        found = trials_of(
            stored.storage, stored.study_id, numbers=numbers, as_text=_PARSED, without=(OUTPUT, TRACEBACK), parts=_READ
        )
        return [_record(stored, trial) for trial in found]


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Pause Python's garbage collector, which would search the new records again and again and find nothing.

    Measured on two busy cores: 5,000 trials take 0.8 s of processor time with it and 0.55 s without.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@dataclass(frozen=True)
class KnownTrials:
    """The trials of a study, and whether none is left to run."""

    records: list[TrialRecord]
    ended: bool


def known_trials(stored: StoredStudy) -> KnownTrials:
    """Read the trials of a study."""
    ended = with_retries(stored.slots.counts).ended  # first, so that every trial of a study that has ended is read
    return KnownTrials(with_retries(lambda: records_of(stored)), ended)


def record_at(stored: StoredStudy, number: int) -> TrialRecord:
    """One trial of a study.

    Raises:
        KeyError: there is none of that number.
    """
    found = trials_of(stored.storage, stored.study_id, numbers=(number,), as_text=_PARSED)
    if not found:
        raise KeyError(number)
    return _record(stored, found[0])


def _record(stored: StoredStudy, trial: FrozenTrial) -> TrialRecord:
    attributes = trial.user_attrs
    outcome, reason = _outcome(stored, trial.number, trial.state, attributes.get(OUTCOME)), attributes.get(REASON)
    try:
        params, (config, point), result = trial.params, _config(trial, stored.spec), _result(attributes)
        value, reports = trial.value if trial.state == TrialState.COMPLETE else None, trial.intermediate_values
        if config is None and outcome in ENDED:
            raise Unreadable(f"a trial that is {outcome} as stored has no configuration")
        if config is not None and len(result.replicate_values) not in (0, len(config.seeds)):
            raise Unreadable(f"{len(result.replicate_values)} scores are stored of {len(config.seeds)} seeds")
    except Unreadable as error:
        stored.tell(f"trial {trial.number}: {error}")
        params, config, point, result, value, reports = {}, None, None, _NO_RESULT, None, {}
        outcome = Outcome.FAILED if trial.state.is_finished() else outcome
        reason = f"cannot be read: {error}"
    return TrialRecord(
        number=trial.number, outcome=outcome, value=value, params=params, config=config, result=result, reason=reason,
        intermediate_values=reports, started=trial.datetime_start, ended=trial.datetime_complete,
        confirms=confirms_of(attributes), breaks=tuple(attributes.get(BREAKS, ())), point=point,
    )  # fmt: skip


def confirms_of(attributes: Mapping[str, Any]) -> Confirms | None:
    """What a trial with these attributes is for, if it trains a configuration on fresh seeds."""
    stored = attributes.get(CONFIRMS)
    return None if stored is None else Confirms(stored["trial"], stored["purpose"], stored.get("fold", 0))


def _result(attributes: dict[str, Any]) -> TrialResult:
    """The result of a trial; the threads are known before it."""
    threads = attributes.get(THREADS)
    if RESULT in attributes:
        return TrialResult.from_record(attributes[RESULT], threads=threads)
    return _NO_RESULT if threads is None else TrialResult(threads=threads)


def _config(trial: FrozenTrial, spec: StudySpec) -> tuple[TrainConfig, Point] | tuple[None, None]:
    """The configuration of a trial that has drawn one, and its point of the space.

    Raises:
        Unreadable: it is none, or not that of the study and of the trial's parameters.
    """
    if CONFIG not in trial.user_attrs:
        return None, None
    try:
        config = TrainConfig.model_validate_json(trial.user_attrs[CONFIG])
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, ("config", *first["loc"])))
        raise Unreadable(f"{place} as stored cannot be read: {first['msg']}") from None
    for name, value in config:
        if type(value) is int:
            check_whole(abs(value), f"config.{name}")
        if (type(value) is float and not isfinite(value)) or (name in _ABOVE_0 and value is not None and value <= 0):
            raise Unreadable(f"config.{name} as stored is {shown(value)}")
    try:
        point = point_of(trial.params, spec)
    except (LookupError, TypeError, ValueError, BatchlawError) as error:
        raise Unreadable(f"parameters as stored are none of the study: {type(error).__name__} {error}") from None
    derived = set[str]()  # what follows from other values here
    if point.weight_decay_tau is not None:
        derived.add("weight_decay")
    if not FAMILIES[point.optimizer].scheduled:
        derived.add("decay")
    for name in _AS_SUGGESTED:
        if name in derived:
            continue
        written, given = getattr(config, name), getattr(point, name)
        if written != given:
            raise Unreadable(
                f"config.{name} as stored is {shown(written)}, and the trial's parameters give {shown(given)}"
            )
    return config, point


def _outcome(stored: StoredStudy, number: int, state: TrialState, named: str | None) -> Outcome:
    """The outcome that the worker named, once the trial has ended; otherwise what the state tells.

    One that is none is told, and the trial counts as failed.
    """
    # A worker that was cut off may tell its result just when another process names the trial lost.
    told_late = named == Outcome.LOST and state != TrialState.FAIL
    if told_late or not (named and state.is_finished()):
        return _OF_STATE[state]
    try:
        return _OF_NAME[named]
    except KeyError:
        stored.tell(f"trial {number}: outcome as stored is {named!r}; known are {', '.join(Outcome)}")
        return Outcome.FAILED


def outcome_counts(records: Iterable[TrialBrief]) -> dict[Outcome, int]:
    """The number of trials of each outcome."""
    return dict(Counter(record.outcome for record in records))
