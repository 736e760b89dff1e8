"""A fleet whose workers have all left: whether that is an end or a failure, with real processes."""

import re

import pytest
import tomli_w
from batchlaw.errors import WorkFailed
from batchlaw.spec import read_spec
from batchlaw.storage import open_storage, register
from batchlaw.workers.fleet import check_finished
from batchlaw.workers.launch import LocalFleet

from tests.conftest import tiny_study
from tests.waiting import DEADLINE

ENDLESS = "pathlib.Path(f'begun.{os.getpid()}').touch(); time.sleep(3600)"


@pytest.fixture
def study(tmp_path):
    """A function that writes the file of a study whose training function has this body."""

    def write(body, **search):
        (tmp_path / "mine.py").write_text(
            f"import os, pathlib, sys, time\ndef train(trial):\n    {body}\n    return {{'validation_loss': 1.0}}\n"
        )
        table = tiny_study(
            task=None, objective="mine:train", train_size=64,
            search={"trials": 4, "metric": "validation_loss", "pruner": "none", **search},
        )  # fmt: skip
        file = tmp_path / "tiny.toml"
        file.write_text(tomli_w.dumps({key: value for key, value in table.items() if value is not None}))
        return file

    return write


@pytest.mark.parametrize("words", [["run"], pytest.param(["launch"], marks=pytest.mark.slow)])
def test_workers_that_give_up_are_a_failure_with_the_reason_of_the_last_failed_trial(batchlaw, study, words):
    file = study("raise ValueError(f'no luck in trial {trial.seed}')")
    batchlaw("create", file)
    done = batchlaw(*words, file, "--workers", 2, code=1)
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    # A worker leaves at the third configuration that fails. If each has two of the four, all attempts are used up.
    ends = r"[1-4] of 4 trials are left and every worker has ended: trial \d+ failed|every trial failed; the last, \d+"
    assert re.search(rf"({ends}): ValueError: no luck in trial \d+", done.stderr)


@pytest.mark.slow
def test_a_study_whose_trials_all_failed_is_a_failure_though_its_budget_is_spent(batchlaw, study):
    file = study("raise ValueError('no luck')", trials=2, max_retries=0)
    words = ("every trial failed; the last, 1: ValueError: no luck",)
    for _ in range(2):  # and again, with nothing left to run
        done = batchlaw("run", file, "--workers", 1, code=1)
        assert all(each in done.stderr for each in words), done.stderr


@pytest.mark.slow
def test_a_study_with_a_score_has_succeeded(batchlaw, study):
    file = study("if trial.config.optimizer == 'adam': raise ValueError('no luck')", trials=8, max_retries=0)
    assert "8 of 8 trials" in batchlaw("run", file, "--workers", 1).stdout


@pytest.mark.slow
def test_a_worker_that_is_killed_is_replaced_and_its_trial_named(batchlaw, study):
    file = study("if trial.number == 0: os.kill(os.getpid(), 9)", trials=2)
    said = batchlaw("run", file, "--workers", 1, "--plain").stdout
    assert "worker 0 was killed by SIGKILL in trial 0: no output; another takes its place" in said
    assert "2 of 2 trials · 2 complete · 1 lost" in said


@pytest.mark.slow
def test_a_worker_that_takes_the_place_of_a_killed_one_has_the_time_that_is_left(batchlaw, study, tmp_path):
    file = study(
        f"pathlib.Path({str(tmp_path)!r}, f'{{trial.number}}').write_text(sys.argv[sys.argv.index('--timeout') + 1])\n"
        "    if trial.number == 0: os.kill(os.getpid(), 9)",
        trials=2,
    )  # fmt: skip
    batchlaw("run", file, "--workers", 1, "--timeout", 3600)
    first, second = (float((tmp_path / name).read_text()) for name in "01")
    assert second < first <= 3600


@pytest.mark.slow
def test_code_that_ends_its_process_is_a_failure(batchlaw, study):
    done = batchlaw("run", study("os._exit(0)", trials=1), "--workers", 1, "--plain", code=1)
    assert "every trial failed; the last, 4: its worker died or was cut off; batchlaw retry STUDY" in done.stderr
    assert "export" not in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("words", [["run"], ["launch"]])
def test_the_time_limit_of_a_study_is_no_failure(batchlaw, study, words):
    file = study("time.sleep(3)", budget_seconds=2.0)
    batchlaw("create", file)
    said = batchlaw(*words, file, "--workers", 1).stdout
    assert "1 trial · " in said and "to go" not in said


def test_a_worker_that_ends_well_without_working_is_a_failure(study, tmp_path):
    url = f"sqlite:///{tmp_path / 'study.db'}"
    stored = register(open_storage(url, create=True), read_spec(study(ENDLESS)), trials=None, version="test")
    with LocalFleet(["--help"], storage_url=url, workers=1, gpus=[]) as fleet:
        fleet.wait(DEADLINE)
        with pytest.raises(WorkFailed, match="4 of 4 trials are left and every worker has ended: worker 0 ended with"):
            check_finished(stored, fleet, timeout=600, stops=0)
    stored.storage.engine.dispose()
