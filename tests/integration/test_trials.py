"""Trials read by plain queries against those that Optuna reads, on every database."""

import math

import optuna
import pytest
from batchlaw.errors import StudyError
from batchlaw.recipe.derive import derive
from batchlaw.recipe.result import Outcome
from batchlaw.recipe.space import distributions_of, point_of
from batchlaw.results.order import best_first
from batchlaw.results.records import briefs_of, record_at, records_of
from batchlaw.results.result import CurvePoint, TrialResult
from batchlaw.storage import heads_of, register, trials_of
from batchlaw.storage.attributes import CONFIG, OUTCOME, RESULT
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from tests.conftest import EVERY_DATABASE, tiny_spec

DATABASES = EVERY_DATABASE

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
    params = {"base_lr": 10.0**-number, "optimizer": "adam", "log2_batch_size": number, "one_minus_momentum": 0.1}
    config = derive(tiny_spec(), point_of(params, tiny_spec()), (1, 2))
    return optuna.trial.create_trial(
        state=state,
        value=None if state == TrialState.FAIL else -math.inf if number == 3 else number / 7,
        params=params,
        distributions={
            "base_lr": FloatDistribution(1e-5, 1.0, log=True),
            "optimizer": CategoricalDistribution(["sgd", "adam"]),
            "log2_batch_size": IntDistribution(0, 9),
            "one_minus_momentum": FloatDistribution(0.05, 0.5, log=True),
        },
        intermediate_values={4: 0.25, 1: math.inf, 2: 1.0 + number},
        user_attrs={CONFIG: config.model_dump(mode="json"), RESULT: {"curve": [{"progress": 0.5, "loss": number}]}}
        | ({OUTCOME: Outcome.DIVERGED} if number == 0 else {}),
        system_attrs={"rung": number},
    )


def test_they_are_those_that_optuna_reads(stored, storage_url):
    theirs = RDBStorage(storage_url)
    found, expected = trials_of(stored.storage, stored.study_id), theirs.get_all_trials(stored.study_id)
    theirs.engine.dispose()
    assert found == expected and len(found) == 8
    assert [list(trial.params) for trial in found] == [list(trial.params) for trial in expected]


def test_a_head_is_part_of_its_trial(stored):
    heads = heads_of(stored.storage, stored.study_id, OUTCOME)
    assert [
        (head.number, head.state, head.value, head.attributes.get(OUTCOME), head.started, head.ended) for head in heads
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


POINT = {"log2_batch_size": 3, "base_lr": 0.1, "optimizer": "adam", "one_minus_momentum": 0.1}


def add(stored, **user_attrs):
    """A completed trial with these attributes."""
    distributions = distributions_of(stored.spec)
    stored.study.add_trial(
        optuna.trial.create_trial(value=0.5, params=POINT, distributions=distributions, user_attrs=user_attrs)
    )


@pytest.fixture
def empty(storage):
    return register(storage, tiny_spec(), trials=None, version="test")


def config_of_a_trial():
    spec = tiny_spec()
    return derive(spec, point_of(POINT, spec), (1, 2))


def test_a_configuration_is_read_as_it_was_written(empty):
    config = config_of_a_trial()
    add(empty, **{CONFIG: config.model_dump(mode="json")})
    assert records_of(empty)[0].config == record_at(empty, 0).known_config == config


def test_what_a_trial_lacks_is_empty_or_none(empty):
    config = {CONFIG: config_of_a_trial().model_dump(mode="json")}
    add(empty, **config, **{RESULT: {"curve": [{"progress": 0.5, "loss": 2.0}]}})
    add(empty)
    one, none = records_of(empty)
    assert one.result == TrialResult(curve=(CurvePoint(0.5, {"loss": 2.0}),))
    assert none.result == TrialResult() and none.config is None
    assert (none.result.seconds, none.result.replicate_values, none.result.stacked) == (None, (), False)
    assert (none.outcome, none.value) == ("failed", None)
    assert none.reason == "cannot be read: a trial that is complete as stored has no configuration"
    with pytest.raises(StudyError, match=r"^trial 1 is failed and has no configuration$"):
        _ = none.known_config


def test_what_a_newer_version_records_is_left_out(empty):
    config = {CONFIG: config_of_a_trial().model_dump(mode="json")}
    add(empty, **config, **{RESULT: {"seconds": 2.0, "of_the_future": [1]}, "another": 1})
    assert records_of(empty)[0].result == TrialResult(seconds=2.0)


@pytest.mark.parametrize(
    ("change", "place", "why"),
    [
        ({"steps": "many"}, "steps", "Input should be a valid integer"),
        ({"of_the_future": 1}, "of_the_future", "Extra inputs are not permitted"),
        ({"task": {"dataset": "none"}}, "task.dataset", "must be one of digits"),
    ],
)
def test_a_trial_whose_configuration_cannot_be_read_is_told_and_failed(empty, caplog, change, place, why):
    whole = config_of_a_trial().model_dump(mode="json")
    add(empty, **{CONFIG: whole})
    add(empty, **{CONFIG: whole | change})
    good, bad = records_of(empty)
    assert good.outcome == "complete" and (bad.outcome, bad.value, bad.config) == ("failed", None, None)
    assert bad.reason.startswith(f"cannot be read: config.{place} as stored cannot be read: {why}")
    [line] = [record.getMessage() for record in caplog.records]
    assert line.startswith(f"warning: study 'tiny': trial 1: config.{place}") and "\n" not in line
    records_of(empty)
    assert len(caplog.records) == 1  # once in a process


def test_an_unknown_outcome_is_told_and_the_trial_failed(empty, caplog):
    add(empty, **{OUTCOME: "evaporated"})
    for read in (records_of, briefs_of):
        assert [found.outcome for found in read(empty)] == ["failed"]
    line = caplog.records[-1].getMessage()  # after one that Optuna's inside is not used, where it is not
    assert line.startswith("warning: study 'tiny': trial 0: outcome as stored is 'evaporated'; known are ")
