"""Profiles of code of the user's own, by the clocks of its trials, against medians taken by hand."""

from types import SimpleNamespace

import pytest
from batchlaw.errors import BatchlawError, StudyError
from batchlaw.recipe.derive import derive
from batchlaw.recipe.result import Outcome
from batchlaw.recipe.space import point_of
from batchlaw.results.records import TrialRecord
from batchlaw.results.result import TrialResult
from batchlaw.results.step_time import Profile
from batchlaw.results.trial_times import times_of_trials
from batchlaw.spec import parse_spec
from batchlaw.study.profiling import told_by_trials

SPEC = parse_spec(
    {
        "name": "mine", "command": ["true", "{lr}", "{batch_size}"], "budget": {"examples": 1000},
        "space": {"batch_size": [10, 20], "base_lr": 0.1},
        "search": {"trials": 9, "metric": "loss", "direction": "minimize"},
    },
    "study.toml",
)  # fmt: skip


def record(number, batch_size, seconds, *, outcome=Outcome.COMPLETE, device="cpu", seeds=(1,)):
    config = derive(SPEC, point_of({"batch_size": batch_size}, SPEC), seeds)
    return TrialRecord(
        number=number, outcome=outcome, value=1.0, started=None, ended=None, params={}, config=config, reason=None,
        intermediate_values={}, result=TrialResult(seconds=seconds, device=device, threads=2),
    )  # fmt: skip


def test_a_step_takes_the_median_of_whole_trials_over_their_steps_and_seeds():
    records = [
        record(0, 10, 100.0), record(1, 10, 300.0), record(2, 10, 400.0, seeds=(1, 2)), record(3, 20, 50.0),
        record(4, 20, 1e6, outcome=Outcome.PRUNED), record(5, 20, 1e6, device="another"), record(6, 20, None),
    ]  # fmt: skip
    found = times_of_trials(SPEC, records)
    assert [(row.batch_size, row.seconds_a_step) for row in found.rows] == [(10, 2.0), (20, 1.0)]
    assert found.rows[0].iqr_seconds == pytest.approx(1.0) and found.device == "cpu" and found.threads == 2
    assert Profile.from_record(found.as_record()) == found
    assert found.seconds_a_step_at(20, "own") == 1.0


def test_without_a_time_it_is_refused():
    with pytest.raises(StudyError, match="study 'mine' has no complete trial whose seconds, steps and batch size"):
        times_of_trials(SPEC, [record(0, 10, 5.0, outcome=Outcome.FAILED)])
    with pytest.raises(StudyError):
        times_of_trials(SPEC, [record(0, 10, 5.0)], ["adam"])


def test_devices_of_ones_own_code_cannot_be_asked_for():
    told = r"^devices: got 2; of your own code the trials tell the times, .*devices = 1"
    with pytest.raises(BatchlawError, match=told):
        told_by_trials(SimpleNamespace(spec=SPEC), None, [2])
