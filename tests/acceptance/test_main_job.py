"""`batchlaw run` from a study file to its end, through real worker processes."""

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
import tomli_w

from tests.acceptance.conftest import command, environment, run_here
from tests.conftest import tiny_study
from tests.waiting import DEADLINE, wait_for


def status(folder: Path, study: str = "tiny") -> dict:
    return json.loads(run_here(folder, "status", study, "--json").stdout)


def until_begun(folder: Path, n: int) -> list[int]:
    """Wait until the training function has begun in so many workers; the numbers of their processes."""
    wait_for(lambda: len(list(folder.glob("begun.*"))) == n)
    return [int(file.suffix[1:]) for file in folder.glob("begun.*")]


def own_study(folder: Path, **search: object) -> Path:
    """A study of a training function that says that it has begun and waits for the file `go`, written into a folder."""
    (folder / "own_training.py").write_text(
        "import os, pathlib, time\n"
        "def train(trial):\n"
        "    pathlib.Path(f'begun.{os.getpid()}').touch()\n"
        "    while not pathlib.Path('go').exists():\n"
        "        time.sleep(0.02)\n"
        "    trial.report(0.5, {'validation_loss': trial.config.base_lr})\n"
        "    return {'validation_loss': trial.config.base_lr}\n"
    )
    study = tiny_study(
        task=None,
        objective="own_training:train",
        train_size=64,
        search={"trials": 12, "metric": "validation_loss", "pruner": "none", **search},
    )
    file = folder / "tiny.toml"
    file.write_text(tomli_w.dumps({key: value for key, value in study.items() if value is not None}))
    return file


@pytest.fixture
def running(popen, tmp_path):
    """A function that starts a run of two workers in the background."""

    def start(file):
        return popen(
            command("run", file, "--workers", 2, "--plain"),
            cwd=tmp_path, env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    return start


def test_it_ends_with_exactly_its_trials_a_table_and_no_warning(finished):
    output = (finished / "output.txt").read_text()
    assert "10 of 10 trials" in output
    assert "Best configurations of tiny" in output
    assert "batchlaw export tiny" in output and "batchlaw dashboard" in output
    assert "arning" not in output
    assert (finished / "errors.txt").read_text() == ""


@pytest.mark.slow
def test_running_it_again_adds_nothing_and_trials_extends(batchlaw, study_file, tmp_path):
    batchlaw("run", study_file, "--trials", 2, "--workers", 1)
    assert status(tmp_path)["done"] == 2
    again = batchlaw("run", study_file, "--trials", 2, "--workers", 1, "--seed", 5).stderr
    assert again == "note: all 2 trials have ended, so --seed 5 changes nothing; a larger number of --trials goes on\n"
    assert status(tmp_path)["done"] == 2
    batchlaw("run", study_file, "--trials", 4, "--workers", 2, "--seed", 5)
    now = status(tmp_path)
    assert (now["trials"], now["done"], sum(now["outcomes"].values())) == (4, 4, 4)


@pytest.mark.slow
def test_a_changed_file_is_refused_and_fork_starts_a_new_study(batchlaw, study_file, tmp_path):
    batchlaw("create", study_file)
    study_file.write_text(tomli_w.dumps(tiny_study(budget={"epochs": 1})))
    refusal = batchlaw("run", study_file, code=2).stderr
    assert re.fullmatch(r"error: study 'tiny' .*budget\.epochs: stored 2\.0, given 1\.0.*\n", refusal)
    assert status(tmp_path)["done"] == 0
    batchlaw("run", study_file, "--fork", "forked", "--trials", 2)
    assert status(tmp_path, "forked")["done"] == 2
    batchlaw("run", study_file, "--fork", "forked", "--trials", 3)  # the same command goes on
    assert status(tmp_path, "forked")["done"] == 3
    study_file.write_text(tomli_w.dumps(tiny_study(budget={"epochs": 3})))
    assert (
        "study 'forked' is stored with another spec" in batchlaw("run", study_file, "--fork", "forked", code=2).stderr
    )


def test_a_broken_file_writes_nothing(batchlaw, study_file, tmp_path):
    study_file.write_text(tomli_w.dumps(tiny_study(space={"batch_size": 65})))
    line = batchlaw("run", study_file, code=2).stderr
    assert line == f"error: {study_file}: space.batch_size: must be at most 64, the training size; got 65\n"
    assert not (tmp_path / "batchlaw.db").exists()


def test_a_dry_run_tells_what_the_study_would_take_and_writes_nothing(batchlaw_here, tmp_path):
    file = own_study(tmp_path)
    said = batchlaw_here("run", file, "--dry-run", "--workers", 3, "--trials", 7).stdout
    assert "tiny: 7 trials, 3 workers" in said and "batchlaw try" in said
    assert not (tmp_path / "batchlaw.db").exists()


def test_missing_data_is_one_line_that_says_how_to_get_it_and_writes_nothing(batchlaw, study_file, tmp_path):
    study = tiny_study(task={"dataset": "cifar10"})
    study_file.write_text(tomli_w.dumps(study))
    line = batchlaw("run", study_file, "--data-dir", tmp_path / "data", code=2).stderr
    assert line.startswith("error: task.dataset: cifar10 is not under") and "--download" in line
    assert line.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tiny.toml"]


def test_one_interrupt_hands_trials_back_and_the_same_command_goes_on(batchlaw, running, tmp_path):
    file = own_study(tmp_path)
    run = running(file)
    workers = until_begun(tmp_path, 2)
    run.send_signal(signal.SIGINT)
    output, _ = run.communicate(timeout=DEADLINE)
    assert run.returncode == 130, output
    assert "Stopped with" in output and "Traceback" not in output
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)
    stopped = status(tmp_path)
    assert (stopped["running"], stopped["waiting"]) == (0, 12)
    assert stopped["outcomes"]["failed"] == stopped["outcomes"]["lost"] == 0
    (tmp_path / "go").touch()
    batchlaw("run", file, "--workers", 2)
    ended = status(tmp_path)
    assert (ended["done"], ended["outcomes"]["complete"], sum(ended["outcomes"].values())) == (12, 12, 12)


def test_a_killed_worker_loses_one_trial_which_is_run_again(batchlaw, running, tmp_path):
    run = running(own_study(tmp_path, trials=8))
    os.kill(until_begun(tmp_path, 2)[0], signal.SIGKILL)
    (tmp_path / "go").touch()
    output, _ = run.communicate(timeout=DEADLINE)
    assert run.returncode == 0, output
    ended = status(tmp_path)
    assert (ended["done"], ended["running"], ended["outcomes"]["complete"]) == (8, 0, 8)
    assert ended["outcomes"]["lost"] == 1


@pytest.mark.slow
def test_a_timeout_starts_no_more_trials_and_says_what_is_left(batchlaw, tmp_path):
    file = own_study(tmp_path)
    (tmp_path / "own_training.py").write_text(
        "import time\ndef train(trial):\n    time.sleep(3)\n    return {'validation_loss': 1.0}\n"
    )
    output = batchlaw("run", file, "--workers", 1, "--timeout", 2).stdout
    assert "Ended with" in output and "continue with: batchlaw run" in output
    assert status(tmp_path)["done"] == 1


@pytest.mark.slow
def test_a_worker_runs_code_only_from_a_file_on_its_machine(batchlaw, tmp_path):
    file = own_study(tmp_path, trials=2)
    (tmp_path / "go").touch()
    batchlaw("create", file)
    refusal = batchlaw("worker", "tiny", code=2).stderr
    assert "code is run only from a study file or a function on this machine" in refusal and refusal.count("\n") == 1
    text = file.read_text()
    file.write_text(text.replace("epochs = 2", "epochs = 3"))
    refusal = batchlaw("worker", file, code=2).stderr  # the file is not that of the stored study
    assert "is not the file of study 'tiny'; budget.epochs: stored 2.0, given 3.0" in refusal
    file.write_text(text)
    assert "2 trials done" in batchlaw("worker", file).stdout


@pytest.mark.slow
def test_a_run_whose_trials_all_fail_exits_1_with_the_reason(batchlaw, tmp_path):
    file = own_study(tmp_path)
    (tmp_path / "own_training.py").write_text("def train(trial):\n    raise ValueError('no such luck')\n")
    words = batchlaw("run", file, "--workers", 1, code=1).stderr
    assert "trials are left and every worker has ended: trial 2 failed: ValueError: no such luck" in words


def test_an_objective_that_cannot_be_imported_is_refused_before_anything_is_written(batchlaw, tmp_path):
    file = own_study(tmp_path)
    (tmp_path / "own_training.py").unlink()
    assert "cannot be imported" in batchlaw("run", file, code=2).stderr
    assert not (tmp_path / "batchlaw.db").exists()


@pytest.mark.slow
def test_the_example_of_a_training_function_runs(batchlaw):
    file = Path(__file__).parents[2] / "studies" / "own-training.toml"
    assert "2 of 2 trials" in batchlaw("run", file, "--trials", 2, "--workers", 1).stdout
