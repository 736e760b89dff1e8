"""Trials read by plain queries against those that Optuna reads, on every database."""

import math

import optuna
import pytest
from batchlaw.errors import StudyError
from batchlaw.recipe.derive import derive
from batchlaw.recipe.result import Outcome
from batchlaw.results.attributes import CONFIG, OUTCOME, RESULT
from batchlaw.results.ranking import best_first
from batchlaw.results.records import briefs_of, record_at, records_of
from batchlaw.results.result import CurvePoint, TrialResult
from batchlaw.spec.knobs import Point
from batchlaw.storage import heads_of, register, trials_of
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from tests.conftest import tiny_spec

STATES = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


@pytest.fixture
def stored(storage):
    """A study with trials in every state, between two others in the same database."""
    optuna.create_study(storage=storage, study_name="before").add_trials(map(ended, (0, 1)))
    stored = register(storage, tiny_spec(), trials=None, version="test")
    stored.study.add_trials(map(ended, range(6)))
    optuna.create_study(storage=storage, study_name="after").add_trials(map(ended, (0, 1)))
    stored.study.enqueue_trial({"base_lr": 0.5}, user_attrs={"retry_of": 1})
    stored.study.enqueue_trial({"base_lr": 0.25})
    running = stored.study.ask()
    running.suggest_float("base_lr", 1e-4, 1.0, log=True)
    for step, value in ((2, math.inf), (1, -math.inf), (3, 0.5)):
        running.report(value, step)
    return stored


def ended(number):
    state = STATES[number % 3]
    params = {"base_lr": 10.0**-number, "optimizer": "adam", "log2_batch_size": number}
    return optuna.trial.create_trial(
        state=state,
        value=None if state == TrialState.FAIL else -math.inf if number == 3 else number / 7,
        params=params,
        distributions={
            "base_lr": FloatDistribution(1e-5, 1.0, log=True),
            "optimizer": CategoricalDistribution(["sgd", "adam"]),
            "log2_batch_size": IntDistribution(0, 9),
        },
        intermediate_values={4: 0.25, 1: math.inf, 2: 1.0 + number},
        user_attrs={RESULT: {"curve": [{"progress": 0.5, "loss": number}]}}
        | ({OUTCOME: Outcome.DIVERGED} if number == 0 else {}),
        system_attrs={"rung": number},
    )


def test_they_are_those_that_optuna_reads(stored):
    found, expected = trials_of(stored.storage, stored.study_id), stored.study.get_trials()
    assert found == expected and len(found) == 8
    assert [list(trial.params) for trial in found] == [list(trial.params) for trial in expected]


def test_a_head_is_part_of_its_trial(stored):
    heads = heads_of(stored.storage, stored.study_id, OUTCOME)
    assert [
        (head.number, head.state, head.value, head.attribute, head.started, head.ended) for head in heads
    ] == [
        (t.number, t.state, t.value, t.user_attrs.get(OUTCOME), t.datetime_start, t.datetime_complete)
        for t in stored.study.get_trials()
    ]  # fmt: skip


def test_a_brief_is_part_of_its_record(stored):
    records = records_of(stored)
    assert [record.outcome for record in records] == [
        "diverged", "pruned", "failed", "complete", "pruned", "failed", "running", "waiting"
    ]  # fmt: skip
    for brief, record in zip(briefs_of(stored), records, strict=True):
        assert all(value == getattr(record, name) for name, value in vars(brief).items())
        assert record_at(stored, record.number) == record
    assert [record.number for record in best_first(records, "maximize")] == [3]
    with pytest.raises(KeyError):
        record_at(stored, 8)


def add(stored, **user_attrs):
    """A completed trial with these attributes."""
    stored.study.add_trial(optuna.trial.create_trial(value=0.5, user_attrs=user_attrs))


@pytest.fixture
def empty(storage):
    return register(storage, tiny_spec(), trials=None, version="test")


def config_of_a_trial():
    spec = tiny_spec()
    return derive(spec, Point(batch_size=8, base_lr=0.1, optimizer="adam"), (1, 2))


def test_a_configuration_is_read_as_it_was_written(empty):
    config = config_of_a_trial()
    add(empty, **{CONFIG: config.model_dump(mode="json")})
    assert records_of(empty)[0].config == record_at(empty, 0).known_config == config


def test_what_a_trial_lacks_is_empty_or_none(empty):
    add(empty, **{RESULT: {"curve": [{"progress": 0.5, "loss": 2.0}]}})
    add(empty)
    one, none = records_of(empty)
    assert one.result == TrialResult(curve=(CurvePoint(0.5, {"loss": 2.0}),))
    assert none.result == TrialResult() and none.config is None
    assert (none.result.seconds, none.result.replicate_values, none.result.stacked) == (None, (), False)
    with pytest.raises(StudyError, match=r"^trial 1 is complete and has no configuration$"):
        _ = none.known_config


def test_what_a_newer_version_records_is_left_out(empty):
    add(empty, **{RESULT: {"seconds": 2.0, "of_the_future": [1]}, "another": 1})
    assert records_of(empty)[0].result == TrialResult(seconds=2.0)


@pytest.mark.parametrize(
    ("change", "place", "why"),
    [
        ({"steps": "many"}, "steps", "Input should be a valid integer"),
        ({"of_the_future": 1}, "of_the_future", "Extra inputs are not permitted"),
        ({"task": {"dataset": "none"}}, "task.dataset", "Input should be 'digits'"),
    ],
)
def test_a_configuration_that_cannot_be_read_is_one_error_that_names_the_trial(empty, change, place, why):
    whole = config_of_a_trial().model_dump(mode="json")
    add(empty, **{CONFIG: whole})
    add(empty, **{CONFIG: whole | change})
    with pytest.raises(StudyError) as raised:
        records_of(empty)
    assert str(raised.value).startswith(f"trial 1: config.{place} as stored cannot be read: {why}")
    assert "\n" not in str(raised.value)


def test_an_unknown_outcome_names_the_trial(empty):
    add(empty, **{OUTCOME: "evaporated"})
    for read in (records_of, briefs_of):
        with pytest.raises(StudyError, match=r"^trial 0: outcome as stored is 'evaporated'; known are "):
            read(empty)
