"""A stored trial as a frozen record: what the reading side works on."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from optuna import Study
from optuna.trial import FrozenTrial, TrialState

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
class TrialRecord:
    """One trial; `config` and `result` are empty where it did not come so far."""

    number: int
    outcome: Outcome
    value: float | None
    params: dict[str, Any]  # as suggested
    config: dict[str, Any]  # a TrainConfig
    result: dict[str, Any]  # a TrainResult, with the curve of reports, the seconds and the versions
    reason: str | None
    intermediate_values: dict[int, float]
    started: datetime | None
    ended: datetime | None

    @property
    def replicate_values(self) -> list[float]:
        """The metric of the study for each seed; empty where it was not recorded."""
        return [float(value) for value in self.result.get("replicate_values", [])]


def record_of(trial: FrozenTrial) -> TrialRecord:
    """Read a stored trial."""
    attributes = trial.user_attrs
    finished = trial.state.is_finished()
    outcome: Outcome = attributes.get(OUTCOME, _UNNAMED[trial.state]) if finished else _UNNAMED[trial.state]
    return TrialRecord(
        number=trial.number,
        outcome=outcome,
        value=trial.value if trial.state == TrialState.COMPLETE else None,
        params=trial.params,
        config=attributes.get(CONFIG, {}),
        result=attributes.get(RESULT, {}),
        reason=attributes.get(REASON),
        intermediate_values=trial.intermediate_values,
        started=trial.datetime_start,
        ended=trial.datetime_complete,
    )


def records_of(study: Study) -> list[TrialRecord]:
    """Every trial of a study, by number."""
    return [record_of(trial) for trial in study.get_trials(deepcopy=False)]


def best_first(records: Iterable[TrialRecord], direction: str) -> list[TrialRecord]:
    """Completed trials, the best first; of equals the earlier."""
    sign = -1 if direction == "maximize" else 1
    complete = [record for record in records if record.outcome == "complete" and record.value is not None]
    return sorted(complete, key=lambda record: (sign * (record.value or 0.0), record.number))


def outcome_counts(records: Iterable[TrialRecord]) -> dict[str, int]:
    """How many trials ended or stand in each way."""
    return dict(Counter[str](record.outcome for record in records))
