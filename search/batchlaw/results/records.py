"""A stored trial as a frozen record: what the reading side works on."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeVar

from optuna.trial import FrozenTrial, TrialState

from batchlaw.storage import StoredStudy
from batchlaw.storage.trials import heads_of, trials_of

# Names of the trial attributes that the worker writes.
OUTCOME, CONFIG, RESULT, REASON = "outcome", "config", "result", "reason"
RETRY_OF, RETRIES = "retry_of", "retries"  # the number of the trial it repeats, and how many repeats that makes

Outcome = Literal["complete", "pruned", "diverged", "out-of-memory", "failed", "lost", "running", "waiting"]
ENDED: tuple[Outcome, ...] = ("complete", "pruned", "diverged", "out-of-memory")  # these fill a slot of the budget

_UNNAMED: dict[TrialState, Outcome] = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}


@dataclass(frozen=True, kw_only=True)
class TrialBrief:
    """How one trial stands."""

    number: int
    outcome: Outcome
    value: float | None
    started: datetime | None
    ended: datetime | None


@dataclass(frozen=True, kw_only=True)
class TrialRecord(TrialBrief):
    """One trial; `config` and `result` are empty where it did not come so far."""

    params: dict[str, Any]  # as suggested
    config: dict[str, Any]  # a TrainConfig
    result: dict[str, Any]  # a TrainResult, with the curve of reports, the seconds and the versions
    reason: str | None
    intermediate_values: dict[int, float]

    @property
    def replicate_values(self) -> list[float]:
        """The metric of the study for each seed; empty where it was not recorded."""
        return [float(value) for value in self.result.get("replicate_values", [])]


Brief = TypeVar("Brief", bound=TrialBrief)


def briefs_of(stored: StoredStudy) -> list[TrialBrief]:
    """How every trial of a study stands, by number."""
    return [
        TrialBrief(
            number=head.number,
            outcome=_outcome(head.state, head.attribute),
            value=head.value if head.state == TrialState.COMPLETE else None,
            started=head.started,
            ended=head.ended,
        )
        for head in heads_of(stored.storage.engine, stored.study._study_id, OUTCOME)
    ]


def records_of(stored: StoredStudy) -> list[TrialRecord]:
    """Every trial of a study, by number."""
    return [_record(trial) for trial in trials_of(stored.storage.engine, stored.study._study_id)]


def record_at(stored: StoredStudy, number: int) -> TrialRecord:
    """One trial of a study.

    Raises:
        KeyError: there is none of that number.
    """
    storage = stored.storage
    trial_id = storage.get_trial_id_from_study_id_trial_number(stored.study._study_id, number)
    return _record(storage.get_trial(trial_id))


def _record(trial: FrozenTrial) -> TrialRecord:
    attributes = trial.user_attrs
    return TrialRecord(
        number=trial.number,
        outcome=_outcome(trial.state, attributes.get(OUTCOME)),
        value=trial.value if trial.state == TrialState.COMPLETE else None,
        params=trial.params,
        config=attributes.get(CONFIG, {}),
        result=attributes.get(RESULT, {}),
        reason=attributes.get(REASON),
        intermediate_values=trial.intermediate_values,
        started=trial.datetime_start,
        ended=trial.datetime_complete,
    )


def _outcome(state: TrialState, named: Outcome | None) -> Outcome:
    """What its worker named it, once it has ended."""
    return (state.is_finished() and named) or _UNNAMED[state]


def best_first(records: Iterable[Brief], direction: str) -> list[Brief]:
    """Completed trials, the best first; of equals the earlier."""
    sign = -1 if direction == "maximize" else 1
    complete = [record for record in records if record.outcome == "complete" and record.value is not None]
    return sorted(complete, key=lambda record: (sign * (record.value or 0.0), record.number))


def outcome_counts(records: Iterable[TrialBrief]) -> dict[str, int]:
    """How many trials ended or stand in each way."""
    return dict(Counter[str](record.outcome for record in records))
