"""Workers on real databases: exact budgets, named outcomes, hand-back, loss and retry."""

import os
import signal
import sys
import threading
import time
from contextlib import suppress
from itertools import product
from pathlib import Path

import optuna
import pytest
import torch
from batchlaw.errors import DeviceMemoryError, Diverged, WorkFailed
from batchlaw.interrupts import STOPPING, Interrupts
from batchlaw.measure.replay import replay
from batchlaw.objectives.runtime import Runtime
from batchlaw.objectives.threads import Threads
from batchlaw.recipe.derive import derive
from batchlaw.recipe.space import point_of
from batchlaw.results.records import records_of
from batchlaw.results.status import status_of
from batchlaw.storage import Registration, load, open_storage, register
from batchlaw.workers.heartbeat import Heartbeat, Running
from batchlaw.workers.recovery import retry
from batchlaw.workers.worker import Worker
from optuna.trial import TrialState

from tests.conftest import tiny_spec
from tests.waiting import DEADLINE

CPU = torch.device("cpu")


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def sqlite(tmp_path):
    storage = open_storage(f"sqlite:///{tmp_path / 'study.db'}", create=True)
    yield storage
    storage.engine.dispose()


def own_spec(**search):
    """A study of a training function of one's own."""
    return tiny_spec(
        task=None,
        objective="mine:train",
        train_size=64,
        search={"metric": "validation_loss", "pruner": "none", **search},
    )


def work(storage, spec, objective=None, **options):
    stored = register(storage, spec, trials=None, version="test")
    stored.slots.lease_seconds = options.pop("lease_seconds", 120.0)
    runtime = Runtime(CPU, Path("unused"), objective, options.pop("interrupts", Interrupts()))
    worker = Worker(stored, runtime, study_seed=spec.search.seed, **options)
    worker.work()
    return stored


def outcomes(stored):
    return [record.outcome for record in records_of(stored)]


def test_a_worker_spends_the_budget_exactly_and_records_what_a_trial_is(storage):
    stored = work(storage, tiny_spec())
    records = records_of(stored)
    assert len(records) == 6 and stored.slots.counts().done == 6
    assert {record.outcome for record in records} <= {"complete", "pruned"}
    complete = next(record for record in records if record.outcome == "complete")
    config, result = complete.config, complete.result
    assert config == derive(stored.spec, point_of(complete.params, stored.spec), config.seeds)
    assert {"train_loss", "train_accuracy", "validation_loss", "validation_accuracy"} <= set(result.metrics)
    assert min(result.seconds, result.examples_per_second, result.peak_memory_bytes, result.threads) > 0
    assert result.device == "cpu" and result.versions["torch"] == torch.__version__
    assert complete.value == result.metrics["validation_accuracy"] == result.curve[-1].metrics["validation_accuracy"]
    assert list(complete.intermediate_values) == [1, 2, 3, 4]
    assert {tuple(sorted(record.params)) for record in records} == {
        ("base_lr", "log2_batch_size", "one_minus_momentum", "optimizer")
    }


def test_every_finished_trial_replays_to_the_last_bit_from_the_database(storage):
    spec = tiny_spec(search={"trials": 8, "replicates": 2})
    stored = work(storage, spec)
    fresh = load(storage, "tiny")
    for record in records_of(fresh):
        comparison = replay(record, fresh.spec, Runtime(CPU, Path("unused")))
        assert comparison.pairs and comparison.largest_difference == 0
    assert stored.slots.counts().done == 8


def test_replicates_are_averaged_and_recorded_singly(sqlite):
    stored = work(sqlite, tiny_spec(search={"trials": 2, "replicates": 3, "pruner": "none"}))
    for record in records_of(stored):
        values = record.result.replicate_values
        assert len(values) == 3 and len(set(values)) > 1
        assert record.value == pytest.approx(sum(values) / 3)


def test_divergence_is_a_result_with_the_untrained_score(sqlite):
    spec = tiny_spec(space={"base_lr": 1e30, "optimizer": "sgd"}, search={"trials": 2})
    stored = work(sqlite, spec)
    assert outcomes(stored) == ["diverged", "diverged"]
    trials = stored.study.get_trials()
    assert all(trial.state == TrialState.COMPLETE and 0 <= trial.value < 0.4 for trial in trials)


def test_lack_of_memory_is_a_result_with_the_score_of_guessing(sqlite, monkeypatch):
    def full(*args, **options):
        raise DeviceMemoryError("mlp does not fit")

    monkeypatch.setattr("batchlaw.train.train_together", full)
    stored = work(sqlite, tiny_spec(search={"trials": 1}))
    record = records_of(stored)[0]
    assert (record.outcome, record.reason) == ("out-of-memory", "mlp does not fit")
    assert stored.study.get_trials()[0].value == 0.1  # one in ten classes


def test_ones_own_function_is_reported_pruned_and_scored(sqlite):
    def train(trial):
        for part in range(1, 9):
            trial.report(part / 8, {"validation_loss": trial.batch_size / part})
        return {"validation_loss": float(trial.batch_size)}

    spec = own_spec(trials=20, pruner="median", replicates=1)
    stored = work(sqlite, spec, train)
    records = records_of(stored)
    assert len(records) == 20
    pruned = [record for record in records if record.outcome == "pruned"]
    complete = [record for record in records if record.outcome == "complete"]
    assert pruned and complete
    assert all(record.value == record.config.batch_size for record in complete)
    assert all(list(record.intermediate_values) == [1, 2, 3, 4] for record in complete)
    assert all(len(record.result.curve) < 8 for record in pruned)
    ended = [trial for trial in stored.study.get_trials() if trial.state == TrialState.PRUNED]
    assert all(trial.value == trial.intermediate_values[trial.last_step] for trial in ended)


def test_ones_own_function_may_diverge(sqlite):
    def train(trial):
        if trial.config.optimizer == "adam":
            raise Diverged({"validation_loss": 2.3})
        return {"validation_loss": float("nan")}

    stored = work(sqlite, own_spec(trials=8), train)
    assert set(outcomes(stored)) == {"diverged"}
    by_family = {trial.params["optimizer"]: trial for trial in stored.study.get_trials()}
    assert by_family["adam"].value == 2.3
    assert by_family["momentum"].state == TrialState.PRUNED  # no score, but seen by samplers


def test_a_failing_trial_is_tried_again_a_bounded_number_of_times(sqlite):
    calls = []

    def train(trial):
        calls.append(trial.config.base_lr)
        if calls[-1] == calls[0] or (calls[-1] == calls[1] and calls.count(calls[1]) == 1):
            raise RuntimeError("a fault\nwith details")
        return {"validation_loss": 1.0}

    stored = work(sqlite, own_spec(trials=6, max_retries=2, sampler="random"), train)
    assert calls.count(calls[0]) == 3 and calls.count(calls[1]) == 2 and len(set(calls)) == 6
    assert stored.slots.counts().done == 6
    assert sorted(outcomes(stored)) == ["complete"] * 5 + ["failed"] * 4
    failed = records_of(stored)[0]
    assert failed.reason == "RuntimeError: a fault"


def test_code_that_fails_everywhere_ends_its_worker_and_uses_nothing_up(sqlite):
    """At three different configurations; the repeats of one do not count as several."""
    calls = []

    def broken(trial):
        calls.append(trial.config.base_lr)
        raise RuntimeError("a typo\nwith details")

    spec = own_spec(trials=4, max_retries=2, sampler="random")
    for _ in range(5):
        calls.clear()
        with pytest.raises(
            WorkFailed,
            match=r"^3 configurations failed here and none succeeded; trial \d+: RuntimeError: a typo$",
        ):
            work(sqlite, spec, broken)
        assert len(calls) == len(set(calls)) == 3
    stored = work(sqlite, spec, lambda trial: {"validation_loss": 1.0})
    assert outcomes(stored).count("complete") == 4 and stored.slots.counts().done == 4


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (ValueError("an odd size"), "failed"),
        (torch.OutOfMemoryError("pretended"), "out-of-memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), "out-of-memory"),
        (MemoryError(), "out-of-memory"),
    ],
)
def test_one_configuration_that_always_fails_does_not_end_the_search(sqlite, error, outcome):
    """It failed together with its own two repeats, which were taken for three trials in a row."""

    def train(trial):
        if trial.config.base_lr > 0.1:
            raise error
        return {"validation_loss": 1.0}

    stored = work(sqlite, own_spec(trials=16, sampler="random"), train)
    assert stored.slots.counts().done == 16
    spent = outcomes(stored)
    n_failing = len({record.params["base_lr"] for record in records_of(stored) if record.params["base_lr"] > 0.1})
    assert n_failing > 1 and spent.count("complete") == 16 - n_failing
    assert spent.count(outcome) == n_failing * (3 if outcome == "failed" else 1)


@pytest.mark.slow
def test_a_bad_worker_that_is_restarted_for_ever_leaves_every_trial_to_a_good_one(sqlite, tmp_path):
    """With the default number of retries; also the last trials, which failed on the bad one before."""
    spec, stop = own_spec(trials=12, sampler="random"), threading.Event()
    stored = register(sqlite, spec, trials=None, version="test")

    def broken(trial):
        raise OSError("no space left on device")

    def bad():
        storage = open_storage(f"sqlite:///{tmp_path / 'study.db'}")
        while not stop.is_set() and not stored.slots.counts().ended:
            other = load(storage, "tiny")
            with suppress(WorkFailed):
                Worker(other, Runtime(CPU, Path("unused"), broken, Interrupts()), study_seed=1, embedded=True).work()
            stop.wait(0.5)  # a process takes as long to start again

    def good(trial):
        time.sleep(0.1)
        return {"validation_loss": 1.0}

    thread = threading.Thread(target=bad)
    thread.start()
    try:
        work(sqlite, spec, good)
    finally:
        stop.set()
        thread.join()
    assert outcomes(stored).count("complete") == 12 and outcomes(stored).count("failed") > 2


def test_what_failed_in_every_attempt_can_be_run_again(sqlite):
    spec = own_spec(trials=4, max_retries=0, sampler="random")
    stored = work(sqlite, spec, lambda trial: {"validation_loss": 1.0 if trial.number != 2 else "a typo"})
    params = records_of(stored)[2].params
    assert outcomes(stored).count("failed") == 1 and status_of(stored).without_result == 1
    assert (retry(stored), retry(stored)) == (1, 0) and stored.slots.counts().open == 1
    stored = work(sqlite, spec, lambda trial: {"validation_loss": 1.0})
    assert outcomes(stored) == ["complete", "complete", "failed", "complete", "complete"]
    assert records_of(stored)[4].params == params and status_of(stored).without_result == 0


def test_a_function_that_exits_fails_its_trial_and_not_the_worker(sqlite):
    def train(trial):
        if trial.config.optimizer == "adam":
            sys.exit(0)
        return {"validation_loss": 1.0}

    stored = work(sqlite, own_spec(trials=8, max_retries=0), train)
    failed = [record for record in records_of(stored) if record.outcome == "failed"]
    assert 0 < len(failed) < 8
    assert {record.reason for record in failed} == {
        "ObjectiveError: mine:train called sys.exit(0) and returned nothing"
    }


def test_a_missing_metric_fails_the_trial_with_its_name(sqlite):
    with pytest.raises(WorkFailed, match="'validation_loss' is not among the metrics: loss"):
        work(sqlite, own_spec(trials=3, sampler="random"), lambda trial: {"loss": 1.0})


def test_a_stop_hands_the_trial_back_and_the_next_worker_runs_the_same_one(storage):
    interrupts = Interrupts()
    seen = []

    def train(trial):
        seen.append((trial.config.base_lr, trial.batch_size))
        trial.report(0.5, {"validation_loss": 1.0})
        if len(seen) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)
            raise AssertionError("the signal should have ended this")
        return {"validation_loss": 1.0}

    before = {number: signal.getsignal(number) for number in (*STOPPING, signal.SIGALRM)}
    interrupts.install()
    try:
        stored = work(storage, own_spec(trials=3), train, interrupts=interrupts)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert outcomes(stored) == ["complete", "waiting"]
    assert (stored.slots.counts().open, stored.slots.counts().held) == (2, 0)
    stored = work(storage, own_spec(trials=3), train)
    assert outcomes(stored) == ["complete"] * 3
    assert seen[1] == seen[2] and len(seen) == 4
    assert len(stored.study.get_trials()) == 3


def attempts_of(storage, spec, folder, n_failing):
    """The folders that a training function was given in a study's calls, of which so many failed first."""
    folders = []

    def train(trial):
        folders.append(trial.run_dir)
        if len(folders) <= n_failing:
            raise RuntimeError("a fault")
        return {"validation_loss": 1.0}

    stored = register(storage, spec, trials=None, version="test")
    Worker(stored, Runtime(CPU, Path("unused"), train, runs_dir=folder), study_seed=0).work()
    return folders


def test_a_trial_that_runs_again_finds_its_folder_and_no_other_trial_does(sqlite, tmp_path):
    folders = attempts_of(sqlite, own_spec(trials=3, max_retries=2), tmp_path / "runs", n_failing=2)
    assert len(folders) == 5 and len(set(folders)) == 3  # the repeats as well
    assert {folders.count(folder) for folder in folders[:2]} == {2}
    assert all(folder.parents[2] == tmp_path / "runs" and folder.parents[1].name[:5] == "tiny-" for folder in folders)
    assert sorted({folder.parent.name for folder in folders}) == ["trial-0", "trial-2", "trial-4"]


def test_two_trials_of_one_configuration_have_each_their_folder(sqlite, tmp_path):
    spec = tiny_spec(
        task=None, objective="mine:train", train_size=64,
        space={"batch_size": 8, "base_lr": 0.1, "optimizer": ["momentum"], "momentum": 0.9},
        search={"metric": "validation_loss", "pruner": "none", "trials": 3},
    )  # fmt: skip
    assert len(set(attempts_of(sqlite, spec, tmp_path / "runs", n_failing=0))) == 3


def test_a_study_that_is_made_again_has_other_folders(tmp_path):
    found = set()
    for name in "ab":
        storage = open_storage(f"sqlite:///{tmp_path / name}.db", create=True)
        found |= set(attempts_of(storage, own_spec(trials=1), tmp_path / "runs", n_failing=0))
        storage.engine.dispose()
    assert len(found) == 2


def test_a_trial_past_its_time_limit_is_pruned_with_the_reason(sqlite):
    interrupts = Interrupts()

    def train(trial):
        trial.report(0.25, {"validation_loss": 1.0})
        time.sleep(60)
        return {"validation_loss": 0.0}

    before = {number: signal.getsignal(number) for number in (*STOPPING, signal.SIGALRM)}
    interrupts.install()
    try:
        stored = work(sqlite, own_spec(trials=1, trial_seconds=0.3), train, interrupts=interrupts)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    record = records_of(stored)[0]
    assert (record.outcome, record.reason) == ("pruned", "past trial_seconds = 0.3")


def test_past_its_deadline_a_worker_starts_no_trial(sqlite):
    stored = work(sqlite, tiny_spec(), timeout=0.0)
    assert outcomes(stored) == []


def test_the_trial_of_a_dead_worker_is_lost_and_its_parameters_run_again(storage):
    stored = register(storage, tiny_spec(), trials=None, version="test")
    claim = stored.slots.lease()
    trial = stored.study.ask()
    lr = trial.suggest_float("base_lr", 0.01, 1.0, log=True)
    stored.slots.started(claim, trial._trial_id)
    stored.slots.lease_seconds = 0
    stored.slots.renew(claim)  # as if the last renewal lay a lease ago
    stored = work(storage, tiny_spec())
    records = records_of(stored)
    assert records[0].outcome == "lost"
    assert len(records) == 7 and stored.slots.counts().done == 6
    retried = [t for t in stored.study.get_trials() if t.user_attrs.get("retry_of") == 0]
    assert len(retried) == 1 and retried[0].params["base_lr"] == lr


def test_the_late_result_of_a_worker_that_lost_its_slot_is_refused(sqlite):
    """A live worker is robbed in the middle of its trial: its result must not count beside the retry's."""
    spec = own_spec(trials=1)
    entered, robbed = threading.Event(), threading.Event()

    def slow(trial):
        entered.set()
        assert robbed.wait(DEADLINE)
        return {"validation_loss": 111.0}

    # Its leases have run out as soon as it has them, so that it looks dead.
    thread = threading.Thread(target=lambda: work(sqlite, spec, slow, lease_seconds=-1.0))
    try:
        thread.start()
        assert entered.wait(DEADLINE)
        work(sqlite, spec, lambda trial: {"validation_loss": 1.0})
    finally:
        robbed.set()
        thread.join()
    records = records_of(load(sqlite, "tiny"))
    assert [record.outcome for record in records] == ["lost", "complete"]
    assert records[1].value == 1.0


def test_a_heartbeat_may_be_ended_by_its_own_thread(sqlite):
    """As where that thread's garbage collection ends a loop that asks."""
    stored = register(sqlite, tiny_spec(), trials=None, version="test")
    stored.slots.lease_seconds = 0.04
    registration = Registration(sqlite.engine, stored.study_id, device="cpu", threads=1)
    heartbeat = Heartbeat(stored, registration, Interrupts(), Threads(1), embedded=True)
    ends = []

    class Leases(list):
        def __iter__(self):
            try:
                ends.append(heartbeat.__exit__())
            except RuntimeError as error:
                ends.append(error)
            ended.set()
            return iter(())

    ended = threading.Event()
    heartbeat.__enter__()
    heartbeat.train(Running.elsewhere(Leases([None]), 0))
    assert ended.wait(DEADLINE) and ends == [None]


def test_another_seed_draws_other_trials_and_the_same_seed_the_same(tmp_path):
    def first_params(seed, name):
        storage = open_storage(f"sqlite:///{tmp_path / name}.db", create=True)
        spec = tiny_spec(search={"trials": 2, "seed": seed})
        try:
            return [trial.params for trial in work(storage, spec).study.get_trials()]
        finally:
            storage.engine.dispose()

    one, again, other = first_params(1, "a"), first_params(1, "b"), first_params(2, "c")
    assert one == again
    assert one != other
    assert one[0] != one[1]


SAMPLERS, PRUNERS = ("tpe", "per-second", "gp", "random", "qmc"), ("hyperband", "asha", "median", "none")
FEW = list(zip(SAMPLERS, (*PRUNERS, "hyperband"), strict=True))  # each sampler and each pruner once


@pytest.mark.parametrize(
    ("sampler", "pruner"),
    [
        pytest.param(*pair, marks=() if pair in FEW else pytest.mark.slow, id="-".join(pair))
        for pair in product(SAMPLERS, PRUNERS)
    ],
)
def test_every_sampler_and_pruner_runs(tmp_path, sampler, pruner):
    storage = open_storage(f"sqlite:///{tmp_path / 'study.db'}", create=True)
    spec = tiny_spec(search={"trials": 12, "sampler": sampler, "pruner": pruner})
    stored = work(storage, spec)
    found = outcomes(stored)
    assert len(found) == 12 and ("pruned" not in found or pruner != "none")
    tried = {tuple(sorted(trial.params.items())) for trial in stored.study.get_trials()}
    assert len(tried) == 12
    assert isinstance(stored.study.pruner, optuna.pruners.BasePruner)
    storage.engine.dispose()
