"""A budget in seconds: a search without a number of trials ends by its time, over kills and further runs."""

import os
import signal
import time
from dataclasses import replace

import pytest
from batchlaw.errors import SpecError, WorkFailed
from batchlaw.recipe.result import Outcome
from batchlaw.results.records import records_of
from batchlaw.results.status import counts_line, status_of
from batchlaw.spec import canonical_json, fingerprint, parse_spec
from batchlaw.storage import load, register
from batchlaw.storage.workers import WorkerRecord, worked_seconds
from batchlaw.study import Study
from batchlaw.workers import time_limit
from batchlaw.workers.time_limit import TimeLimit, go_on, is_spent, seconds_of

from tests.conftest import tiny_spec, tiny_study
from tests.integration.test_confirmation import train as noisy
from tests.integration.test_worker import outcomes, own_spec, work

STEP = 0.05  # seconds of a trial


def train(trial):
    time.sleep(STEP)
    return noisy(trial)


def spec_of(seconds=2.0, **search):
    return own_spec(**{"trials": None, "budget_seconds": seconds, **search})


class Clock:
    """A clock that trials set forward, so that a busy machine does not decide what a test sees."""

    now = 0.0

    def monotonic(self):
        return self.now

    def train(self, trial):
        self.now += 0.25
        return noisy(trial)


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(time_limit, "time", clock)
    monkeypatch.setattr(time_limit, "seconds_of", lambda stored: clock.now)
    return clock


def test_a_search_ends_by_its_seconds_and_races_in_their_last_fifth(storage, clock):
    stored = work(storage, spec_of(10.0), clock.train)
    records, counts = records_of(stored), stored.slots.counts()
    assert counts.ended and counts.total == counts.done == len(records) == 40 and not counts.open_ended
    assert [record.number for record in records if record.confirms] == list(range(32, 40))
    status = status_of(stored)
    assert status.state == "done" and status.named.fresh is not None
    work(storage, stored.spec, clock.train)  # nothing is left of the budget
    assert len(records_of(stored)) == 40


def test_a_run_goes_on_with_what_is_left_and_a_timeout_goes_on_past_it(sqlite_storage, clock):
    spec = spec_of(10.0)
    stored = work(sqlite_storage, spec, clock.train, timeout=3.0)
    counts = stored.slots.counts()
    assert len(records_of(stored)) == counts.done == 12 and counts.open_ended and not counts.ended
    status = status_of(stored)
    assert status.state == "waiting" and status.as_dict()["trials"] is None
    assert counts_line(status).startswith("12 trials · ") and " of 10 s" in counts_line(status)
    work(sqlite_storage, spec, clock.train)
    records = records_of(stored)
    assert len(records) == 40 and is_spent(stored) and stored.slots.counts().ended
    assert [record.number for record in records if record.confirms][-8:] == list(range(32, 40))
    go_on(stored)
    work(sqlite_storage, spec, clock.train, timeout=0.5)
    assert len(records_of(stored)) == 42 and stored.slots.counts().ended


def test_a_search_ends_by_the_clock_of_the_machine(sqlite_storage):
    began = time.monotonic()
    stored = work(sqlite_storage, spec_of(2.0), train)
    assert time.monotonic() - began >= 2 and seconds_of(stored) >= 2
    status = status_of(stored)
    assert status.state == "done" and status.as_dict()["budget_seconds"] == 2.0 <= status.as_dict()["seconds"]


def test_more_seconds_or_a_number_of_trials_in_the_file_go_on(sqlite_storage):
    work(sqlite_storage, spec_of(1.0), train)
    stored = work(sqlite_storage, spec_of(2.0), train)
    assert seconds_of(stored) >= 2 and load(sqlite_storage, "tiny").spec.search.budget_seconds == 2.0
    n = len(records_of(stored))
    stored = work(sqlite_storage, own_spec(trials=n + 2), train)
    assert stored.spec.search.budget_seconds is None and len(records_of(stored)) == n + 2 == stored.slots.counts().total
    stored = register(sqlite_storage, spec_of(60.0), trials=None, version="test")
    assert stored.slots.counts().open_ended
    stored.slots.resize(n + 3)  # as `run --trials` does
    assert work(sqlite_storage, spec_of(60.0), train).slots.counts().total == n + 3


def test_of_both_budgets_the_first_ends_a_search(sqlite_storage):
    stored = work(sqlite_storage, spec_of(60.0, trials=3), train)
    assert stored.slots.counts().ended and len(records_of(stored)) == 3 and not is_spent(stored)
    assert counts_line(status_of(stored)).startswith("3 trials · ")
    stored = work(sqlite_storage, spec_of(0.5, trials=1000), train)
    counts = stored.slots.counts()
    assert counts.ended and counts.total == len(records_of(stored)) < 1000


def test_a_limit_does_not_pass_before_the_budget_is_spent_however_long_reading_takes(sqlite_storage, monkeypatch):
    stored, clock = register(sqlite_storage, spec_of(60.0), trials=None, version="test"), Clock()

    def slow(_):
        clock.now += 5.0
        return 30.0  # as they were at the end of the reading

    monkeypatch.setattr(time_limit, "time", clock)
    monkeypatch.setattr(time_limit, "seconds_of", slow)
    assert TimeLimit.of(stored, None).ends == clock.now + 30.0


def test_the_trial_of_a_worker_killed_at_the_end_is_lost_and_no_slot_stays(sqlite_storage):
    spec = spec_of(1.0)
    sqlite_storage.engine.dispose()
    if not (child := os.fork()):
        work(sqlite_storage, spec, lambda trial: os.kill(os.getpid(), signal.SIGKILL))
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    stored = register(sqlite_storage, spec, trials=None, version="test")
    assert stored.slots.counts().held == 1 and stored.slots.counts().open_ended
    stored = work(sqlite_storage, spec, train)
    counts = stored.slots.counts()
    n_ended = sum(outcome is not Outcome.LOST for outcome in outcomes(stored))
    assert counts.ended and counts.done == n_ended and outcomes(stored).count(Outcome.LOST) == 1


def test_code_that_always_fails_does_not_fail_until_the_seconds_are_over(sqlite_storage):
    def broken(trial):
        raise ValueError("no luck")

    with pytest.raises(WorkFailed, match="3 configurations failed here and none succeeded"):
        work(sqlite_storage, spec_of(600.0), broken)


def test_a_loop_of_one_s_own_is_asked_until_the_seconds_are_over(tmp_path):
    study = Study.create(
        name="asked", storage=f"sqlite:///{tmp_path / 'study.db'}", metric="loss", direction="minimize",
        budget_seconds=1.0, space={"batch_size": [16, 32], "base_lr": (0.01, 1.0), "optimizer": ["sgd"]},
        train_size=100, epochs=1,
    )  # fmt: skip
    n = 0
    while trial := study.ask():
        n += 1
        time.sleep(STEP)
        study.tell(trial, {"loss": trial.config.peak_lr})
    assert 1 <= n < 20 and study.status().slots.ended and study.status().slots.total == n


def test_a_search_without_a_gain_is_cut_before_its_seconds(sqlite_storage):
    stored = work(sqlite_storage, spec_of(300.0, stop={"gain": 5.0, "confidence": 0.5}), noisy)
    counts = stored.slots.counts()
    assert counts.ended and seconds_of(stored) < 250 and status_of(stored).stopped is not None


def row(seconds, silent, state="ended"):
    return WorkerRecord(
        worker="w", host="h", pid=1, device="cpu", threads=1, state=state, trial=None, trials_done=0,
        seconds=seconds, silent_seconds=silent,
    )  # fmt: skip


def test_seconds_of_workers_that_overlap_count_once_and_pauses_do_not():
    assert worked_seconds([]) == 0
    assert worked_seconds([row(10, 100), row(10, 95)]) == 15
    assert worked_seconds([row(10, 100), row(5, 50)]) == 15
    assert worked_seconds([row(10, 100), row(2, 102)]) == 10
    assert worked_seconds([row(10, 3, "training")]) == 13  # up to now
    assert worked_seconds([row(10, 60, "stale")]) == 10


def test_the_time_limit_of_a_run_is_not_what_was_used_before(sqlite_storage):
    stored = work(sqlite_storage, spec_of(1.0), train)
    limit = TimeLimit.of(stored, None)
    assert limit.passed and limit.used >= 1
    assert TimeLimit.of(stored, 5.0).used < 0.5
    assert TimeLimit.of(replace(stored, spec=own_spec()), None) is None


def test_neither_budget_is_refused_and_the_former_name_is_read():
    with pytest.raises(SpecError, match=r"test: search\.trials: is required, or budget_seconds, or both; got null"):
        tiny_spec(search={"trials": None})
    with pytest.raises(SpecError, match=r"search\.budget_seconds: must be greater than 0; got 0"):
        tiny_spec(search={"budget_seconds": 0})
    table = tiny_study()
    table["search"]["study_seconds"] = 60.0
    spec = parse_spec(table, "test")
    assert spec.search.budget_seconds == 60.0 and '"study_seconds":60.0' in canonical_json(spec)
    # By the version that called it study_seconds.
    assert (fingerprint(spec), fingerprint(tiny_spec())) == ("c0fb6bd66ae590e3", "bbe0879e5de1e5c0")
