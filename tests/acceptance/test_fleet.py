"""A fleet whose workers have all left: whether that is an end or a failure, with real processes."""

import os
import re
import signal
import subprocess

import pytest
import tomli_w
from batchlaw.errors import WorkFailed
from batchlaw.spec import read_spec
from batchlaw.storage import open_storage, register
from batchlaw.workers.fleet import check_finished
from batchlaw.workers.launch import LocalFleet

from tests.acceptance.conftest import command, environment
from tests.acceptance.test_main_job import until_begun
from tests.conftest import tiny_study
from tests.waiting import DEADLINE

ENDLESS = "pathlib.Path(f'begun.{os.getpid()}').touch(); time.sleep(3600)"


@pytest.fixture
def study(tmp_path):
    """A function that writes the file of a study whose training function has this body."""

    def write(body, **search):
        (tmp_path / "mine.py").write_text(
            f"import os, pathlib, time\ndef train(trial):\n    {body}\n    return {{'validation_loss': 1.0}}\n"
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
    reason = r"failed: ValueError: no luck in trial \d+$"
    assert re.search(rf"[1-4] of 4 trials are left and every worker has ended: trial \d+ {reason}", done.stderr)


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
def test_workers_that_are_killed_are_a_failure_with_the_last_words_of_one(popen, study, tmp_path):
    run = popen(
        command("run", study(ENDLESS), "--workers", 2, "--plain"),
        cwd=tmp_path, env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    for worker in until_begun(tmp_path, 2):
        os.kill(worker, signal.SIGKILL)
    output, errors = run.communicate(timeout=DEADLINE)
    assert run.returncode == 1, output
    assert "trials are left and every worker has ended: worker 0 ended with exit code -9: no output" in errors


@pytest.mark.slow
@pytest.mark.parametrize("words", [["run"], ["launch"]])
def test_the_time_limit_of_a_study_is_no_failure(batchlaw, study, words):
    file = study("time.sleep(3)", study_seconds=2.0)
    batchlaw("create", file)
    said = batchlaw(*words, file, "--workers", 1).stdout
    assert "1 of 4 trials" in said


def test_a_worker_that_ends_well_without_working_is_a_failure(study, tmp_path):
    url = f"sqlite:///{tmp_path / 'study.db'}"
    stored = register(open_storage(url, create=True), read_spec(study(ENDLESS)), trials=None, version="test")
    with LocalFleet(["--help"], storage_url=url, workers=1, gpus=[]) as fleet:
        fleet.wait(DEADLINE)
        with pytest.raises(WorkFailed, match="4 of 4 trials are left and every worker has ended: worker 0 ended with"):
            check_finished(stored, fleet, timeout=600, stops=0)
    stored.storage.engine.dispose()
