"""What dead workers leave behind is found by any process, on every database."""

import subprocess
import sys

from batchlaw.results.records import briefs_of, records_of
from batchlaw.storage import load, register
from batchlaw.workers import recovery
from batchlaw.workers.recovery import reap
from optuna.trial import TrialState

from tests.conftest import EVERY_DATABASE, tiny_spec

DATABASES = EVERY_DATABASE

# A worker that dies: it claims a slot, asks, may say so, may draw a parameter, and is gone.
DYING = """
import os, sys
from batchlaw.storage import load, open_storage
url, asks, names, draws = sys.argv[1], *map(int, sys.argv[2:])
stored = load(open_storage(url), "tiny")
claim = stored.slots.lease()
if asks:
    trial = stored.study.ask()
    if names:
        stored.slots.started(claim, trial._trial_id)
        if draws:
            trial.suggest_float("base_lr", 0.01, 1.0, log=True)
os._exit(9)
"""


def die(url, *, asks=True, names=True, draws=True):
    done = subprocess.run([sys.executable, "-c", DYING, url, *(str(int(f)) for f in (asks, names, draws))])
    assert done.returncode == 9


def states(stored):
    counts = stored.slots.counts()
    return counts.open, counts.held, counts.done


def outcomes(stored):
    return [record.outcome for record in records_of(stored)]


def test_a_lost_trial_is_named_and_queued_by_whoever_looks(storage, storage_url):
    stored = register(storage, tiny_spec(), trials=None, version="test")
    die(storage_url)
    assert states(stored) == (5, 1, 0)
    assert reap(stored) == 1
    assert states(stored) == (6, 0, 0)
    lost, queued = stored.study.get_trials()
    assert outcomes(stored) == ["lost", "waiting"]
    assert records_of(stored)[0].reason == "its worker died or was cut off"
    assert queued.system_attrs["fixed_params"] == lost.params
    assert reap(stored) == 0 and len(stored.study.get_trials()) == 2


def test_a_trial_that_was_handed_back_and_run_elsewhere_is_counted_once(storage, storage_url):
    stored = register(storage, tiny_spec(), trials=None, version="test")
    waits = "stored.storage.set_trial_state_values(trial._trial_id, optuna.trial.TrialState.WAITING)"
    handing_back = DYING.replace("os._exit(9)", f"import optuna\n{waits}\nos._exit(9)")
    done = subprocess.run([sys.executable, "-c", handing_back, storage_url, "1", "1", "1"])
    assert done.returncode == 9 and states(stored) == (5, 1, 0)
    lease, trial = stored.slots.lease(), stored.study.ask()
    assert trial.number == 0 and stored.slots.started(lease, trial._trial_id)
    stored.study.tell(trial, 0.5)
    assert stored.slots.finish(lease)
    assert reap(stored) == 0
    assert states(stored) == (5, 0, 1)


def test_the_live_are_not_robbed(storage):
    stored = register(storage, tiny_spec(), trials=None, version="test")
    claim = stored.slots.lease()
    trial = stored.study.ask()
    # It has not said which trial is its own: no running trial can be called an orphan now.
    assert reap(stored) == 0
    stored.slots.started(claim, trial._trial_id)
    assert reap(stored) == 0
    assert outcomes(stored) == ["running"] and states(stored) == (5, 1, 0)


def test_a_trial_whose_worker_died_before_it_said_so_is_found_as_well(storage, storage_url):
    stored = register(storage, tiny_spec(), trials=None, version="test")
    die(storage_url, names=False)
    live = stored.slots.lease()  # between claiming and saying which trial it runs
    assert reap(stored) == 0
    assert outcomes(stored) == ["running"]
    trial = stored.study.ask()
    stored.slots.started(live, trial._trial_id)
    assert reap(stored) == 1
    assert outcomes(stored) == ["lost", "running"] and states(stored) == (5, 1, 0)


def test_of_two_processes_that_find_one_lost_repeat_only_the_first_queues_it(storage, storage_url, monkeypatch):
    stored = register(storage, tiny_spec(), trials=None, version="test")
    die(storage_url)
    reap(stored)
    die(storage_url, names=False)  # the repeat, whose worker could not say so
    lose = recovery._lose

    def too_late(stored, trial_id):
        assert lose(stored, trial_id)  # another process, between the look and the deed
        return lose(stored, trial_id)

    monkeypatch.setattr(recovery, "_lose", too_late)
    assert reap(stored) == 0
    assert outcomes(stored) == ["lost", "lost"]


def test_a_claim_without_a_trial_is_opened_again(storage, storage_url):
    stored = register(storage, tiny_spec(), trials=None, version="test")
    die(storage_url, asks=False)
    assert reap(stored) == 0 and states(stored) == (6, 0, 0) and outcomes(stored) == []


def test_a_trial_is_repeated_a_bounded_number_of_times_in_whatever_slot(storage, storage_url):
    """A death is no attempt: `max_retries` does not count it. Five in one trial are no chance."""
    stored = register(storage, tiny_spec(search={"max_retries": 0}), trials=None, version="test")
    for _ in range(5):
        die(storage_url)
        assert reap(stored) == 1
    trials = stored.study.get_trials()
    assert outcomes(stored) == ["lost"] * 5
    assert len({trial.params["base_lr"] for trial in trials}) == 1
    assert [trial.user_attrs.get("losses", 0) for trial in trials] == [0, 1, 2, 3, 4]
    assert states(stored) == (5, 0, 1)  # its slot of the budget is spent


def test_a_repeat_that_dies_before_it_drew_anything_is_queued_with_what_it_was_to_repeat(storage, storage_url):
    stored = register(storage, tiny_spec(), trials=None, version="test")
    die(storage_url)
    reap(stored)
    die(storage_url, draws=False)
    assert reap(stored) == 1
    first, _, queued = stored.study.get_trials()
    assert queued.state == TrialState.WAITING and queued.system_attrs["fixed_params"] == first.params
    die(storage_url, names=False)  # and the next before it could say what it runs
    reap(stored)
    assert load(storage, "tiny").study.get_trials()[-1].system_attrs["fixed_params"] == first.params


def test_a_worker_that_died_between_telling_and_finishing_has_its_result_counted(storage):
    stored = register(storage, tiny_spec(), trials=None, version="test")
    claim = stored.slots.lease()
    trial = stored.study.ask()
    stored.slots.started(claim, trial._trial_id)
    stored.study.tell(trial, 0.5)
    stored.slots.lease_seconds = 0
    stored.slots.renew(claim)
    assert reap(stored) == 0  # nothing was lost
    assert [brief.outcome for brief in briefs_of(stored)] == ["complete"] and states(stored) == (5, 0, 1)


def test_a_result_that_is_told_while_the_trial_is_named_lost_counts(storage, monkeypatch):
    stored = register(storage, tiny_spec(), trials=None, version="test")
    claim = stored.slots.lease()
    trial = stored.study.ask()
    stored.slots.started(claim, trial._trial_id)
    stored.slots.lease_seconds = 0
    stored.slots.renew(claim)  # its worker was stopped for longer than its lease …
    name = stored.storage.set_trial_user_attr

    def told_meanwhile(trial_id, key, value):
        name(trial_id, key, value)
        if key == "reason":
            stored.study.tell(trial, 0.5)  # … and goes on

    monkeypatch.setattr(stored.storage, "set_trial_user_attr", told_meanwhile)
    reap(stored)
    assert [brief.outcome for brief in briefs_of(stored)] == ["complete"] and states(stored) == (5, 0, 1)
