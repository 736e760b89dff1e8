"""`search.stop`: a search ends before its budget, once going on would hardly gain, and its race still takes place."""

import random
from dataclasses import asdict
from math import log10

import pytest
from batchlaw.errors import SpecError
from batchlaw.figures.study_page import save_page
from batchlaw.results.records import records_of
from batchlaw.results.status import gain_lines, status_of
from batchlaw.spec import fingerprint
from batchlaw.storage import note_gain, noted_gain, register

from tests.conftest import tiny_spec
from tests.integration.test_worker import own_spec, work

RULE = {"gain": 0.5, "confidence": 0.9}
SPACE = {"batch_size": 32, "base_lr": {"low": 0.01, "high": 1.0, "log": True}, "optimizer": "sgd", "momentum": 0.0}


def valley(trial):
    return {"validation_loss": (log10(trial.config.base_lr) + 1) ** 2 + random.Random(trial.seed).gauss(0, 0.01)}


def spec_of(**search):
    spec = own_spec(trials=100, **search)
    return spec.model_copy(update={"space": tiny_spec(space=SPACE).space})


def test_the_search_ends_early_and_its_race_takes_place(sqlite_storage):
    stored = work(sqlite_storage, spec_of(stop=RULE), valley)
    records, counts = records_of(stored), stored.slots.counts()
    begun = status_of(stored).stopped["begun"]
    assert counts.ended and counts.total == len(records) == 30 and 12 <= begun < 24
    assert [record.number for record in records if record.confirms] == list(range(24, 30))
    status = status_of(stored, gain=True)
    assert gain_lines(status)[0] == (
        f"the search was stopped after {begun} of 100 trials: the others would gain less than 0.5 with 0.9 confidence"
    )
    assert gain_lines(status)[1].startswith("30 more trials would gain less than ")
    assert status.as_dict()["stopped"]["trials"] == 100 and status.as_dict()["gain"]["high"] < 0.5
    work(sqlite_storage, stored.spec, valley)  # what has ended is not begun again
    assert len(records_of(stored)) == 30


def test_a_budget_that_is_extended_later_is_worked_on(sqlite_storage):
    stored = work(sqlite_storage, spec_of(stop=RULE, confirm=False), valley)
    total = stored.slots.counts().total
    assert total == len(records_of(stored)) < 30  # all of it search, and the rule was looked at after 15 or so
    stored.slots.resize(total + 3)
    assert status_of(stored).stopped is not None
    work(sqlite_storage, stored.spec, valley)
    assert stored.slots.counts().ended


def test_a_gain_that_is_out_of_reach_ends_nothing(sqlite_storage):
    spec = own_spec(trials=20, stop={"gain": 1e-9})
    stored = work(sqlite_storage, spec, valley)
    assert len(records_of(stored)) == 20
    status = status_of(stored, gain=True)
    assert status.stopped is None and status.gain.trials == 20 and len(gain_lines(status)) == 1


def test_the_gain_of_a_search_that_goes_on_is_of_the_trials_left(sqlite_storage):
    stored = register(sqlite_storage, own_spec(trials=20), trials=None, version="test")
    assert status_of(stored, gain=True).gain is None  # too few to tell
    work(sqlite_storage, stored.spec, valley)
    stored.slots.resize(50)
    assert status_of(stored, gain=True).gain.trials == 30 and status_of(stored).gain is None


def test_the_gain_is_told_as_it_was_when_the_page_was_drawn(sqlite_storage):
    stored = work(sqlite_storage, own_spec(trials=15), valley)
    computed = status_of(stored, gain=True).gain
    save_page(stored)
    assert noted_gain(stored) == asdict(computed) and computed.after == 15
    note_gain(stored, asdict(computed) | {"high": 7.0})
    assert status_of(stored, gain=True).gain.high == 7.0  # no model was fitted
    stored.slots.resize(20)
    assert gain_lines(status_of(stored, gain=True)) == ["15 more trials would gain less than 7 with 0.95 confidence"]
    lease = stored.slots.lease()
    assert lease is not None and stored.slots.finish(lease)
    (line,) = gain_lines(status_of(stored, gain=True))
    assert line == "after 15 trials: 15 more trials would gain less than 7 with 0.95 confidence"
    work(sqlite_storage, stored.spec, valley)
    assert status_of(stored, gain=True).gain.after == 20  # of a search that has ended it is told of all trials
    for planted in ("x", {"high": []}, {}):
        note_gain(stored, planted)
        assert status_of(stored, gain=True).gain.after == 20


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        ({"gain": 0.0}, r"search\.stop\.gain: must be greater than 0; got 0\.0"),
        ({"gain": 0.1, "confidence": 1.0}, r"search\.stop\.confidence: must be less than 1; got 1\.0"),
        ({"confidence": 0.9}, r"search\.stop\.gain: is required"),
    ],
)
def test_a_rule_that_is_none_is_refused(rule, line):
    with pytest.raises(SpecError, match=line):
        tiny_spec(search={"stop": rule})


def test_a_study_without_a_rule_keeps_its_fingerprint():
    assert fingerprint(tiny_spec(search={"stop": {"gain": 0.1}})) != fingerprint(tiny_spec())
    assert "stop" not in tiny_spec().search.model_dump()


def test_of_two_workers_that_end_a_search_at_once_the_second_adds_nothing(sqlite_storage):
    stored = register(sqlite_storage, own_spec(trials=50), trials=None, version="test")
    stored.slots.resize(30, grow=False)
    stored.slots.resize(31, grow=False)
    assert stored.slots.counts().total == 30
